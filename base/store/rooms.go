package store

import (
	"encoding/binary"

	"hearth/base/db"
)

// Room is the row of a room: what is needed to add an event to it.
type Room struct {
	NID        int64
	RoomID     string
	Version    string
	RowVersion int64   // raised by each commit; the fence between processes
	State      int64   // root of the current state
	Heads      []int64 // events that no other event follows yet
	Depth      int64   // the greatest depth among the heads
	LastPos    int64   // nid of the newest event in the timeline
	Joined     int64   // members
	Invited    int64
	Listed     bool // in the public room directory
	Related    bool // there are relations between its events

	heads []byte
}

func (r *Room) columns() []any {
	return []any{&r.NID, &r.RoomID, &r.Version, &r.RowVersion, &r.State, &r.heads, &r.Depth, &r.LastPos, &r.Joined, &r.Invited, &r.Listed, &r.Related}
}

const roomColumns = `nid, room_id, version, row_version, state, heads, depth, last_pos, joined, invited, listed, related`

// InsertRoom stores a new room.
func InsertRoom(tx *db.Tx, r Room) error {
	return tx.Exec(`
		INSERT INTO rooms (`+roomColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		r.NID, r.RoomID, r.Version, r.RowVersion, r.State, packNIDs(r.Heads), r.Depth, r.LastPos, r.Joined, r.Invited, r.Listed, r.Related)
}

// UpdateRoom stores what a commit changed in r, whose RowVersion is still the
// one that was read. If another process has written the room since, the
// transaction fails: row_version must not be NULL.
func UpdateRoom(tx *db.Tx, r Room) error {
	return tx.Exec(`
		UPDATE rooms SET
			row_version = CASE WHEN row_version = $1 THEN row_version + 1 ELSE NULL END,
			state = $2, heads = $3, depth = $4, last_pos = $5, joined = $6, invited = $7
		WHERE nid = $8`,
		r.RowVersion, r.State, packNIDs(r.Heads), r.Depth, r.LastPos, r.Joined, r.Invited, r.NID)
}

// RoomByID returns a room, or db.ErrNoRow.
func RoomByID(tx *db.Tx, roomID string) (Room, error) {
	return oneRoom(tx, `SELECT `+roomColumns+` FROM rooms WHERE room_id = $1`, roomID)
}

// RoomByNID returns a room, or db.ErrNoRow.
func RoomByNID(tx *db.Tx, nid int64) (Room, error) {
	return oneRoom(tx, `SELECT `+roomColumns+` FROM rooms WHERE nid = $1`, nid)
}

func oneRoom(tx *db.Tx, query string, arg any) (Room, error) {
	r, err := db.One(tx, (*Room).columns, query, arg)
	r.Heads = unpackNIDs(r.heads)
	return r, err
}

// SetListed puts a room into the public directory or takes it out.
func SetListed(tx *db.Tx, room int64, listed bool) error {
	return tx.Exec(`UPDATE rooms SET listed = $1 WHERE nid = $2`, listed, room)
}

// ListedRooms returns the rooms of the public directory, those with most
// members first.
func ListedRooms(tx *db.Tx) ([]int64, error) {
	return db.All(tx, db.Value[int64], `SELECT nid FROM rooms WHERE listed = $1 ORDER BY joined DESC, nid`, true)
}

// packNIDs stores a list of numbers as varints.
func packNIDs(nids []int64) []byte {
	b := make([]byte, 0, 5*len(nids)+1)
	for _, n := range nids {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func unpackNIDs(b []byte) []int64 {
	var out []int64
	for len(b) > 0 {
		v, n := binary.Varint(b)
		if n <= 0 {
			return out
		}
		out = append(out, v)
		b = b[n:]
	}
	return out
}
