package store

import "hearth/base/db"

// AccessToken is a row of access_tokens.
type AccessToken struct {
	ID      int64
	Hash    []byte // SHA-256 of the token
	User    string
	Device  string
	Created int64 // ms
	Expires int64 // ms, 0 for never
	Refresh int64 // id of the refresh token that came with it, or 0
	Used    bool  // only kept up to date if Refresh is not 0
}

// TokenOwner is an access token and what a request needs to know of its owner.
type TokenOwner struct {
	AccessToken
	Admin        bool
	Guest        bool
	Deactivated  bool
	Suspended    bool
	Locked       bool
	ShadowBanned bool
	Consent      string
	AccountEnds  int64 // ms, 0 for never
	Rate         *int64
	Burst        int64
}

func (t *TokenOwner) columns() []any {
	return []any{
		&t.ID, &t.Hash, &t.User, &t.Device, &t.Created, &t.Expires, &t.Refresh, &t.Used,
		&t.Admin, &t.Guest, &t.Deactivated, &t.Suspended, &t.Locked, &t.ShadowBanned, &t.Consent, &t.AccountEnds,
		&t.Rate, &t.Burst,
	}
}

// InsertAccessToken adds a token.
func InsertAccessToken(tx *db.Tx, t AccessToken) error {
	return tx.Exec(`
		INSERT INTO access_tokens (id, hash, usr, device, created, expires, refresh, used)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.ID, t.Hash, t.User, t.Device, t.Created, t.Expires, t.Refresh, t.Used)
}

// OwnerOfToken finds an access token by its hash, or returns db.ErrNoRow.
func OwnerOfToken(tx *db.Tx, hash []byte) (TokenOwner, error) {
	return db.One(tx, (*TokenOwner).columns, `
		SELECT t.id, t.hash, t.usr, t.device, t.created, t.expires, t.refresh, t.used,
			u.admin, u.guest, u.deactivated, u.suspended, u.locked, u.shadow_banned, u.consent, u.expires,
			u.rate, u.burst
		FROM access_tokens t JOIN users u ON u.usr = t.usr
		WHERE t.hash = $1`, hash)
}

// RefreshToken is a row of refresh_tokens.
type RefreshToken struct {
	ID        int64
	Hash      []byte // SHA-256 of the token
	User      string
	Device    string
	Created   int64 // ms
	Successor int64 // id of the refresh token that replaces it, or 0
}

func (t *RefreshToken) columns() []any {
	return []any{&t.ID, &t.Hash, &t.User, &t.Device, &t.Created, &t.Successor}
}

// InsertRefreshToken adds a token.
func InsertRefreshToken(tx *db.Tx, t RefreshToken) error {
	return tx.Exec(`
		INSERT INTO refresh_tokens (id, hash, usr, device, created, successor)
		VALUES ($1, $2, $3, $4, $5, $6)`,
		t.ID, t.Hash, t.User, t.Device, t.Created, t.Successor)
}

// RefreshTokenByHash returns a refresh token, or db.ErrNoRow.
func RefreshTokenByHash(tx *db.Tx, hash []byte) (RefreshToken, error) {
	return db.One(tx, (*RefreshToken).columns, `
		SELECT id, hash, usr, device, created, successor FROM refresh_tokens WHERE hash = $1`, hash)
}

// SetSuccessor notes which refresh token replaces another.
func SetSuccessor(tx *db.Tx, id, successor int64) error {
	return tx.Exec(`UPDATE refresh_tokens SET successor = $1 WHERE id = $2`, successor, id)
}

// DropRefreshToken removes a refresh token and the access tokens that came with it.
func DropRefreshToken(tx *db.Tx, user, device string, id int64) error {
	if err := tx.Exec(`DELETE FROM refresh_tokens WHERE id = $1`, id); err != nil {
		return err
	}
	return tx.Exec(`DELETE FROM access_tokens WHERE usr = $1 AND device = $2 AND refresh = $3`, user, device, id)
}

// UseSuccessor ends the life of everything that refresh token id has replaced:
// all other tokens of its device.
func UseSuccessor(tx *db.Tx, user, device string, id int64) error {
	if err := tx.Exec(`DELETE FROM refresh_tokens WHERE usr = $1 AND device = $2 AND id <> $3`, user, device, id); err != nil {
		return err
	}
	if err := tx.Exec(`DELETE FROM access_tokens WHERE usr = $1 AND device = $2 AND refresh <> $3`, user, device, id); err != nil {
		return err
	}
	return tx.Exec(`UPDATE access_tokens SET used = $1 WHERE usr = $2 AND device = $3`, true, user, device)
}

// DeleteTokens removes all tokens of a device, which stays.
func DeleteTokens(tx *db.Tx, user, device string) error {
	if err := tx.Exec(`DELETE FROM access_tokens WHERE usr = $1 AND device = $2`, user, device); err != nil {
		return err
	}
	return tx.Exec(`DELETE FROM refresh_tokens WHERE usr = $1 AND device = $2`, user, device)
}

// AddLoginToken stores the hash of a token that is good for one login, and
// forgets those that were never used.
func AddLoginToken(tx *db.Tx, hash []byte, user string, expires, now int64) error {
	if err := tx.Exec(`DELETE FROM login_tokens WHERE expires <= $1`, now); err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO login_tokens (hash, usr, expires) VALUES ($1, $2, $3)`, hash, user, expires)
}

// TakeLoginToken returns whose a token is, and makes it useless. It is
// db.ErrNoRow for one that is unknown, used or too old.
func TakeLoginToken(tx *db.Tx, hash []byte, now int64) (user string, err error) {
	user, err = db.One(tx, db.Value[string], `SELECT usr FROM login_tokens WHERE hash = $1 AND expires > $2`, hash, now)
	if err != nil {
		return "", err
	}
	return user, tx.Exec(`DELETE FROM login_tokens WHERE hash = $1`, hash)
}
