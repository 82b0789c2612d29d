package personal

import (
	"context"
	"encoding/json"
	"errors"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
)

// SetFullyRead moves a user's fully-read marker to an event of a room, at the
// place ord in its timeline, unless it is further already
// (client-server-api/#fully-read-markers). The caller has checked that the
// event is in the room.
func (e *Engine) SetFullyRead(ctx context.Context, user string, room int64, eventID string, ord int64) error {
	return e.write(ctx, user, room, TypeFullyRead, func(tx *db.Tx, old *store.AccountData) ([]byte, error) {
		if old != nil {
			was, _ := canonjson.GetString(old.Content, "event_id")
			ahead, err := isAhead(tx, was, ord)
			if err != nil {
				return nil, err
			}
			if ahead {
				return nil, errUnchanged
			}
		}
		return json.Marshal(map[string]string{"event_id": eventID})
	})
}

// isAhead reports whether an event is at or behind the place ord.
func isAhead(tx *db.Tx, eventID string, ord int64) (bool, error) {
	ev, err := store.EventByID(tx, eventID)
	if errors.Is(err, db.ErrNoRow) {
		return false, nil
	}
	return err == nil && ev.Ord != nil && *ev.Ord >= ord, err
}
