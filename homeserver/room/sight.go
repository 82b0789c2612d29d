package room

import (
	"context"
	"math"

	"hearth/base/store"
	"hearth/matrix/authrules"
	"hearth/matrix/mxerr"
)

// Sight is what one user may read of a room.
type Sight struct {
	*Viewer
	Room  *Room
	State int64 // root of the newest state that the user may read
	// Last is the place in the timeline after which there is nothing for the
	// user, math.MaxInt64 while there may be more.
	Last int64
}

// Sight returns what user may read of a room. Members read all; those who were
// members read what was there when they left, until they forget the room; a
// world-readable room is open to everybody. Others get M_FORBIDDEN, for rooms
// that are not here too (client-server-api/#room-history-visibility).
func (e *Engine) Sight(ctx context.Context, roomID, user string) (*Sight, error) {
	r, err := e.Room(ctx, roomID)
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			return nil, errUnknownRoom(user)
		}
		return nil, err
	}
	m, err := e.memberOf(ctx, r, user)
	if err != nil {
		return nil, err
	}
	return e.SightOf(ctx, r, m)
}

// SightOf is Sight for a caller who knows the user's membership.
func (e *Engine) SightOf(ctx context.Context, r *Room, m store.Member) (*Sight, error) {
	if m.Forgotten {
		m = store.Member{User: m.User, Room: m.Room} // as if never there
	}
	v := e.stranger(ctx, r, m)
	if m.Event != 0 {
		var err error
		if v, err = e.viewerOf(ctx, r, m); err != nil {
			return nil, err
		}
	}
	s := &Sight{Viewer: v, Room: r, State: r.Current().State, Last: math.MaxInt64}
	if m.Membership == store.Join {
		return s, nil
	}
	open, err := e.worldReadable(ctx, r)
	if err != nil {
		return nil, err
	}
	switch {
	case v.JoinedUntil() != math.MinInt64:
		return s, e.atLeaving(ctx, s, open)
	case !open:
		return nil, errUnknownRoom(m.User)
	}
	return s, nil
}

func (e *Engine) stranger(ctx context.Context, r *Room, m store.Member) *Viewer {
	return &Viewer{e: e, ctx: ctx, room: r, user: m.User, now: m.Membership, at: map[int64]moment{}, joinedUntil: math.MinInt64}
}

// atLeaving makes s that of a user who was last a member at JoinedUntil.
func (e *Engine) atLeaving(ctx context.Context, s *Sight, open bool) error {
	left, err := e.LastBefore(ctx, s.Room, s.JoinedUntil())
	if err != nil || left == nil {
		return err
	}
	s.State = left.StateAfter
	if !open {
		s.Last = left.Ord
	}
	return nil
}

func (e *Engine) worldReadable(ctx context.Context, r *Room) (bool, error) {
	ev, err := e.StateEvent(ctx, r, r.Current().State, "m.room.history_visibility", "")
	if err != nil || ev == nil {
		return false, err
	}
	s, _ := ev.GetString("history_visibility")
	return s == "world_readable", nil
}

// StateAt is the root of the state after the event at a place in the timeline,
// or that of the newest one before it. It is never newer than State. Before the
// room began nobody was there, which helps no client that looks at its first
// page: it gets the state in which the creator had joined.
func (s *Sight) StateAt(ctx context.Context, ord int64) (int64, error) {
	limit := s.Room.LastPos()
	if s.now != store.Join && s.joinedUntil != math.MinInt64 {
		limit = s.joinedUntil
	}
	if ord >= limit {
		return s.State, nil
	}
	ev, err := s.e.LastBefore(ctx, s.Room, ord)
	if err != nil {
		return 0, err
	}
	if ev == nil {
		first, err := s.e.After(ctx, s.Room, math.MinInt64, math.MaxInt64, 2)
		if err != nil || len(first) == 0 {
			return 0, err
		}
		ev = first[len(first)-1]
	}
	return ev.StateAfter, nil
}

// Levels are the power levels of the state at root.
func (e *Engine) Levels(ctx context.Context, r *Room, root int64) (Levels, error) {
	v := newView(ctx, e, r, root)
	p := e.levels(v)
	return Levels{p}, v.err
}

// Levels answers who may do what in a room.
type Levels struct{ authrules.PowerLevels }

// MaySet reports whether a user's power suffices to set state of a type.
func (l *Levels) MaySet(user, typ string) bool { return l.User(user) >= l.ForEvent(typ, true) }

// Carry lets what is known of the state on one side of an event count for the
// other, unless the event changes who may see what. Who walks a timeline and
// calls it before CanSee looks into few versions of the state.
func (v *Viewer) Carry(ev *Event) {
	if ev.State == ev.StateAfter || ev.Is("m.room.history_visibility", "") || ev.Is("m.room.member", v.user) {
		return
	}
	if m, ok := v.at[ev.State]; ok {
		v.at[ev.StateAfter] = m
	} else if m, ok := v.at[ev.StateAfter]; ok {
		v.at[ev.State] = m
	}
}

// Now reports whether the user may read what happens in the room now: as a
// member, or because everybody may.
func (s *Sight) Now() bool { return s.Last == math.MaxInt64 }
