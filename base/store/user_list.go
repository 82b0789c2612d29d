package store

import (
	"fmt"
	"strings"

	"hearth/base/db"
)

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

	// Behind is the last user of the page before, for orders that are Deep; nil for
	// none.
	Behind *UserPlace
}

// UserPlace is where a user stands in a list.
type UserPlace struct {
	ID      string
	Created int64 // ms
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

// CountUsers counts the users that match f, wherever a page would start.
func CountUsers(tx *db.Tx, f UserFilter) (int64, error) {
	f.Behind = nil
	where, args := f.where()
	return db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM `+f.tables()+` WHERE `+where, args...)
}

// Deep reports whether pages in the order of f can start behind a user instead of
// after so many, which costs the more the further one gets.
func (f UserFilter) Deep() bool {
	return f.OrderBy == "" || f.OrderBy == "name" || f.OrderBy == "creation_ts"
}

// ListUsers returns one page of the users that match f.
func ListUsers(tx *db.Tx, f UserFilter) ([]UserEntry, error) {
	query, args := f.query()
	return db.All(tx, (*UserEntry).columns, query, args...)
}

func (f UserFilter) query() (query string, args []any) {
	where, args := f.where()
	order, ok := UserOrders[f.OrderBy]
	if !ok {
		order = UserOrders["name"]
	}
	direction := ""
	if f.Descending {
		direction = " DESC"
	}
	order += direction
	switch f.OrderBy {
	case "", "name":
	case "creation_ts":
		order += ", u.usr" + direction // as in the index
	default:
		order += ", u.usr"
	}
	n := len(args)
	args = append(args, f.Limit, f.From)
	page := fmt.Sprintf(`ORDER BY %s LIMIT $%d OFFSET $%d`, order, n+1, n+2)
	const columns = `
		SELECT ` + userColumnsU + `,
			COALESCE(n.value, '') AS displayname, COALESCE(a.value, '') AS avatar_url,
			COALESCE((SELECT MAX(v.last_seen) FROM devices v WHERE v.usr = u.usr), 0) AS last_seen
		FROM `
	if f.Name == "" && strings.HasPrefix(order, "u.") {
		// The page is cut before anything is joined to it, whatever a planner thinks.
		return columns + `
			(SELECT ` + userColumnsU + ` FROM users u WHERE ` + where + ` ` + page + `) u ` + userProfiles + ` ORDER BY ` + order, args
	}
	return columns + `users u ` + userProfiles + ` WHERE ` + where + ` ` + page, args
}

// userProfiles are what a list shows of the profile of u.
const userProfiles = `
	LEFT JOIN profiles n ON n.usr = u.usr AND n.field = 'displayname'
	LEFT JOIN profiles a ON a.usr = u.usr AND a.field = 'avatar_url'`

// tables are those that where looks at.
func (f UserFilter) tables() string {
	if f.Name == "" {
		return `users u`
	}
	return `users u ` + userProfiles
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
	if f.Behind != nil {
		beyond := " > "
		if f.Descending {
			beyond = " < "
		}
		if f.OrderBy == "creation_ts" {
			add(`(u.created, u.usr)`, beyond, `(`, arg(f.Behind.Created), `, `, arg(f.Behind.ID), `)`)
		} else {
			add(`u.usr`, beyond, arg(f.Behind.ID))
		}
	}
	return strings.Join(clauses, " AND "), args
}

// like escapes what LIKE would take as a wildcard.
func like(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(s))
}
