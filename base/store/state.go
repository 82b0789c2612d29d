package store

import (
	"errors"

	"hearth/base/db"
	"hearth/base/trie"
)

// StateKey is an interned pair of event type and state key.
type StateKey struct {
	NID            int64
	Type, StateKey string
}

func (k *StateKey) columns() []any { return []any{&k.NID, &k.Type, &k.StateKey} }

// FindStateKey returns the number of a state key, or 0 if no event ever used
// it.
func FindStateKey(tx *db.Tx, typ, stateKey string) (int64, error) {
	nid, err := db.One(tx, db.Value[int64], `SELECT nid FROM state_keys WHERE type = $1 AND state_key = $2`, typ, stateKey)
	if errors.Is(err, db.ErrNoRow) {
		return 0, nil
	}
	return nid, err
}

// InsertStateKey interns a state key under a number from tx.NextPos.
func InsertStateKey(tx *db.Tx, k StateKey) error {
	return tx.Exec(`INSERT INTO state_keys (nid, type, state_key) VALUES ($1, $2, $3)`, k.NID, k.Type, k.StateKey)
}

// StateKeysByNID returns what the numbers stand for, in no order.
func StateKeysByNID(tx *db.Tx, nids []int64) ([]StateKey, error) {
	out := make([]StateKey, 0, len(nids))
	err := db.In(nids, 1, func(in string, args []any) error {
		part, err := db.All(tx, (*StateKey).columns, `SELECT nid, type, state_key FROM state_keys WHERE nid IN (`+in+`)`, args...)
		out = append(out, part...)
		return err
	})
	return out, err
}

// InsertPacks stores new nodes of a room's state trie.
func InsertPacks(tx *db.Tx, room int64, packs []trie.Pack) error {
	for _, p := range packs {
		if err := tx.Exec(`INSERT INTO state_packs (nid, room, blob) VALUES ($1, $2, $3)`, p.ID, room, p.Blob); err != nil {
			return err
		}
	}
	return nil
}

// StatePack returns one pack, or db.ErrNoRow.
func StatePack(tx *db.Tx, nid int64) (trie.Pack, error) {
	blob, err := db.One(tx, db.Value[[]byte], `SELECT blob FROM state_packs WHERE nid = $1`, nid)
	return trie.Pack{ID: nid, Blob: blob}, err
}

// SetCurrentState records that event now holds a state key; 0 that none does.
func SetCurrentState(tx *db.Tx, room, sk, event int64) error {
	if event == 0 {
		return tx.Exec(`DELETE FROM current_state WHERE room = $1 AND sk = $2`, room, sk)
	}
	return tx.Exec(`
		INSERT INTO current_state (room, sk, event) VALUES ($1, $2, $3)
		ON CONFLICT (room, sk) DO UPDATE SET event = excluded.event`, room, sk, event)
}

// CurrentState returns the events of a room's current state. With members
// false it leaves out m.room.member events.
func CurrentState(tx *db.Tx, room int64, members bool) ([]Event, error) {
	query := `
		SELECT e.nid, e.room, e.event_id, e.ord, e.sk, e.state, e.state_after, e.room_before, e.room_after, e.auth, e.flags, e.redacted_by, e.txn, e.json
		FROM current_state c JOIN events e ON e.nid = c.event `
	if !members {
		query += `JOIN state_keys k ON k.nid = c.sk AND k.type <> 'm.room.member' `
	}
	events, err := db.All(tx, (*Event).columns, query+`WHERE c.room = $1 ORDER BY e.nid`, room)
	for i := range events {
		events[i].Auth = unpackNIDs(events[i].auth)
	}
	return events, err
}
