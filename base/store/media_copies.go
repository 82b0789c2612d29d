package store

import (
	"strconv"

	"hearth/base/db"
)

// copies are those of other servers' files that may go, in the words of the index
// media_fetched.
const copies = ` FROM media WHERE fetched = TRUE AND quarantined_by = ''`

// SumCopies adds up the copies of other servers' files that may go, in bytes.
func SumCopies(tx *db.Tx) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT)`+copies)
}

// OldestCopies returns the copies of other servers' files that nobody has looked at
// for longest.
func OldestCopies(tx *db.Tx, limit int) ([]Media, error) {
	return db.All(tx, (*Media).columns, `SELECT `+mediaColumns+copies+` ORDER BY used LIMIT `+strconv.Itoa(limit))
}

// AddLitter notes bytes that are nothing's.
func AddLitter(tx *db.Tx, hash string) error {
	return tx.Exec(`INSERT INTO blob_litter (hash) VALUES ($1) ON CONFLICT (hash) DO NOTHING`, hash)
}

// DeleteLitter forgets such bytes.
func DeleteLitter(tx *db.Tx, hash string) error {
	return tx.Exec(`DELETE FROM blob_litter WHERE hash = $1`, hash)
}

// Litter returns such bytes behind a hash.
func Litter(tx *db.Tx, after string, limit int) ([]string, error) {
	return db.All(tx, db.Value[string], `SELECT hash FROM blob_litter WHERE hash > $1 ORDER BY hash LIMIT `+strconv.Itoa(limit), after)
}
