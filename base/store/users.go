package store

import "hearth/base/db"

// User is a row of users.
type User struct {
	ID          string // "@alice:example.org"
	Created     int64  // ms
	Password    string // hash as auth/password writes it; "" if none
	Admin       bool
	Guest       bool
	Kind        string // "", "bot" or "support"
	Deactivated bool
	Erased      bool
	Parting     bool // deactivated, but still in some rooms

	Suspended    bool
	Locked       bool
	ShadowBanned bool
	Consent      string // version of the terms that the user agreed to, "" for none
	ConsentAt    int64  // ms
	Expires      int64  // ms; nothing can be done from then on; 0 for never

	Rate  *int64 // requests per second that the operator allows, 0 for any number; nil for what everybody may
	Burst int64  // and how many at once
}

const (
	userColumns = `usr, created, password, admin, guest, kind, deactivated, erased, parting,
		suspended, locked, shadow_banned, consent, consent_at, expires, rate, burst`
	// userColumnsU is userColumns of a table named u.
	userColumnsU = `u.usr, u.created, u.password, u.admin, u.guest, u.kind, u.deactivated, u.erased, u.parting,
		u.suspended, u.locked, u.shadow_banned, u.consent, u.consent_at, u.expires, u.rate, u.burst`
)

func (u *User) columns() []any {
	return []any{
		&u.ID, &u.Created, &u.Password, &u.Admin, &u.Guest, &u.Kind, &u.Deactivated, &u.Erased, &u.Parting,
		&u.Suspended, &u.Locked, &u.ShadowBanned, &u.Consent, &u.ConsentAt, &u.Expires, &u.Rate, &u.Burst,
	}
}

// InsertUser adds a user. It reports false if the id is taken.
func InsertUser(tx *db.Tx, u User) (bool, error) {
	n, err := tx.ExecN(`
		INSERT INTO users (`+userColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
		ON CONFLICT (usr) DO NOTHING`,
		u.ID, u.Created, u.Password, u.Admin, u.Guest, u.Kind, u.Deactivated, u.Erased, u.Parting,
		u.Suspended, u.Locked, u.ShadowBanned, u.Consent, u.ConsentAt, u.Expires, u.Rate, u.Burst)
	return n == 1, err
}

// UserByID returns a user, or db.ErrNoRow.
func UserByID(tx *db.Tx, user string) (User, error) {
	return db.One(tx, (*User).columns, `SELECT `+userColumns+` FROM users WHERE usr = $1`, user)
}

// UpdateUser stores everything but the id and the time of creation.
func UpdateUser(tx *db.Tx, u User) error {
	return tx.Exec(`
		UPDATE users
		SET password = $1, admin = $2, guest = $3, kind = $4, deactivated = $5, erased = $6, parting = $7,
			suspended = $8, locked = $9, shadow_banned = $10, consent = $11, consent_at = $12, expires = $13, rate = $14, burst = $15
		WHERE usr = $16`,
		u.Password, u.Admin, u.Guest, u.Kind, u.Deactivated, u.Erased, u.Parting,
		u.Suspended, u.Locked, u.ShadowBanned, u.Consent, u.ConsentAt, u.Expires, u.Rate, u.Burst, u.ID)
}

// RehashPassword replaces a password hash unless it has changed meanwhile.
func RehashPassword(tx *db.Tx, user, from, to string) error {
	return tx.Exec(`UPDATE users SET password = $1 WHERE usr = $2 AND password = $3`, to, user, from)
}

// ErasedUsers are those who wanted to be forgotten when they closed their account.
func ErasedUsers(tx *db.Tx) ([]string, error) {
	return db.All(tx, db.Value[string], `SELECT usr FROM users WHERE erased`)
}

// PartingUsers are those whom a deactivation has not yet taken out of all rooms.
func PartingUsers(tx *db.Tx) ([]string, error) {
	return db.All(tx, db.Value[string], `SELECT usr FROM users WHERE parting ORDER BY usr`)
}
