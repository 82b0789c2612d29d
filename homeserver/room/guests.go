package room

import (
	"context"

	"hearth/base/db"
	"hearth/base/store"
)

// ExpelGuests lets the guests of this server leave a room that does not welcome
// them any more. Where they are welcome it does nothing
// (client-server-api/#guest-access).
func (e *Engine) ExpelGuests(ctx context.Context, r *Room) error {
	v := newView(ctx, e, r, r.Current().State)
	if welcome := guestsMayJoin(v); welcome || v.err != nil {
		return v.err
	}
	var guests []string
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		guests, err = store.GuestsIn(tx, r.NID)
		return err
	})
	if err != nil {
		return err
	}
	for _, user := range guests {
		if err := e.Leave(ctx, user, r.ID, "Guests are not welcome any more"); err != nil {
			return err
		}
	}
	return nil
}
