package store

import "hearth/base/db"

// cursor is how far a follower of the event stream has come.
func cursor(tx *db.Tx, name string) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT pos FROM cursors WHERE name = $1`, name)
}

func setCursor(tx *db.Tx, name string, pos int64) error {
	return tx.Exec(`UPDATE cursors SET pos = $1 WHERE name = $2`, pos, name)
}
