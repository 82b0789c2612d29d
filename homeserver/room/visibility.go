package room

import (
	"context"
	"math"

	"hearth/base/store"
)

// Viewer decides which events of a room one user may see
// (client-server-api/#room-history-visibility). It is made for one request and
// remembers what it looked up.
type Viewer struct {
	e    *Engine
	ctx  context.Context
	room *Room
	user string

	// joinedUntil is the place in the timeline up to which the user was, or
	// is, a member at some time.
	joinedUntil int64
	now         store.Membership
	at          map[int64]moment // by state root

	// What was asked for last: messages in a row have the same state.
	last   int64
	lastAt moment
}

// moment is what matters of the state before an event.
type moment struct {
	visibility string
	membership store.Membership
}

// Viewer returns a Viewer for user in r.
func (e *Engine) Viewer(ctx context.Context, r *Room, user string) (*Viewer, error) {
	m, err := e.memberOf(ctx, r, user)
	if err != nil {
		return nil, err
	}
	return e.viewerOf(ctx, r, m)
}

// ViewerOf is Viewer for a caller who knows the user's membership.
func (e *Engine) ViewerOf(ctx context.Context, r *Room, m store.Member) (*Viewer, error) {
	return e.viewerOf(ctx, r, m)
}

func (e *Engine) viewerOf(ctx context.Context, r *Room, m store.Member) (*Viewer, error) {
	v := &Viewer{e: e, ctx: ctx, room: r, user: m.User, now: m.Membership, at: map[int64]moment{}, joinedUntil: math.MinInt64}
	if m.Membership == store.Join {
		v.joinedUntil = math.MaxInt64
		return v, nil
	}
	ev, err := e.eventByNID(ctx, r.Version, m.Event)
	if err != nil || ev == nil {
		return v, err
	}
	return v, v.findLastJoin(ev)
}

// maxBack bounds how far the story of a user who is gone is followed.
const maxBack = 50

// findLastJoin walks back from the user's current member event to where the
// user was last joined.
func (v *Viewer) findLastJoin(ev *Event) error {
	for range maxBack {
		before, err := v.e.StateEvent(v.ctx, v.room, ev.State, "m.room.member", v.user)
		if err != nil || before == nil {
			return err
		}
		if before.Membership() == "join" {
			v.joinedUntil = ev.Ord
			return nil
		}
		ev = before
	}
	return nil
}

// Membership is the user's current membership.
func (v *Viewer) Membership() store.Membership { return v.now }

// JoinedUntil is the place in the timeline up to which the user has been a
// member, math.MinInt64 if never.
func (v *Viewer) JoinedUntil() int64 { return v.joinedUntil }

// CanSee reports whether the user may see ev.
func (v *Viewer) CanSee(ev *Event) (bool, error) {
	if ev.Flags&(store.Rejected|store.SoftFailed) != 0 {
		return false, nil
	}
	if ev.Ord == 0 {
		return false, nil // without a place in the timeline nothing is known about its time
	}
	m, err := v.moment(ev.State)
	if err != nil {
		return false, err
	}
	if v.allowed(m, ev) {
		return true, nil
	}
	// Events that change who may see them count as both, before and after.
	if ev.StateKey == nil || ev.StateAfter == ev.State {
		return false, nil
	}
	if !ev.Is("m.room.history_visibility", "") && !ev.Is("m.room.member", v.user) {
		return false, nil
	}
	if m, err = v.moment(ev.StateAfter); err != nil {
		return false, err
	}
	return v.allowed(m, ev), nil
}

func (v *Viewer) allowed(m moment, ev *Event) bool {
	if m.visibility == "world_readable" || m.membership == store.Join {
		return true
	}
	switch m.visibility {
	case "joined":
		return false
	case "invited":
		return m.membership == store.Invite && v.joinedUntil > ev.Ord
	}
	return v.joinedUntil > ev.Ord
}

// MembershipAt is the user's membership when ev was sent, that of ev itself if
// it is about the user (client-server-api/#definition-clientevent_unsigneddata).
func (v *Viewer) MembershipAt(ev *Event) (store.Membership, error) {
	root := ev.State
	if ev.Is("m.room.member", v.user) {
		root = ev.StateAfter
	}
	m, err := v.moment(root)
	return m.membership, err
}

func (v *Viewer) moment(root int64) (m moment, err error) {
	if root == v.last && root != 0 {
		return v.lastAt, nil
	}
	m, ok := v.at[root]
	if !ok {
		if m, err = v.momentAnew(root); err != nil {
			return m, err
		}
		v.at[root] = m
	}
	v.last, v.lastAt = root, m
	return m, nil
}

func (v *Viewer) momentAnew(root int64) (moment, error) {
	m := moment{visibility: "shared"}
	ev, err := v.e.StateEvent(v.ctx, v.room, root, "m.room.history_visibility", "")
	if err != nil {
		return m, err
	}
	if ev != nil {
		if s, ok := ev.GetString("history_visibility"); ok {
			m.visibility = s
		}
	}
	if ev, err = v.e.StateEvent(v.ctx, v.room, root, "m.room.member", v.user); err != nil {
		return m, err
	}
	if ev != nil {
		m.membership = store.ParseMembership(ev.Membership())
	}
	return m, nil
}

// Shown is ev as the user may see it: redacted, if it is Erased.
func (v *Viewer) Shown(ev *Event) (*Event, error) {
	if gone, err := v.Erased(ev); err != nil || !gone {
		return ev, err
	}
	return ev.Redacted()
}

// Erased reports whether ev is hidden because its sender wanted to be forgotten:
// from those who were neither there when it was sent nor when the sender left. A
// room's state stays, or the room would look broken, but for what it says of people
// (client-server-api/#post_matrixclientv3accountdeactivate, "erase").
func (v *Viewer) Erased(ev *Event) (bool, error) {
	if v.e.Config.Erased == nil || ev.RedactedBy != 0 || ev.StateKey != nil && ev.Type != "m.room.member" {
		return false, nil
	}
	if m, err := v.MembershipAt(ev); err != nil || m == store.Join {
		return false, err
	}
	if gone, err := v.e.Config.Erased(v.ctx, ev.Sender); err != nil || !gone {
		return false, err
	}
	left, err := v.e.StateEvent(v.ctx, v.room, v.room.Current().State, "m.room.member", ev.Sender)
	if err != nil || left == nil {
		return true, err
	}
	then, err := v.moment(left.State)
	return then.membership != store.Join, err
}

// Visible keeps those of events that the user may see.
func (v *Viewer) Visible(events []*Event) ([]*Event, error) {
	out := events[:0:0]
	for _, ev := range events {
		ok, err := v.CanSee(ev)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, ev)
		}
	}
	return out, nil
}
