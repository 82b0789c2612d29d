package feed

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"

	"hearth/base/store"
	"hearth/homeserver/personal"
	"hearth/homeserver/relation"
	"hearth/homeserver/room"
)

// defaultTimeline is how many events of a room a client gets that does not say.
const defaultTimeline = 10

// maxTimeline bounds what a client may ask for, and how many events are looked
// at for those that its filter wants.
const maxTimeline = 1000

// roomNews is what happened in a room since the client looked.
type roomNews struct {
	events  []*room.Event // oldest first
	limited bool          // older ones were left out
	before  int64         // root of the state at the start of events
	after   int64         // and at the end
	known   int64         // root of the state that the client knows; 0 if it knows none
	place   int64         // where the events start, for prev_batch
}

// joined writes a room that the user is in.
func (b *syncBuild) joined(r *room.Room, ur *userRoom) (bool, error) {
	viewer, err := b.f.Rooms.ViewerOf(b.ctx, r, ur.Member)
	if err != nil {
		return false, err
	}
	isNew, err := b.newToClient(r, ur)
	if err != nil {
		return false, err
	}
	upto := b.now.Pos
	if isNew && b.since != nil && !b.req.FullState {
		b.sent.forget(r.NID)
	}
	news, err := b.news(r, viewer, isNew, upto)
	if err != nil {
		return false, err
	}
	start := len(b.out)
	b.out = append(b.out, '{')
	if err := b.timeline(r, viewer, news); err != nil {
		return false, err
	}
	members, err := b.state(r, news, isNew)
	if err != nil {
		return false, err
	}
	bare := len(b.out)
	if err := b.sticky(r, isNew, news.events); err != nil {
		return false, err
	}
	if err := b.ephemeral(r); err != nil {
		return false, err
	}
	if data := b.roomData(r.NID); len(data) > 0 || b.since == nil {
		b.out = append(b.out, `,"account_data":`...)
		b.appendData(data)
	}
	if isNew || members {
		if err := b.summary(r); err != nil {
			return false, err
		}
	}
	if b.since != nil && !b.req.FullState && len(news.events) == 0 && len(b.out) == bare && news.known == news.after {
		b.out = b.out[:start]
		return false, nil
	}
	return true, b.unread(r)
}

func (b *syncBuild) roomData(room int64) []store.AccountData {
	var out []store.AccountData
	for _, d := range b.data[room] {
		if b.req.Filter.Room.AccountData.MatchType(d.Type) && !(b.since == nil && isEmpty(d.Content)) {
			out = append(out, d)
		}
	}
	return out
}

// newToClient reports whether the client knows nothing of the room: an initial
// sync, or a room that the user was not in at its token.
func (b *syncBuild) newToClient(r *room.Room, ur *userRoom) (bool, error) {
	if b.since == nil {
		return true, nil
	}
	if ur.Event <= b.since.Pos {
		return false, nil
	}
	return b.f.wasOut(b.ctx, r, b.u.id, b.since.Pos)
}

// wasOut reports whether a user was not in a room at a place in the stream.
func (f *Feed) wasOut(ctx context.Context, r *room.Room, user string, at int64) (bool, error) {
	last, err := f.Rooms.LastBefore(ctx, r, at)
	if err != nil || last == nil {
		return true, err
	}
	ev, err := f.Rooms.StateEvent(ctx, r, last.RoomAfter, "m.room.member", user)
	return ev == nil || ev.Membership() != "join", err
}

// news finds the events of the timeline and the states around them.
func (b *syncBuild) news(r *room.Room, viewer *room.Viewer, isNew bool, upto int64) (n roomNews, err error) {
	limit := b.req.Filter.Room.Timeline.LimitOr(defaultTimeline, maxTimeline)
	after := b.after()
	if isNew {
		after = math.MinInt64 + 1
	}
	events, more, err := b.f.Rooms.Since(b.ctx, r, after, upto, max(limit, 1))
	if more && limit > 0 && b.selects() {
		events, more, err = b.seek(r, after, upto, limit)
	}
	if err != nil {
		return n, err
	}
	// Of a room that is new to a client that has synced before, everything before is
	// a gap, as with Synapse.
	n.limited = more || isNew && b.since != nil
	if limit == 0 {
		n.limited = n.limited || len(events) > 0
	}
	if len(events) == 0 {
		return n, b.quiet(r, isNew, upto, &n)
	}
	n.before, n.after = events[0].RoomBefore, events[len(events)-1].RoomAfter
	n.place = events[0].Ord - 1
	if limit == 0 {
		n.before, n.place, events = n.after, events[len(events)-1].Ord, nil
	}
	if !isNew {
		n.known = n.before
		if n.limited {
			last, err := b.f.Rooms.LastBefore(b.ctx, r, after)
			if err != nil {
				return n, err
			}
			if last != nil {
				n.known = last.RoomAfter
			}
		}
	}
	visible, err := viewer.Visible(events)
	if err != nil {
		return n, err
	}
	if len(visible) < len(events) && isNew {
		n.limited = true
		if len(visible) > 0 {
			n.before, n.place = visible[0].RoomBefore, visible[0].Ord-1
		}
	}
	for _, ev := range visible {
		if b.timelineWants(ev) {
			n.events = append(n.events, ev)
		}
	}
	n.events, err = b.related(r, n.events)
	return n, err
}

// selects reports whether the client wants only some events of the timeline.
func (b *syncBuild) selects() bool { return b.req.Filter.Room.Timeline.Selects() }

// seek is Rooms.Since for a client that wants only some events: it goes as far
// back as limit of those are.
func (b *syncBuild) seek(r *room.Room, after, upto int64, limit int) (events []*room.Event, more bool, err error) {
	for n := max(limit, defaultTimeline); ; {
		n = min(4*n, maxTimeline)
		if events, more, err = b.f.Rooms.Since(b.ctx, r, after, upto, n); err != nil {
			return nil, false, err
		}
		wanted := 0
		for i, ev := range slices.Backward(events) {
			if !b.timelineWants(ev) {
				continue
			}
			if wanted++; wanted > limit {
				return events[i+1:], true, nil
			}
		}
		if wanted == limit || !more || n == maxTimeline {
			return events, more, nil
		}
	}
}

// quiet fills in the states of a room without new events.
func (b *syncBuild) quiet(r *room.Room, isNew bool, upto int64, n *roomNews) error {
	last, err := b.f.Rooms.LastBefore(b.ctx, r, upto)
	if err != nil || last == nil {
		return err
	}
	n.before, n.after, n.place = last.RoomAfter, last.RoomAfter, last.Ord
	if !isNew {
		n.known = n.after
	}
	return nil
}

func (b *syncBuild) timelineWants(ev *room.Event) bool {
	return !hidden(b.ignored, ev) && matches(b.req.Filter.Room.Timeline, ev)
}

func (b *syncBuild) timeline(r *room.Room, viewer *room.Viewer, n roomNews) error {
	b.out = append(b.out, `"timeline":{"events":`...)
	// A client that knows all events before these has counted their relations
	// itself; another needs to be told.
	b.enc.bundle = n.limited || n.known == 0
	var err error
	if b.out, err = b.enc.AppendArray(b.ctx, b.out, r, viewer, n.events); err != nil {
		return err
	}
	b.out = append(b.out, `,"limited":`...)
	b.out = strconv.AppendBool(b.out, n.limited)
	b.out = append(b.out, `,"prev_batch":"`...)
	b.out = append(b.out, PlaceToken(n.place)...)
	b.out = append(b.out, `"}`...)
	return nil
}

// state writes the state that the client needs to understand the timeline. It
// reports whether memberships changed since the client looked.
func (b *syncBuild) state(r *room.Room, n roomNews, isNew bool) (members bool, err error) {
	upto, name := n.before, "state"
	if b.req.StateAfter != "" {
		upto, name = n.after, b.req.StateAfter
	}
	known := n.known
	if isNew || b.req.FullState {
		known = 0
	}
	delta, err := b.f.Rooms.StateDiff(b.ctx, known, upto)
	if err != nil {
		return false, err
	}
	if b.req.StateAfter == "" && b.selects() {
		// What the filter keeps out of the timeline is told here.
		end, err := b.f.Rooms.StateDiff(b.ctx, known, n.after)
		if err != nil {
			return false, err
		}
		for _, ev := range n.events {
			delete(end, ev.SK)
		}
		maps.Copy(delta, end)
	}
	events, memberDelta, err := b.pick(r, delta)
	if err != nil {
		return false, err
	}
	if b.lazy() {
		if events, err = b.addSenders(r, n, upto, events, isNew); err != nil {
			return false, err
		}
	}
	members = memberDelta
	for _, ev := range n.events {
		members = members || ev.Type == "m.room.member"
	}
	if len(events) == 0 && b.req.StateAfter == "" {
		return members, nil
	}
	b.out = append(b.out, `,"`...)
	b.out = append(b.out, name...)
	b.out = append(b.out, `":{"events":`...)
	if b.out, err = b.enc.AppendState(b.ctx, b.out, r, events); err != nil {
		return false, err
	}
	b.out = append(b.out, '}')
	return members, nil
}

// lazy reports whether the client wants only those members that it needs.
func (b *syncBuild) lazy() bool {
	return b.eitherFilter(func(f *personal.EventFilter) bool { return f.LazyLoadMembers })
}

// eitherFilter asks the filters of state and of the timeline: clients set the
// options of lazy loading in the one or the other.
func (b *syncBuild) eitherFilter(is func(*personal.EventFilter) bool) bool {
	state, timeline := b.req.Filter.Room.State, b.req.Filter.Room.Timeline
	return state != nil && is(state) || timeline != nil && is(timeline)
}

// matches reports whether a filter lets an event pass.
func matches(f *personal.EventFilter, ev *room.Event) bool {
	if f == nil {
		return true
	}
	hasURL := false
	if f.ContainsURL != nil {
		_, hasURL = ev.GetString("url")
	}
	if f.AsksRelation() {
		rel, _ := ev.Relation()
		if !f.MatchRelation(rel.RelType) {
			return false
		}
	}
	return f.Match(ev.Type, ev.Sender, hasURL) && f.MatchRoom(ev.RoomID)
}

// related leaves out events that nobody relates to, if the filter wants that.
func (b *syncBuild) related(r *room.Room, events []*room.Event) ([]*room.Event, error) {
	f := b.req.Filter.Room.Timeline
	if !f.AsksRelated() || len(events) == 0 {
		return events, nil
	}
	x := relation.Reader{Rooms: b.f.Rooms, Room: r}
	return x.Related(b.ctx, events, f.RelatedBySenders, f.RelatedByRelTypes)
}

// pick loads the events of a state delta that the filter wants; with lazy
// loading, without members.
func (b *syncBuild) pick(r *room.Room, delta map[int64]int64) (events []*room.Event, members bool, err error) {
	if len(delta) == 0 {
		return nil, false, nil
	}
	filter := b.req.Filter.Room.State
	sks := make([]int64, 0, len(delta))
	for sk := range delta {
		sks = append(sks, sk)
	}
	names, err := b.f.Rooms.KeyNames(b.ctx, sks)
	if err != nil {
		return nil, false, err
	}
	lazy := b.lazy()
	nids := make([]int64, 0, len(delta))
	for sk, nid := range delta {
		key := names[sk]
		isMember := key.Type == "m.room.member"
		members = members || isMember
		if nid == 0 || isMember && lazy && key.StateKey != b.u.id {
			continue
		}
		nids = append(nids, nid)
	}
	all, err := b.f.Rooms.EventsSorted(b.ctx, r.Version, nids)
	for _, ev := range all {
		if matches(filter, ev) {
			events = append(events, ev)
		}
	}
	return events, members, err
}

// addSenders adds the member events of those who appear in the timeline
// (client-server-api/#lazy-loading-room-members).
func (b *syncBuild) addSenders(r *room.Room, n roomNews, root int64, events []*room.Event, isNew bool) ([]*room.Event, error) {
	have := map[string]bool{}
	for _, ev := range events {
		if ev.Type == "m.room.member" {
			have[*ev.StateKey] = true
		}
	}
	redundant := b.eitherFilter(func(f *personal.EventFilter) bool { return f.IncludeRedundantMembers })
	want := make([]string, 0, len(n.events)+1)
	for _, ev := range n.events {
		want = append(want, ev.Sender)
		if ev.Type == "m.room.member" && ev.StateKey != nil && b.req.StateAfter != "" {
			want = append(want, *ev.StateKey)
		}
	}
	for _, user := range want {
		if have[user] {
			continue
		}
		have[user] = true
		ev, err := b.f.Rooms.StateEvent(b.ctx, r, root, "m.room.member", user)
		if err != nil {
			return nil, err
		}
		if ev == nil || !b.sent.first(r.NID, user, ev.NID) && !redundant && !isNew {
			continue
		}
		events = append(events, ev)
	}
	return events, nil
}

// left writes a room that the user has left: what happened up to that.
func (b *syncBuild) left(r *room.Room, ur *userRoom) (bool, error) {
	viewer, err := b.f.Rooms.ViewerOf(b.ctx, r, ur.Member)
	if err != nil {
		return false, err
	}
	leave, err := b.f.Rooms.Events(b.ctx, r.Version, []int64{ur.Event})
	if err != nil || len(leave) == 0 {
		return false, err
	}
	out := b.since != nil && !b.req.FullState && viewer.JoinedUntil() <= b.since.Pos
	if out || viewer.JoinedUntil() == math.MinInt64 {
		return true, b.declined(r, viewer, leave[0])
	}
	isNew, err := b.newToClient(r, ur)
	if err != nil {
		return false, err
	}
	news, err := b.news(r, viewer, isNew, ur.Event)
	if err != nil {
		return false, err
	}
	if n := len(news.events); n == 0 || news.events[n-1].NID != ur.Event {
		if b.req.Filter.Room.Timeline.LimitOr(defaultTimeline, maxTimeline) > 0 && b.timelineWants(leave[0]) {
			news.events = append(news.events, leave[0])
		}
	}
	b.out = append(b.out, '{')
	if err := b.timeline(r, viewer, news); err != nil {
		return false, err
	}
	if _, err := b.state(r, news, isNew); err != nil {
		return false, err
	}
	if data := b.roomData(r.NID); len(data) > 0 {
		b.out = append(b.out, `,"account_data":`...)
		b.appendData(data)
	}
	b.out = append(b.out, '}')
	return true, nil
}

// declined writes a room that the user was in neither at its token nor since:
// the event that ended an invite or a ban, and nothing of the room.
func (b *syncBuild) declined(r *room.Room, viewer *room.Viewer, ev *room.Event) error {
	b.out = append(b.out, '{')
	err := b.timeline(r, viewer, roomNews{events: []*room.Event{ev}, place: ev.Ord - 1})
	b.out = append(b.out, '}')
	return err
}
