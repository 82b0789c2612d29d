package store

import "hearth/base/db"

// Alias is a local name of a room.
type Alias struct {
	Alias   string
	Room    int64
	Creator string
	At      int64 // milliseconds since 1970
}

func (a *Alias) columns() []any { return []any{&a.Alias, &a.Room, &a.Creator, &a.At} }

// InsertAlias names a room. It reports false if the name is taken.
func InsertAlias(tx *db.Tx, a Alias) (bool, error) {
	n, err := tx.ExecN(`INSERT INTO aliases (alias, room, creator, at) VALUES ($1, $2, $3, $4) ON CONFLICT (alias) DO NOTHING`,
		a.Alias, a.Room, a.Creator, a.At)
	return n == 1, err
}

// DeleteAlias frees a name.
func DeleteAlias(tx *db.Tx, alias string) error {
	return tx.Exec(`DELETE FROM aliases WHERE alias = $1`, alias)
}

// AliasByName returns an alias, or db.ErrNoRow.
func AliasByName(tx *db.Tx, alias string) (Alias, error) {
	return db.One(tx, (*Alias).columns, `SELECT alias, room, creator, at FROM aliases WHERE alias = $1`, alias)
}

// AliasesOf returns the local names of a room in order.
func AliasesOf(tx *db.Tx, room int64) ([]Alias, error) {
	return db.All(tx, (*Alias).columns, `SELECT alias, room, creator, at FROM aliases WHERE room = $1 ORDER BY alias`, room)
}
