package room

import (
	"context"

	"hearth/base/store"
	"hearth/matrix/pdu"
)

// view is the state that the next event of a batch sees.
type view struct {
	ctx   context.Context
	e     *Engine
	room  *Room
	root  int64
	fresh map[Key]*Event // what differs from the version at root
	gone  map[Key]bool   // what is no longer there
	seen  map[Key]*Event // what was looked up at root, nil for nothing
	err   error          // the first failure of the store
}

func newView(ctx context.Context, e *Engine, r *Room, root int64) *view {
	return &view{ctx: ctx, e: e, room: r, root: root, fresh: map[Key]*Event{}, gone: map[Key]bool{}, seen: map[Key]*Event{}}
}

func (v *view) event(typ, stateKey string) *Event {
	if ev := v.fresh[Key{typ, stateKey}]; ev != nil {
		return ev
	}
	if v.gone[Key{typ, stateKey}] {
		return nil
	}
	if ev, ok := v.seen[Key{typ, stateKey}]; ok {
		return ev
	}
	ev, err := v.e.StateEvent(v.ctx, v.room, v.root, typ, stateKey)
	if err != nil && v.err == nil {
		v.err = err
	}
	v.seen[Key{typ, stateKey}] = ev
	return ev
}

// auth is the view as the authorization rules want it.
func (v *view) auth(typ, stateKey string) *pdu.Event {
	if ev := v.event(typ, stateKey); ev != nil {
		return ev.Event
	}
	return nil
}

func (v *view) set(ev *Event) {
	if ev.StateKey != nil {
		v.fresh[Key{ev.Type, *ev.StateKey}] = ev
	}
}

// membership is a user's membership in the view; None without an event.
func (v *view) membership(user string) store.Membership {
	if ev := v.event("m.room.member", user); ev != nil {
		return store.ParseMembership(ev.Membership())
	}
	return store.None
}
