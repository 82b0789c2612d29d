package feed

import (
	"context"
	"slices"
	"strconv"

	"hearth/base/store"
	"hearth/homeserver/room"
)

// Sticky events (MSC4354, MSC4480) reach everybody who is in their room, however
// long the timeline that a client asks for, and whatever was to be seen of it
// when they were sent. Each is told once, the oldest first, and not where the
// timeline of the same response has it.

// maxStickyNews bounds the sticky events of one response. Those of rooms that are
// new to a client come all at once: package room bounds them.
const maxStickyNews = 100

// joinedTo reports whether the user is in a room.
func (u *user) joinedTo(nid int64) bool {
	u.mu.RLock()
	defer u.mu.RUnlock()
	r := u.rooms[nid]
	return r != nil && r.Membership == store.Join
}

// planSticky finds the sticky events of this response, and how far the client has
// them after it.
func (b *syncBuild) planSticky() error {
	if b.f.Sticky == nil {
		return nil
	}
	after := int64(0)
	if b.since != nil {
		after = b.since.Sticky
	}
	all, err := b.f.Sticky.Since(b.ctx, after, b.now.Pos, b.u.joinedTo)
	if err != nil {
		return err
	}
	if len(all) > maxStickyNews {
		all = all[:maxStickyNews]
		b.now.Sticky = all[maxStickyNews-1].NID
	}
	b.stickies = map[int64][]store.StickyEvent{}
	for _, s := range all {
		b.stickies[s.Room] = append(b.stickies[s.Room], s)
	}
	return nil
}

// sticky writes the sticky events of a room.
func (b *syncBuild) sticky(r *room.Room, isNew bool, timeline []*room.Event) error {
	list := b.stickies[r.NID]
	if isNew && b.since != nil && b.f.Sticky != nil {
		var err error
		if list, err = b.f.Sticky.In(b.ctx, r.NID, 0, b.now.Pos); err != nil {
			return err
		}
	}
	events, err := b.f.stickyEvents(b.ctx, r, list, b.ignored, timeline)
	if err != nil || len(events) == 0 {
		return err
	}
	b.out = append(b.out, `,"msc4354_sticky":{"events":`...)
	if b.out, err = b.enc.AppendState(b.ctx, b.out, r, events); err != nil {
		return err
	}
	b.out = append(b.out, '}')
	return nil
}

// stickyEvents loads events that are sticky. Who was redacted no longer is.
func (f *Feed) stickyEvents(ctx context.Context, r *room.Room, list []store.StickyEvent, ignored map[string]bool, timeline []*room.Event) ([]*room.Event, error) {
	nids := make([]int64, 0, len(list))
	for _, s := range list {
		if !slices.ContainsFunc(timeline, func(ev *room.Event) bool { return ev.NID == s.NID }) {
			nids = append(nids, s.NID)
		}
	}
	if len(nids) == 0 {
		return nil, nil
	}
	events, err := f.Rooms.EventsSorted(ctx, r.Version, nids)
	return slices.DeleteFunc(events, func(ev *room.Event) bool { return ev.Sticky <= 0 || hidden(ignored, ev) }), err
}

// SlideSticky turns on sticky events (MSC4480).
type SlideSticky struct {
	Enabled bool   `json:"enabled"`
	Limit   *int   `json:"limit"`
	Since   string `json:"since"`
}

// stickyNews is the sticky events of a response of sliding sync.
type stickyNews struct {
	all  []store.StickyEvent
	upto int64
}

// sticky writes sticky events of all rooms that the request is about, also those
// outside of the ranges of its lists.
func (b *slide) sticky(start int) error {
	x := &b.req.Extensions.Sticky
	if !x.Enabled || b.f.Sticky == nil {
		return nil
	}
	news, err := b.stickyNews(x)
	if err != nil {
		return err
	}
	b.next.sticky = news.upto
	b.open(start, "org.matrix.msc4354.sticky_events")
	b.out = strconv.AppendInt(append(b.out, `{"next_batch":"`...), news.upto, 10)
	b.out = append(b.out, '"')
	undo := len(b.out)
	b.out = append(b.out, `,"rooms":{`...)
	rooms := len(b.out)
	for len(news.all) > 0 {
		nid := news.all[0].Room
		var own, rest []store.StickyEvent
		for _, s := range news.all {
			if s.Room == nid {
				own = append(own, s)
			} else {
				rest = append(rest, s)
			}
		}
		news.all = rest
		if err := b.stickyRoom(rooms, nid, own); err != nil {
			return err
		}
	}
	if len(b.out) == rooms {
		b.out = append(b.out[:undo], '}')
		return nil
	}
	b.some = true
	b.out = append(b.out, `}}`...)
	return nil
}

func (b *slide) stickyRoom(start int, nid int64, list []store.StickyEvent) error {
	r, err := b.f.Rooms.RoomByNID(b.ctx, nid)
	if err != nil {
		return err
	}
	var timeline []*room.Event
	if t := b.told[nid]; t != nil {
		timeline = t.events
	}
	events, err := b.f.stickyEvents(b.ctx, r, list, b.ignored, timeline)
	if err != nil || len(events) == 0 {
		return err
	}
	b.open(start, r.ID)
	b.out = append(b.out, `{"events":`...)
	if b.out, err = b.enc.AppendState(b.ctx, b.out, r, events); err != nil {
		return err
	}
	b.out = append(b.out, '}')
	return nil
}

// stickyNews finds what the client has not been told. Of a room that it was not
// told of before, or that the user has come into, that is all there is.
func (b *slide) stickyNews(x *SlideSticky) (n stickyNews, err error) {
	after, err := strconv.ParseInt(x.Since, 10, 64)
	given := err == nil
	if !given && !b.fresh() { // it does not page by itself
		after = b.c.base.sticky
	}
	all, err := b.f.Sticky.Since(b.ctx, 0, b.now.Pos, func(nid int64) bool { return b.interest[nid] && b.u.joinedTo(nid) })
	if err != nil {
		return n, err
	}
	limit := maxStickyNews
	if x.Limit != nil {
		limit = min(max(*x.Limit, 1), maxStickyNews)
	}
	n.upto = b.now.Pos
	b.next.stuck = map[int64]bool{}
	known := func(nid int64) bool { return b.c.base.stuck[nid] || b.fresh() && given }
	whole := map[int64]bool{}
	for _, s := range all {
		if !b.next.stuck[s.Room] {
			b.next.stuck[s.Room] = true
			came, err := b.cameSince(s.Room, after)
			if err != nil {
				return n, err
			}
			whole[s.Room] = after > 0 && (!known(s.Room) || came)
		}
		if whole[s.Room] {
			n.all = append(n.all, s)
			continue
		}
		if s.NID <= after || n.upto < b.now.Pos {
			continue
		}
		if limit == 0 {
			n.upto = s.NID - 1
			continue
		}
		limit--
		n.all = append(n.all, s)
	}
	return n, nil
}

// cameSince reports whether the user came into a room after a place in the
// stream.
func (b *slide) cameSince(nid, after int64) (bool, error) {
	b.u.mu.RLock()
	ur := b.u.rooms[nid]
	b.u.mu.RUnlock()
	if ur == nil || ur.Event <= after || after == 0 {
		return false, nil
	}
	r, err := b.f.Rooms.RoomByNID(b.ctx, nid)
	if err != nil {
		return false, err
	}
	return b.f.wasOut(b.ctx, r, b.u.id, after)
}
