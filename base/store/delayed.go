package store

import (
	"strconv"

	"hearth/base/db"
)

// DelayedEvent is an event that is to be sent later, or what became of it.
type DelayedEvent struct {
	ID                string
	User, Device, Txn string
	RoomID, Type      string
	StateKey          *string
	Content           []byte
	Sticky            int64 // ms, 0 for what is not sticky
	Timestamp         int64 // ms, what an application service gave; 0 for the time of sending
	Delay             int64 // ms
	Scheduled         int64 // ms
	RunAt             int64 // ms
	Done              int64 // ms; 0 while it waits
	EventID           string
	Error             []byte // JSON, empty for none
}

func (e *DelayedEvent) columns() []any {
	return []any{
		&e.ID, &e.User, &e.Device, &e.Txn, &e.RoomID, &e.Type, &e.StateKey, &e.Content, &e.Sticky, &e.Timestamp, &e.Delay, &e.Scheduled, &e.RunAt, &e.Done, &e.EventID, &e.Error,
	}
}

const delayedColumns = `id, usr, device, txn, room_id, type, state_key, content, sticky, ts, delay, scheduled, run_at, done, event_id, error`

// SetDelayedEvent stores an event, or what became of it.
func SetDelayedEvent(tx *db.Tx, e DelayedEvent) error {
	return tx.Exec(`
		INSERT INTO delayed_events (`+delayedColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		ON CONFLICT (id) DO UPDATE SET scheduled = excluded.scheduled, run_at = excluded.run_at, done = excluded.done,
			event_id = excluded.event_id, error = excluded.error`,
		e.ID, e.User, e.Device, e.Txn, e.RoomID, e.Type, e.StateKey, e.Content, e.Sticky, e.Timestamp, e.Delay, e.Scheduled, e.RunAt, e.Done, e.EventID, e.Error)
}

// DelayedEventByID returns an event, or db.ErrNoRow.
func DelayedEventByID(tx *db.Tx, id string) (DelayedEvent, error) {
	return db.One(tx, (*DelayedEvent).columns, `SELECT `+delayedColumns+` FROM delayed_events WHERE id = $1`, id)
}

// DelayedEventOfTxn returns the event that a client's request made, or
// db.ErrNoRow.
func DelayedEventOfTxn(tx *db.Tx, user, device, txn string) (DelayedEvent, error) {
	return db.One(tx, (*DelayedEvent).columns, `
		SELECT `+delayedColumns+` FROM delayed_events WHERE usr = $1 AND device = $2 AND txn = $3 LIMIT 1`, user, device, txn)
}

// DelayedEventsOf returns a user's events that wait, the next first.
func DelayedEventsOf(tx *db.Tx, user string) ([]DelayedEvent, error) {
	return db.All(tx, (*DelayedEvent).columns, `
		SELECT `+delayedColumns+` FROM delayed_events WHERE usr = $1 AND done = 0 ORDER BY run_at, id`, user)
}

// EndedDelayedEvents returns up to n of a user's events that wait no more, the
// last first.
func EndedDelayedEvents(tx *db.Tx, user string, n int) ([]DelayedEvent, error) {
	return db.All(tx, (*DelayedEvent).columns, `
		SELECT `+delayedColumns+` FROM delayed_events WHERE usr = $1 AND done > 0 ORDER BY done DESC, id LIMIT `+strconv.Itoa(n), user)
}

// TrimDelayedEvents forgets all but the last n of a user's events that wait no
// more.
func TrimDelayedEvents(tx *db.Tx, user string, n int) error {
	return tx.Exec(`
		DELETE FROM delayed_events WHERE usr = $1 AND done > 0 AND done < (
			SELECT done FROM delayed_events WHERE usr = $2 AND done > 0 ORDER BY done DESC LIMIT 1 OFFSET `+strconv.Itoa(n-1)+`)`, user, user)
}

// DueEvents returns up to n events that wait, the next first.
func DueEvents(tx *db.Tx, n int) ([]DelayedEvent, error) {
	return db.All(tx, (*DelayedEvent).columns, `
		SELECT `+delayedColumns+` FROM delayed_events WHERE done = 0 ORDER BY run_at, id LIMIT `+strconv.Itoa(n))
}

// DeleteDelayedEventsBefore forgets what became of events before a time.
func DeleteDelayedEventsBefore(tx *db.Tx, at int64) error {
	return tx.Exec(`DELETE FROM delayed_events WHERE done > 0 AND done < $1`, at)
}
