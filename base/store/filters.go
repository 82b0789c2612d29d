package store

import (
	"errors"

	"hearth/base/db"
)

// AddFilter stores a filter and returns its number: that of an equal one if
// the user has it already. Of many filters, the oldest are dropped so that
// keep remain. hash identifies the filter.
func AddFilter(tx *db.Tx, user string, hash, filter []byte, keep int64) (int64, error) {
	id, err := db.One(tx, db.Value[int64], `SELECT id FROM filters WHERE usr = $1 AND hash = $2`, user, hash)
	if !errors.Is(err, db.ErrNoRow) {
		return id, err
	}
	id, err = db.One(tx, db.Value[int64], `SELECT COALESCE(MAX(id), 0) + 1 FROM filters WHERE usr = $1`, user)
	if err != nil {
		return 0, err
	}
	if err := tx.Exec(`DELETE FROM filters WHERE usr = $1 AND id <= $2`, user, id-keep); err != nil {
		return 0, err
	}
	return id, tx.Exec(`INSERT INTO filters (usr, id, hash, filter) VALUES ($1, $2, $3, $4)`, user, id, hash, filter)
}

// Filter returns a filter as it was uploaded, or db.ErrNoRow.
func Filter(tx *db.Tx, user string, id int64) ([]byte, error) {
	return db.One(tx, db.Value[[]byte], `SELECT filter FROM filters WHERE usr = $1 AND id = $2`, user, id)
}
