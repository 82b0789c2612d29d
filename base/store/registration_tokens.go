package store

import "hearth/base/db"

// RegistrationToken is a row of registration_tokens: an invitation to make an
// account.
type RegistrationToken struct {
	Token       string
	UsesAllowed *int64 // nil for any number
	Completed   int64  // accounts made with it
	Expires     *int64 // ms, nil for never
	Created     int64  // ms
}

const registrationTokenColumns = `token, uses_allowed, completed, expires, created`

func (t *RegistrationToken) columns() []any {
	return []any{&t.Token, &t.UsesAllowed, &t.Completed, &t.Expires, &t.Created}
}

// InsertRegistrationToken adds a token. It reports false if there is one of
// that name.
func InsertRegistrationToken(tx *db.Tx, t RegistrationToken) (bool, error) {
	n, err := tx.ExecN(`
		INSERT INTO registration_tokens (`+registrationTokenColumns+`)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (token) DO NOTHING`,
		t.Token, t.UsesAllowed, t.Completed, t.Expires, t.Created)
	return n == 1, err
}

// RegistrationTokenByName returns a token, or db.ErrNoRow.
func RegistrationTokenByName(tx *db.Tx, token string) (RegistrationToken, error) {
	return db.One(tx, (*RegistrationToken).columns, `
		SELECT `+registrationTokenColumns+` FROM registration_tokens WHERE token = $1`, token)
}

// RegistrationTokens lists all tokens, oldest first.
func RegistrationTokens(tx *db.Tx) ([]RegistrationToken, error) {
	return db.All(tx, (*RegistrationToken).columns, `
		SELECT `+registrationTokenColumns+` FROM registration_tokens ORDER BY created, token`)
}

// UpdateRegistrationToken stores how often and until when a token may be used.
func UpdateRegistrationToken(tx *db.Tx, t RegistrationToken) error {
	return tx.Exec(`UPDATE registration_tokens SET uses_allowed = $1, expires = $2 WHERE token = $3`,
		t.UsesAllowed, t.Expires, t.Token)
}

// UseRegistrationToken counts an account that was made with a token, and
// reports false if the token does not allow one more.
func UseRegistrationToken(tx *db.Tx, token string, now int64) (bool, error) {
	n, err := tx.ExecN(`
		UPDATE registration_tokens SET completed = completed + 1
		WHERE token = $1 AND (uses_allowed IS NULL OR completed < uses_allowed) AND (expires IS NULL OR expires > $2)`,
		token, now)
	return n == 1, err
}

// DeleteRegistrationToken reports whether there was such a token.
func DeleteRegistrationToken(tx *db.Tx, token string) (bool, error) {
	n, err := tx.ExecN(`DELETE FROM registration_tokens WHERE token = $1`, token)
	return n == 1, err
}
