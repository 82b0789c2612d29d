package room

import (
	"context"

	"hearth/base/store"
	"hearth/matrix/authrules"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// Import makes a room that another server created, from its create event.
// Everything else comes through Receive.
func (e *Engine) Import(ctx context.Context, id string, v *roomver.Version, create *pdu.Event) error {
	if err := authrules.Check(create, func(string, string) *pdu.Event { return nil }); err != nil {
		return refusal(create, err)
	}
	r := newRoom(0, id, v)
	r.set(&Current{Room: store.Room{Version: v.ID}})
	lk, err := r.acquire(ctx)
	if err != nil {
		return err
	}
	defer lk.release()
	b := &batch{isNew: true}
	b.add(&Event{Event: create}, newView(ctx, e, r, 0), nil)
	return e.commit(ctx, lk, b)
}
