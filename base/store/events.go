package store

import (
	"fmt"

	"hearth/base/db"
)

// EventFlags are facts about an event that the server decided.
type EventFlags int64

// The flags.
const (
	// Rejected events failed the authorization rules. They are kept because
	// others may refer to them, and shown to nobody.
	Rejected EventFlags = 1 << iota
	// SoftFailed events passed by their own state but not by the current one.
	SoftFailed
)

// Event is the row of an event.
type Event struct {
	NID        int64
	Room       int64
	EventID    string
	Ord        *int64 // place in the timeline; nil if it has none
	SK         *int64 // the state key it sets; nil for other events
	State      *int64 // root of the state before it; nil if unknown
	StateAfter *int64 // root after it; nil if it is State
	RoomBefore *int64 // root of the room's current state before it came; nil if it is State
	RoomAfter  *int64 // and after; nil if it is StateAfter
	Auth       []int64
	Flags      EventFlags
	RedactedBy *int64
	Txn        []byte // "DEVICE\x00txnid" of the request that made it; nil if none
	JSON       []byte

	auth []byte
}

func (e *Event) columns() []any {
	return []any{&e.NID, &e.Room, &e.EventID, &e.Ord, &e.SK, &e.State, &e.StateAfter, &e.RoomBefore, &e.RoomAfter, &e.auth, &e.Flags, &e.RedactedBy, &e.Txn, &e.JSON}
}

const eventColumns = `nid, room, event_id, ord, sk, state, state_after, room_before, room_after, auth, flags, redacted_by, txn, json`

// InsertEvent stores an event.
func InsertEvent(tx *db.Tx, e Event) error {
	return tx.Exec(`
		INSERT INTO events (`+eventColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		e.NID, e.Room, e.EventID, e.Ord, e.SK, e.State, e.StateAfter, e.RoomBefore, e.RoomAfter, packNIDs(e.Auth), e.Flags, e.RedactedBy, e.Txn, e.JSON)
}

// RedactEvent replaces an event by its redacted form for good.
func RedactEvent(tx *db.Tx, nid, by int64, redacted []byte) error {
	return tx.Exec(`UPDATE events SET redacted_by = $1, json = $2 WHERE nid = $3`, by, redacted, nid)
}

// EventByID returns an event, or db.ErrNoRow.
func EventByID(tx *db.Tx, eventID string) (Event, error) {
	e, err := db.One(tx, (*Event).columns, `SELECT `+eventColumns+` FROM events WHERE event_id = $1`, eventID)
	e.Auth = unpackNIDs(e.auth)
	return e, err
}

// EventsByNID returns those of the events that exist, in no order.
func EventsByNID(tx *db.Tx, nids []int64) ([]Event, error) {
	out := make([]Event, 0, len(nids))
	seen := make(map[int64]bool, len(nids))
	err := db.In(nids, 1, func(in string, args []any) error {
		for e, err := range db.Rows(tx, (*Event).columns, `SELECT `+eventColumns+` FROM events WHERE nid IN (`+in+`)`, args...) {
			if err != nil {
				return err
			}
			if !seen[e.NID] {
				seen[e.NID] = true
				e.Auth = unpackNIDs(e.auth)
				out = append(out, e)
			}
		}
		return nil
	})
	return out, err
}

// NIDsOf returns the numbers of those of the events that are known.
func NIDsOf(tx *db.Tx, eventIDs []string) (map[string]int64, error) {
	type row struct {
		nid int64
		id  string
	}
	out := make(map[string]int64, len(eventIDs))
	err := db.In(eventIDs, 1, func(in string, args []any) error {
		for r, err := range db.Rows(tx, func(r *row) []any { return []any{&r.nid, &r.id} }, `SELECT nid, event_id FROM events WHERE event_id IN (`+in+`)`, args...) {
			if err != nil {
				return err
			}
			out[r.id] = r.nid
		}
		return nil
	})
	return out, err
}

// Timeline returns up to limit events of a room in timeline order: with
// backward, those before the place from, newest first; else those after it,
// oldest first. Places are exclusive; upto bounds the far end, exclusive too.
func Timeline(tx *db.Tx, room, from, upto int64, backward bool, limit int) ([]Event, error) {
	const columns = `SELECT ` + eventColumns + ` FROM events WHERE room = $1 AND ord IS NOT NULL `
	query := columns + `AND ord > $2 AND ord < $3 ORDER BY ord LIMIT `
	if backward {
		query = columns + `AND ord < $2 AND ord > $3 ORDER BY ord DESC LIMIT `
	}
	events, err := db.All(tx, (*Event).columns, query+fmt.Sprint(pageSize(limit)), room, from, upto)
	for i := range events {
		events[i].Auth = unpackNIDs(events[i].auth)
	}
	return events[:min(limit, len(events))], err
}

// pageSize rounds a limit up, so that few statements need to be prepared.
func pageSize(limit int) int {
	for _, n := range []int{1, 11, 21, 51, 101, 201, 501, 1001} {
		if limit <= n {
			return n
		}
	}
	return limit
}

// SetTxn remembers which event a client's transaction made. A key that is
// there already fails the transaction.
func SetTxn(tx *db.Tx, key []byte, event, at int64) error {
	return tx.Exec(`INSERT INTO txns (key, event, at) VALUES ($1, $2, $3)`, key, event, at)
}

// Txn returns the event that a transaction made, or db.ErrNoRow.
func Txn(tx *db.Tx, key []byte) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT event FROM txns WHERE key = $1`, key)
}

// DeleteTxnsBefore forgets transactions that no client repeats any more.
func DeleteTxnsBefore(tx *db.Tx, at int64) error {
	return tx.Exec(`DELETE FROM txns WHERE at < $1`, at)
}

// EventIDs returns the ids of events, in no order.
func EventIDs(tx *db.Tx, nids []int64) ([]string, error) {
	var out []string
	err := db.In(nids, 1, func(in string, args []any) error {
		part, err := db.All(tx, db.Value[string], `SELECT event_id FROM events WHERE nid IN (`+in+`)`, args...)
		out = append(out, part...)
		return err
	})
	return out, err
}
