package store

import (
	"strconv"

	"hearth/base/db"
)

// copies are files of other servers than $1, but for those that must stay. The
// words are those of the index media_copies.
const copies = ` FROM media WHERE usr = '' AND quarantined_by = '' AND origin <> $1`

// SumCopies adds up the copies of other servers' files that may be removed, in
// bytes.
func SumCopies(tx *db.Tx, server string) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT)`+copies, server)
}

// OldestCopies returns the copies of other servers' files that nobody has looked at
// for longest.
func OldestCopies(tx *db.Tx, server string, limit int) ([]Media, error) {
	return db.All(tx, (*Media).columns, `SELECT `+mediaColumns+copies+` ORDER BY used, origin LIMIT `+strconv.Itoa(limit), server)
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
