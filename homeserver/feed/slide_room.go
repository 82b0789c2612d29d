package feed

import (
	"math"
	"strconv"

	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// slideRoom writes what a response tells of one room.
type slideRoom struct {
	*slide
	r     *room.Room
	m     *match
	rule  *slideRule
	isNew bool      // the client starts anew with the room
	old   knownRoom // zero if the connection does not know the room
	known knownRoom // what it knows after this response
	place int64     // where the timeline starts
	some  bool      // there is anything to tell

	timelineOf []*room.Event // what the timeline tells

	viewer *room.Viewer
	own    *room.Event // the user's member event, if the user is no longer in the room
}

// write appends the room and reports whether there is anything to tell.
func (w *slideRoom) write() (bool, error) {
	w.rule = w.ask.ruleOf(w.m)
	w.known = w.old
	w.known.id, w.known.membership, w.known.event = w.r.ID, w.m.Membership, w.m.Event
	w.out = append(w.out, `{"membership":"`...)
	w.out = append(w.out, w.m.Membership.String()...)
	w.out = append(w.out, '"')
	if len(w.rule.lists) > 0 {
		w.field("lists")
		w.out = appendStrings(w.out, w.rule.lists)
	}
	err := w.relation()
	w.out = append(w.out, '}')
	return w.some, err
}

func (w *slideRoom) relation() (err error) {
	switch was := w.old.membership; w.m.Membership {
	case store.Join:
		w.isNew = was != store.Join
		if w.viewer, err = w.f.Rooms.ViewerOf(w.ctx, w.r, w.m.Member); err != nil {
			return err
		}
		return w.inside(w.now.Pos)
	case store.Invite, store.Knock:
		w.isNew = true
		return w.outside()
	default:
		w.isNew = w.old.root == 0
		return w.left()
	}
}

// field begins a further member of the room.
func (w *slideRoom) field(name string) {
	w.out = append(w.out, `,"`...)
	w.out = append(w.out, name...)
	w.out = append(w.out, `":`...)
}

func (w *slideRoom) number(name string, n int64) {
	w.field(name)
	w.out = strconv.AppendInt(w.out, n, 10)
}

func (w *slideRoom) yes(name string) {
	w.field(name)
	w.out = append(w.out, "true"...)
}

// outside writes a room that the user may come into.
func (w *slideRoom) outside() error {
	events, err := w.f.Rooms.Events(w.ctx, w.r.Version, []int64{w.m.Event})
	if err != nil || len(events) == 0 {
		return err
	}
	state, err := StrippedState(w.ctx, w.f.Rooms, w.r, events[0].StateAfter, w.u.id)
	if err != nil {
		return err
	}
	w.some = true
	w.known.root = 0
	w.yes("initial")
	w.stamp(w.m.Event)
	for _, name := range []string{"invite_state", "stripped_state"} { // the unstable name and the MSC's
		w.field(name)
		w.out = append(w.out, state...)
	}
	return nil
}

// left writes a room that the user is no longer in: what happened up to that.
func (w *slideRoom) left() (err error) {
	events, err := w.f.Rooms.Events(w.ctx, w.r.Version, []int64{w.m.Event})
	if err != nil || len(events) == 0 {
		return err
	}
	w.own = events[0]
	if w.viewer, err = w.f.Rooms.ViewerOf(w.ctx, w.r, w.m.Member); err != nil {
		return err
	}
	if w.viewer.JoinedUntil() == math.MinInt64 {
		return w.declined()
	}
	return w.inside(w.m.Event)
}

// declined writes the end of an invite: the event that ended it, and nothing of
// the room.
func (w *slideRoom) declined() error {
	w.some = true
	w.known.root = 0
	w.yes("initial")
	w.stamp(w.m.Event)
	w.place = w.own.Ord - 1
	for _, name := range []string{"required_state", "timeline"} {
		w.field(name)
		if err := w.append([]*room.Event{w.own}); err != nil {
			return err
		}
	}
	w.field("stripped_state")
	w.out = append(w.out, '[')
	w.out = AppendStripped(w.out, w.own)
	w.out = append(w.out, ']')
	return nil
}

func (w *slideRoom) append(events []*room.Event) (err error) {
	w.out, err = w.enc.AppendArray(w.ctx, w.out, w.r, w.viewer, events)
	return err
}

// inside writes a room that the user is in, or was in, up to a place in its
// timeline.
func (w *slideRoom) inside(upto int64) error {
	n, err := w.news(upto)
	if err != nil {
		return err
	}
	w.known.upto, w.known.from, w.known.root, w.place = max(upto, w.old.upto), n.from, n.root, n.place
	w.known.limit = w.rule.limit
	if !w.isNew && !n.limited {
		w.known.limit = max(w.rule.limit, w.old.limit)
	}
	if w.isNew {
		w.some = true
		w.yes("initial")
	}
	if err := w.timeline(n); err != nil {
		return err
	}
	changed, err := w.state(n)
	if err != nil {
		return err
	}
	if err := w.names(n, changed); err != nil {
		return err
	}
	w.dm()
	if w.m.Membership != store.Join {
		w.stamp(w.m.Event)
		return nil
	}
	w.memberCounts()
	if err := w.unread(len(n.events) > 0); err != nil {
		return err
	}
	bump, err := w.f.bumps.of(w.ctx, w.f.Rooms, w.r, w.now.Pos)
	if err == nil {
		w.stamp(bump)
	}
	return err
}

// stamp writes a changed bump_stamp. Alone it is not worth a response.
func (w *slideRoom) stamp(pos int64) {
	if w.isNew || pos != w.old.bump {
		w.number("bump_stamp", pos)
	}
	w.known.bump = pos
}

func (w *slideRoom) timeline(n slideNews) error {
	if len(n.events) == 0 && !n.limited && !w.isNew {
		return nil
	}
	w.some = true
	w.timelineOf = n.events
	if n.expanded {
		w.yes("expanded_timeline")
		w.yes("unstable_expanded_timeline")
	}
	w.field("timeline")
	w.enc.bundle = w.isNew || n.limited || n.expanded // see syncBuild.timeline
	if err := w.append(n.events); err != nil {
		return err
	}
	w.field("prev_batch")
	w.out = canonjson.Quote(w.out, PlaceToken(n.place))
	w.field("limited")
	w.out = strconv.AppendBool(w.out, n.limited)
	live := 0
	for _, ev := range n.events {
		if !w.fresh() && ev.Ord > w.c.base.at.Pos {
			live++
		}
	}
	w.number("num_live", int64(live))
	return nil
}

// names writes what the room is called by, if that changed.
func (w *slideRoom) names(n slideNews, changed changedState) error {
	if !w.isNew && !changed.name && !changed.avatar && !changed.members {
		return nil
	}
	facts, err := w.f.facts.of(w.ctx, w.f.Rooms, w.r, n.root)
	if err != nil {
		return err
	}
	name, err := w.f.stateString(w.ctx, w.r, facts, "m.room.name", "name")
	if err != nil {
		return err
	}
	avatar, err := w.f.stateString(w.ctx, w.r, facts, "m.room.avatar", "url")
	if err != nil {
		return err
	}
	w.nameField("name", name, changed.name)
	w.nameField("avatar", avatar, changed.avatar)
	if name == "" && w.m.Membership == store.Join {
		return w.heroes(n.root)
	}
	return nil
}

func (w *slideRoom) nameField(field, val string, changed bool) {
	switch {
	case val != "" && (w.isNew || changed):
		w.field(field)
		w.out = canonjson.Quote(w.out, val)
	case val == "" && !w.isNew && changed:
		w.field(field)
		w.out = append(w.out, "null"...)
	default:
		return
	}
	w.some = true
}

func (w *slideRoom) heroes(root int64) error {
	users, err := w.f.Heroes(w.ctx, w.r, w.u.id)
	if err != nil {
		return err
	}
	w.field("heroes")
	w.out = append(w.out, '[')
	for i, user := range users {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, `{"user_id":`...)
		w.out = canonjson.Quote(w.out, user)
		ev, err := w.f.Rooms.StateEvent(w.ctx, w.r, root, member, user)
		if err != nil {
			return err
		}
		if ev != nil {
			for _, field := range []string{"displayname", "avatar_url"} {
				if s, ok := ev.GetString(field); ok {
					w.field(field)
					w.out = canonjson.Quote(w.out, s)
				}
			}
		}
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
	return nil
}

func (w *slideRoom) dm() {
	w.known.dm = w.slide.own.direct[w.r.ID]
	if w.known.dm != w.old.dm || w.isNew && w.known.dm {
		w.field("is_dm")
		w.out = strconv.AppendBool(w.out, w.known.dm)
		w.some = true
	}
}

func (w *slideRoom) memberCounts() {
	cur := w.r.Current()
	w.known.joined, w.known.invited = cur.Joined, cur.Invited
	if w.isNew || cur.Joined != w.old.joined {
		w.number("joined_count", cur.Joined)
		w.some = true
	}
	if w.isNew || cur.Invited != w.old.invited {
		w.number("invited_count", cur.Invited)
		w.some = true
	}
}

// unread writes how much the user has not read. That stands in every room that is
// written, because the Rust SDK takes a room without it for read.
func (w *slideRoom) unread(events bool) error {
	if w.f.Push == nil {
		return nil
	}
	if w.isNew || events || w.readSince(w.r.NID, &w.old) {
		counts, err := w.f.Push.Counts(w.ctx, w.r, w.u.id, w.now.Pos)
		if err != nil {
			return err
		}
		sum := counts.Total()
		w.known.notify, w.known.highlight = sum.Notify, sum.Highlight
		if w.isNew || sum.Notify != w.old.notify || sum.Highlight != w.old.highlight {
			w.some = true
		}
	}
	w.number("notification_count", int64(w.known.notify))
	w.number("highlight_count", int64(w.known.highlight))
	return nil
}
