package store

import (
	"fmt"
	"strings"

	"hearth/base/db"
)

// Membership is a user's relation to a room.
type Membership int64

// The memberships. None is that of users who never had to do with a room.
const (
	None Membership = iota
	Invite
	Knock
	Join
	Leave
	Ban
)

var membershipNames = [...]string{None: "leave", Invite: "invite", Knock: "knock", Join: "join", Leave: "leave", Ban: "ban"}

// String is the word in m.room.member events.
func (m Membership) String() string {
	if m < 0 || int(m) >= len(membershipNames) {
		return fmt.Sprintf("Membership(%d)", int64(m))
	}
	return membershipNames[m]
}

// ParseMembership reads the word of an m.room.member event; None if there is
// no such membership.
func ParseMembership(s string) Membership {
	for m := Invite; m <= Ban; m++ {
		if membershipNames[m] == s {
			return m
		}
	}
	return None
}

// Member is a user's current membership of a room.
type Member struct {
	User       string
	Room       int64
	Membership Membership
	Event      int64 // nid of the m.room.member event
	Forgotten  bool
	// LastPos is the newest event of the room's timeline; RoomsOf only.
	LastPos int64
}

func (m *Member) columns() []any {
	return []any{&m.User, &m.Room, &m.Membership, &m.Event, &m.Forgotten}
}

const memberColumns = `usr, room, membership, event, forgotten`

// SetMember stores a membership. A change makes a room remembered again.
func SetMember(tx *db.Tx, m Member) error {
	return tx.Exec(`
		INSERT INTO memberships (`+memberColumns+`) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (usr, room) DO UPDATE
		SET membership = excluded.membership, event = excluded.event, forgotten = excluded.forgotten`,
		m.User, m.Room, m.Membership, m.Event, m.Forgotten)
}

// SetForgotten marks a room that its user has left and does not want to see.
func SetForgotten(tx *db.Tx, user string, room int64) error {
	return tx.Exec(`UPDATE memberships SET forgotten = $1 WHERE usr = $2 AND room = $3`, true, user, room)
}

// RoomsOf returns all memberships of a user.
func RoomsOf(tx *db.Tx, user string) ([]Member, error) {
	columns := func(m *Member) []any { return append(m.columns(), &m.LastPos) }
	return db.All(tx, columns, `
		SELECT m.usr, m.room, m.membership, m.event, m.forgotten, r.last_pos
		FROM memberships m JOIN rooms r ON r.nid = m.room WHERE m.usr = $1 ORDER BY m.room`, user)
}

// MembersOf returns the members of a room that have one of the given
// memberships, in the order in which they came to have it.
func MembersOf(tx *db.Tx, room int64, in ...Membership) ([]Member, error) {
	words := make([]string, len(in))
	for i, m := range in {
		words[i] = fmt.Sprint(int64(m))
	}
	return db.All(tx, (*Member).columns, `
		SELECT `+memberColumns+` FROM memberships
		WHERE room = $1 AND membership IN (`+strings.Join(words, ",")+`) ORDER BY event`, room)
}

// FirstMembers returns up to n users with a membership, those who have had it
// longest first.
func FirstMembers(tx *db.Tx, room int64, m Membership, n int) ([]string, error) {
	return db.All(tx, db.Value[string], `
		SELECT usr FROM memberships
		WHERE room = $1 AND membership = $2 ORDER BY event LIMIT `+fmt.Sprint(n), room, m)
}

// MemberOf returns a user's membership, or db.ErrNoRow.
func MemberOf(tx *db.Tx, room int64, user string) (Member, error) {
	return db.One(tx, (*Member).columns, `SELECT `+memberColumns+` FROM memberships WHERE usr = $1 AND room = $2`, user, room)
}

// SharesRoom reports whether two users are joined to the same room.
func SharesRoom(tx *db.Tx, a, b string) (bool, error) {
	n, err := db.One(tx, db.Value[int64], `
		SELECT COUNT(*) FROM memberships x JOIN memberships y ON y.room = x.room AND y.membership = 3
		WHERE x.usr = $1 AND x.membership = 3 AND y.usr = $2`, a, b)
	return n > 0, err
}

// MutualRooms returns up to limit rooms with numbers above after that two users
// are both joined to, and how many there are in all.
func MutualRooms(tx *db.Tx, a, b string, after int64, limit int) (rooms []MutualRoom, total int64, err error) {
	const both = ` FROM memberships x JOIN memberships y ON y.room = x.room AND y.membership = 3
		JOIN rooms r ON r.nid = x.room WHERE x.usr = $1 AND x.membership = 3 AND y.usr = $2`
	if total, err = db.One(tx, db.Value[int64], `SELECT COUNT(*)`+both, a, b); err != nil {
		return nil, 0, err
	}
	rooms, err = db.All(tx, func(m *MutualRoom) []any { return []any{&m.NID, &m.RoomID} },
		`SELECT r.nid, r.room_id`+both+` AND x.room > $3 ORDER BY x.room LIMIT $4`, a, b, after, limit)
	return rooms, total, err
}

// MutualRoom is a room that two users share.
type MutualRoom struct {
	NID    int64
	RoomID string
}
