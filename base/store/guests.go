package store

import "hearth/base/db"

// GuestsIn returns the guests of this server who are members of a room.
func GuestsIn(tx *db.Tx, room int64) ([]string, error) {
	return db.All(tx, db.Value[string], `
		SELECT m.usr FROM memberships m JOIN users u ON u.usr = m.usr
		WHERE m.room = $1 AND m.membership = $2 AND u.guest = $3 ORDER BY m.usr`, room, Join, true)
}
