package store

import "hearth/base/db"

// ProfileField is a row of profiles.
type ProfileField struct {
	Field string
	Value string // JSON
}

func (p *ProfileField) columns() []any { return []any{&p.Field, &p.Value} }

// Profile lists the fields of a user's profile by name.
func Profile(tx *db.Tx, user string) ([]ProfileField, error) {
	return db.All(tx, (*ProfileField).columns, `
		SELECT field, value FROM profiles WHERE usr = $1 ORDER BY field`, user)
}

// ProfileValue returns the JSON of one field, or db.ErrNoRow.
func ProfileValue(tx *db.Tx, user, field string) (string, error) {
	return db.One(tx, db.Value[string], `SELECT value FROM profiles WHERE usr = $1 AND field = $2`, user, field)
}

// SetProfileValue stores one field.
func SetProfileValue(tx *db.Tx, user, field, value string) error {
	return tx.Exec(`
		INSERT INTO profiles (usr, field, value) VALUES ($1, $2, $3)
		ON CONFLICT (usr, field) DO UPDATE SET value = excluded.value`, user, field, value)
}

// DeleteProfileValue removes one field. It reports whether there was one.
func DeleteProfileValue(tx *db.Tx, user, field string) (bool, error) {
	n, err := tx.ExecN(`DELETE FROM profiles WHERE usr = $1 AND field = $2`, user, field)
	return n == 1, err
}

// DeleteProfile removes all fields.
func DeleteProfile(tx *db.Tx, user string) error {
	return tx.Exec(`DELETE FROM profiles WHERE usr = $1`, user)
}
