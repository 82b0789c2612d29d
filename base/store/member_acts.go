package store

import "hearth/base/db"

// The kinds of MemberAct.
const (
	ActInvite int64 = iota + 1 // invited somebody
	ActJoin                    // joined a room
)

// MemberAct is something that a user of this server did with a membership.
type MemberAct struct {
	User        string
	Kind        int64
	At          int64 // ms
	Event, Room int64
}

// AddMemberAct stores one.
func AddMemberAct(tx *db.Tx, a MemberAct) error {
	return tx.Exec(`
		INSERT INTO member_acts (usr, kind, at, event, room) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, a.User, a.Kind, a.At, a.Event, a.Room)
}

// CountActs counts what a user did of a kind since a time in ms, and in how many
// rooms.
func CountActs(tx *db.Tx, user string, kind, since int64) (acts, rooms int64, err error) {
	type count struct{ acts, rooms int64 }
	c, err := db.One(tx, func(c *count) []any { return []any{&c.acts, &c.rooms} }, `
		SELECT COUNT(*), COUNT(DISTINCT room) FROM member_acts WHERE usr = $1 AND kind = $2 AND at >= $3`, user, kind, since)
	return c.acts, c.rooms, err
}
