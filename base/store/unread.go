package store

import (
	"errors"
	"math"

	"hearth/base/db"
)

// Unread is how many events of one thread of a room a user should be told of.
type Unread struct {
	User      string
	Room      int64
	Thread    string // "main" or the thread's root
	Notify    int64
	Highlight int64
	Upto      int64 // place in the timeline up to which events are counted
	Seen      int64 // position up to which the user's receipts are considered
}

func (u *Unread) columns() []any {
	return []any{&u.User, &u.Room, &u.Thread, &u.Notify, &u.Highlight, &u.Upto, &u.Seen}
}

const unreadColumns = `usr, room, thread, notify, highlight, upto, seen`

// SetUnread replaces all counts of a user in a room.
func SetUnread(tx *db.Tx, user string, room int64, threads []Unread) error {
	if err := tx.Exec(`DELETE FROM unread WHERE usr = $1 AND room = $2`, user, room); err != nil {
		return err
	}
	for _, u := range threads {
		err := tx.Exec(`INSERT INTO unread (`+unreadColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			user, room, u.Thread, u.Notify, u.Highlight, u.Upto, u.Seen)
		if err != nil {
			return err
		}
	}
	return nil
}

// UnreadOf returns the counts of a user in a room.
func UnreadOf(tx *db.Tx, user string, room int64) ([]Unread, error) {
	return db.All(tx, (*Unread).columns, `SELECT `+unreadColumns+` FROM unread WHERE usr = $1 AND room = $2`, user, room)
}

// UnreadOfUser returns the counts of a user in all rooms.
func UnreadOfUser(tx *db.Tx, user string) ([]Unread, error) {
	return db.All(tx, (*Unread).columns, `SELECT `+unreadColumns+` FROM unread WHERE usr = $1`, user)
}

// PlaceBack returns the place in a room's timeline that n events follow up to
// the place upto; math.MinInt64 if there are not so many.
func PlaceBack(tx *db.Tx, room, upto, n int64) (int64, error) {
	ord, err := db.One(tx, db.Value[int64], `
		SELECT ord FROM events WHERE room = $1 AND ord IS NOT NULL AND ord <= $2
		ORDER BY ord DESC LIMIT 1 OFFSET $3`, room, upto, n)
	if errors.Is(err, db.ErrNoRow) {
		return math.MinInt64, nil
	}
	return ord, err
}
