package store

import "hearth/base/db"

// Listing is a room of the public directory.
type Listing struct {
	Room   int64
	RoomID string
	State  int64 // root of the current state
	Joined int64 // members
}

// Listings returns the rooms of the public directory, those with most members
// first.
func Listings(tx *db.Tx) ([]Listing, error) {
	return db.All(tx, func(l *Listing) []any { return []any{&l.Room, &l.RoomID, &l.State, &l.Joined} },
		`SELECT nid, room_id, state, joined FROM rooms WHERE listed = $1 ORDER BY joined DESC, nid`, true)
}

// Listed reports whether a room is in the public directory.
func Listed(tx *db.Tx, room int64) (bool, error) {
	return db.One(tx, db.Value[bool], `SELECT listed FROM rooms WHERE nid = $1`, room)
}

// MoveAliases lets the local names of one room lead to another.
func MoveAliases(tx *db.Tx, from, to int64) error {
	return tx.Exec(`UPDATE aliases SET room = $1 WHERE room = $2`, to, from)
}
