package feed

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// match is a room that at least one rule of a request matches.
type match struct {
	*userRoom
	ruleKey
}

// candidate is a room of which lists are made.
type candidate struct {
	*userRoom
	active int64 // when something last happened there, as far as the user may know
	room   *room.Room
	facts  *facts
}

// matchRooms finds the rooms that the lists and subscriptions match, and
// returns how many rooms each list has.
func (b *slide) matchRooms() (counts []int, err error) {
	b.byRoom = map[int64]int{}
	if b.req.Extensions.Sticky.Enabled {
		b.interest = map[int64]bool{}
	}
	if len(b.ask.lists) > 0 {
		all, err := b.candidates()
		if err != nil {
			return nil, err
		}
		counts = make([]int, len(b.ask.lists))
		for i := range b.ask.lists {
			if counts[i], err = b.matchList(i, all); err != nil {
				return nil, err
			}
		}
	}
	for i, sub := range b.ask.subs {
		ur, err := b.subscribed(sub.room)
		if err != nil {
			return nil, err
		}
		if ur != nil {
			b.note(ur)
			b.match(ur).sub = i
		}
	}
	return counts, nil
}

// match adds a room to the matches, or finds it there.
func (b *slide) match(ur *userRoom) *match {
	i, ok := b.byRoom[ur.Room]
	if !ok {
		i = len(b.matches)
		b.byRoom[ur.Room] = i
		b.matches = append(b.matches, match{ur, ruleKey{sub: -1}})
	}
	return &b.matches[i]
}

// note adds a room to those of interest.
func (b *slide) note(ur *userRoom) {
	if b.interest != nil {
		b.interest[ur.Room] = true
	}
}

func (b *slide) matchList(i int, all []candidate) (n int, err error) {
	l := &b.ask.lists[i]
	pass, err := b.filter(l.filter)
	if err != nil {
		return 0, err
	}
	for j := range all {
		ok := true
		if pass != nil {
			if ok, err = pass(&all[j]); err != nil {
				return 0, err
			}
		}
		if !ok {
			continue
		}
		b.note(all[j].userRoom)
		if l.covers(n) {
			b.match(all[j].userRoom).lists[i/64] |= 1 << (i % 64)
		}
		n++
	}
	return n, nil
}

// candidates are the user's rooms by activity, the latest first: those the user
// is in, may come into or was thrown out of, and those that the user left when
// the connection knew them.
func (b *slide) candidates() ([]candidate, error) {
	var gone []*userRoom
	rooms := b.u.roomsWhere(func(r *userRoom) bool {
		if r.Forgotten {
			return false
		}
		if r.Membership != store.Join && r.by.Load() == nil {
			gone = append(gone, r)
		}
		return true
	})
	if err := b.whoDid(gone); err != nil {
		return nil, err
	}
	out := make([]candidate, 0, len(rooms))
	for _, r := range rooms {
		ok, err := b.listed(r)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		active := r.Event
		if r.Membership == store.Join {
			active = r.head.LastPos()
		}
		out = append(out, candidate{userRoom: r, active: active})
	}
	slices.SortFunc(out, func(x, y candidate) int { return cmp.Compare(y.active, x.active) })
	return out, nil
}

// cause is who made a membership that is not "join", and what it means.
type cause struct {
	sender string
	ousted bool // the user was a member, and others ended that
}

// whoDid fills in the causes of memberships.
func (b *slide) whoDid(rooms []*userRoom) error {
	if len(rooms) == 0 {
		return nil
	}
	nids := make([]int64, len(rooms))
	for i, r := range rooms {
		nids[i] = r.Event
	}
	var events []store.Event
	err := b.f.DB.Read(b.ctx, func(tx *db.Tx) (err error) {
		events, err = store.EventsByNID(tx, nids)
		return err
	})
	if err != nil {
		return err
	}
	senders := make(map[int64]string, len(events))
	for _, ev := range events {
		senders[ev.NID], _ = canonjson.GetString(ev.JSON, "sender")
	}
	for _, r := range rooms {
		c := cause{sender: senders[r.Event]}
		if (r.Membership == store.Leave || r.Membership == store.Ban) && c.sender != b.u.id {
			if c.ousted, err = b.wasIn(r); err != nil {
				return err
			}
		}
		r.by.Store(&c)
	}
	return nil
}

func (b *slide) wasIn(ur *userRoom) (bool, error) {
	r, err := b.f.Rooms.RoomByNID(b.ctx, ur.Room)
	if err != nil {
		return false, err
	}
	v, err := b.f.Rooms.ViewerOf(b.ctx, r, ur.Member)
	return err == nil && v.JoinedUntil() != math.MinInt64, err
}

// listed reports whether a room can be in a list.
func (b *slide) listed(r *userRoom) (bool, error) {
	switch r.Membership {
	case store.Join:
		return true, nil
	case store.Invite:
		return !b.ignored[r.by.Load().sender], nil
	case store.Knock:
		return true, nil
	}
	if _, known := b.c.rooms[r.Room]; known {
		return true, nil
	}
	return r.by.Load().ousted, nil
}

// subscribed finds a room of the user by its id, nil if there is none that the
// user may know of.
func (b *slide) subscribed(id string) (*userRoom, error) {
	r, err := b.f.Rooms.Room(b.ctx, id)
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			return nil, nil
		}
		return nil, err
	}
	b.u.mu.RLock()
	ur := b.u.rooms[r.NID]
	b.u.mu.RUnlock()
	if ur == nil || ur.Forgotten {
		return nil, nil
	}
	if ur.Membership != store.Join && ur.by.Load() == nil {
		if err := b.whoDid([]*userRoom{ur}); err != nil {
			return nil, err
		}
	}
	if ok, err := b.listed(ur); ok || err != nil || ur.Membership == store.Invite {
		if !ok {
			ur = nil
		}
		return ur, err
	}
	in, err := b.wasIn(ur)
	if !in {
		ur = nil
	}
	return ur, err
}

// filter returns what a list's filter asks of a room, nil for nothing.
func (b *slide) filter(f *SlideFilter) (func(*candidate) (bool, error), error) {
	if f == nil {
		return nil, nil
	}
	invite := f.IsInvited
	if invite == nil {
		invite = f.IsInvite
	}
	children, err := b.children(f.Spaces)
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(f.RoomNameLike)
	return func(c *candidate) (bool, error) {
		if invite != nil && *invite != (c.Membership == store.Invite) {
			return false, nil
		}
		if !b.tagsPass(f, c.Room) {
			return false, nil
		}
		if f.IsDM == nil && f.Spaces == nil && f.IsEncrypted == nil && f.RoomTypes == nil && f.NotRoomTypes == nil && name == "" {
			return true, nil
		}
		if err := b.look(c); err != nil {
			return false, err
		}
		switch {
		case f.IsDM != nil && *f.IsDM != b.own.direct[c.room.ID],
			f.Spaces != nil && !children[c.room.ID],
			f.IsEncrypted != nil && *f.IsEncrypted != c.facts.encrypted(),
			f.RoomTypes != nil && !hasType(f.RoomTypes, c.facts.kind),
			hasType(f.NotRoomTypes, c.facts.kind):
			return false, nil
		}
		if name == "" {
			return true, nil
		}
		have, err := b.f.stateString(b.ctx, c.room, c.facts, "m.room.name", "name")
		return strings.Contains(strings.ToLower(have), name), err
	}, nil
}

func (b *slide) tagsPass(f *SlideFilter, nid int64) bool {
	has := func(tag string) bool { return slices.Contains(b.own.tags[nid], tag) }
	return (f.Tags == nil || slices.ContainsFunc(f.Tags, has)) && !slices.ContainsFunc(f.NotTags, has)
}

func hasType(types []*string, kind *string) bool {
	return slices.ContainsFunc(types, func(t *string) bool {
		return t == nil && kind == nil || t != nil && kind != nil && *t == *kind
	})
}

// look gets the room of a candidate and what filters ask of its state.
func (b *slide) look(c *candidate) (err error) {
	if c.facts != nil {
		return nil
	}
	if c.room, err = b.f.Rooms.RoomByNID(b.ctx, c.Room); err != nil {
		return err
	}
	if c.Membership == store.Join {
		c.facts, err = b.f.facts.of(b.ctx, b.f.Rooms, c.room, c.room.Current().State)
		return err
	}
	events, err := b.f.Rooms.Events(b.ctx, c.room.Version, []int64{c.Event})
	if err != nil {
		return err
	}
	root := int64(0)
	if len(events) > 0 {
		root = events[0].StateAfter
	}
	c.facts, err = sketch(b.ctx, b.f.Rooms, c.room, root)
	return err
}

// children are the rooms of those spaces that the user is in.
func (b *slide) children(spaces []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, id := range spaces {
		r, err := b.f.Rooms.Room(b.ctx, id)
		if err != nil {
			if mxerr.From(err).Code == mxerr.NotFound {
				continue
			}
			return nil, err
		}
		b.u.mu.RLock()
		ur := b.u.rooms[r.NID]
		b.u.mu.RUnlock()
		if ur == nil || ur.Membership != store.Join {
			continue
		}
		facts, err := b.f.facts.of(b.ctx, b.f.Rooms, r, r.Current().State)
		if err != nil {
			return nil, err
		}
		if err := b.f.addChildren(b.ctx, r, facts, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}
