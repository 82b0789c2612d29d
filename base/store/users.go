package store

import (
	"fmt"
	"strings"

	"hearth/base/db"
)

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
}

const (
	userColumns = `usr, created, password, admin, guest, kind, deactivated, erased, parting,
		suspended, locked, shadow_banned, consent, consent_at, expires`
	// userColumnsU is userColumns of a table named u.
	userColumnsU = `u.usr, u.created, u.password, u.admin, u.guest, u.kind, u.deactivated, u.erased, u.parting,
		u.suspended, u.locked, u.shadow_banned, u.consent, u.consent_at, u.expires`
)

func (u *User) columns() []any {
	return []any{
		&u.ID, &u.Created, &u.Password, &u.Admin, &u.Guest, &u.Kind, &u.Deactivated, &u.Erased, &u.Parting,
		&u.Suspended, &u.Locked, &u.ShadowBanned, &u.Consent, &u.ConsentAt, &u.Expires,
	}
}

// InsertUser adds a user. It reports false if the id is taken.
func InsertUser(tx *db.Tx, u User) (bool, error) {
	n, err := tx.ExecN(`
		INSERT INTO users (`+userColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (usr) DO NOTHING`,
		u.ID, u.Created, u.Password, u.Admin, u.Guest, u.Kind, u.Deactivated, u.Erased, u.Parting,
		u.Suspended, u.Locked, u.ShadowBanned, u.Consent, u.ConsentAt, u.Expires)
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
			suspended = $8, locked = $9, shadow_banned = $10, consent = $11, consent_at = $12, expires = $13
		WHERE usr = $14`,
		u.Password, u.Admin, u.Guest, u.Kind, u.Deactivated, u.Erased, u.Parting,
		u.Suspended, u.Locked, u.ShadowBanned, u.Consent, u.ConsentAt, u.Expires, u.ID)
}

// RehashPassword replaces a password hash unless it has changed meanwhile.
func RehashPassword(tx *db.Tx, user, from, to string) error {
	return tx.Exec(`UPDATE users SET password = $1 WHERE usr = $2 AND password = $3`, to, user, from)
}

// PartingUsers are those whom a deactivation has not yet taken out of all rooms.
func PartingUsers(tx *db.Tx) ([]string, error) {
	return db.All(tx, db.Value[string], `SELECT usr FROM users WHERE parting ORDER BY usr`)
}

// UserFilter says which users ListUsers wants. Nil and "" stand for all.
type UserFilter struct {
	Name        string // part of the localpart or of the display name, in any case
	ID          string // part of the user id, in any case
	Exactly     string // the user id as it is
	Guest       *bool
	Admin       *bool
	Deactivated *bool
	Locked      *bool
	NotKinds    []string // values of User.Kind
	After       string   // only ids behind this one in byte order

	OrderBy    string // a key of UserOrders; "" is "name"
	Descending bool
	From       int64
	Limit      int64
}

// UserOrders are the orders that ListUsers knows, by the names that admin
// tools give them.
var UserOrders = map[string]string{
	"name":         "u.usr",
	"is_guest":     "u.guest",
	"admin":        "u.admin",
	"user_type":    "u.kind",
	"deactivated":  "u.deactivated",
	"displayname":  "displayname",
	"avatar_url":   "avatar_url",
	"creation_ts":  "u.created",
	"last_seen_ts": "last_seen",

	"shadow_banned": "u.shadow_banned",
	"locked":        "u.locked",
}

// UserEntry is a line of a list of users.
type UserEntry struct {
	User
	DisplayName string // JSON, or ""
	AvatarURL   string // JSON, or ""
	LastSeen    int64  // ms, 0 for never
}

func (e *UserEntry) columns() []any {
	return append(e.User.columns(), &e.DisplayName, &e.AvatarURL, &e.LastSeen)
}

// ListUsers returns one page of the users that match f, and how many match.
func ListUsers(tx *db.Tx, f UserFilter) (page []UserEntry, total int64, err error) {
	where, args := f.where()
	const from = `
		FROM users u
		LEFT JOIN profiles n ON n.usr = u.usr AND n.field = 'displayname'
		LEFT JOIN profiles a ON a.usr = u.usr AND a.field = 'avatar_url'
		WHERE `
	total, err = db.One(tx, db.Value[int64], `SELECT COUNT(*)`+from+where, args...)
	if err != nil {
		return nil, 0, err
	}
	order, ok := UserOrders[f.OrderBy]
	if !ok {
		order = UserOrders["name"]
	}
	if f.Descending {
		order += " DESC"
	}
	n := len(args)
	page, err = db.All(tx, (*UserEntry).columns, `
		SELECT `+userColumnsU+`,
			COALESCE(n.value, '') AS displayname, COALESCE(a.value, '') AS avatar_url,
			COALESCE((SELECT MAX(v.last_seen) FROM devices v WHERE v.usr = u.usr), 0) AS last_seen`+
		from+where+
		fmt.Sprintf(` ORDER BY %s, u.usr LIMIT $%d OFFSET $%d`, order, n+1, n+2),
		append(args, f.Limit, f.From)...)
	return page, total, err
}

func (f UserFilter) where() (string, []any) {
	clauses := []string{"1 = 1"}
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	add := func(clause ...string) { clauses = append(clauses, strings.Join(clause, "")) }
	if f.Name != "" {
		// The ":" keeps the name from being found in the server's.
		add(`(LOWER(u.usr) LIKE `, arg("%"+like(f.Name)+"%:%"), ` ESCAPE '\'`,
			` OR LOWER(COALESCE(n.value, '')) LIKE `, arg("%"+like(f.Name)+"%"), ` ESCAPE '\')`)
	}
	if f.ID != "" {
		add(`LOWER(u.usr) LIKE `, arg("%"+like(f.ID)+"%"), ` ESCAPE '\'`)
	}
	if f.Exactly != "" {
		add(`u.usr = `, arg(f.Exactly))
	}
	if f.After != "" {
		add(`u.usr > `, arg(f.After))
	}
	if f.Guest != nil {
		add(`u.guest = `, arg(*f.Guest))
	}
	if f.Admin != nil {
		add(`u.admin = `, arg(*f.Admin))
	}
	if f.Deactivated != nil {
		add(`u.deactivated = `, arg(*f.Deactivated))
	}
	if f.Locked != nil {
		add(`u.locked = `, arg(*f.Locked))
	}
	for _, k := range f.NotKinds {
		add(`u.kind <> `, arg(k))
	}
	return strings.Join(clauses, " AND "), args
}

// like escapes what LIKE would take as a wildcard.
func like(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(s))
}
