package store

import (
	"strconv"

	"hearth/base/db"
)

// StickyEvent is an event that is shown to everybody in its room until a time
// (MSC4354).
type StickyEvent struct {
	NID, Room int64
	User      string
	Until     int64 // ms
}

func (e *StickyEvent) columns() []any { return []any{&e.NID, &e.Room, &e.User, &e.Until} }

// InsertStickyEvent stores a sticky event. If its room then has more than ofRoom of
// them, or its sender more than ofUser there, the oldest are forgotten.
func InsertStickyEvent(tx *db.Tx, e StickyEvent, ofRoom, ofUser int) error {
	if err := tx.Exec(`INSERT INTO sticky_events (nid, room, usr, until) VALUES ($1, $2, $3, $4)`, e.NID, e.Room, e.User, e.Until); err != nil {
		return err
	}
	err := tx.Exec(`
		DELETE FROM sticky_events WHERE room = $1 AND usr = $2 AND nid <= (
			SELECT nid FROM sticky_events WHERE room = $3 AND usr = $4 ORDER BY nid DESC LIMIT 1 OFFSET `+strconv.Itoa(ofUser)+`)`,
		e.Room, e.User, e.Room, e.User)
	if err != nil {
		return err
	}
	return tx.Exec(`
		DELETE FROM sticky_events WHERE room = $1 AND nid <= (
			SELECT nid FROM sticky_events WHERE room = $2 ORDER BY nid DESC LIMIT 1 OFFSET `+strconv.Itoa(ofRoom)+`)`,
		e.Room, e.Room)
}

// StickyEvents returns what is sticky after a time, the oldest first.
func StickyEvents(tx *db.Tx, after int64) ([]StickyEvent, error) {
	return db.All(tx, (*StickyEvent).columns, `SELECT nid, room, usr, until FROM sticky_events WHERE until > $1 ORDER BY nid`, after)
}

// DeleteStickyEvents forgets what is no longer sticky at a time.
func DeleteStickyEvents(tx *db.Tx, at int64) error {
	return tx.Exec(`DELETE FROM sticky_events WHERE until <= $1`, at)
}
