package store

import (
	"errors"

	"hearth/base/db"
)

// Receipt says how far a user has read in a room.
type Receipt struct {
	Room    int64
	Kind    string // "m.read" or "m.read.private"
	Thread  string // "" without a thread, "main", or the thread's root
	User    string
	EventID string
	Ord     int64 // place of the event in the timeline
	At      int64 // milliseconds since 1970
	Pos     int64
}

func (r *Receipt) columns() []any {
	return []any{&r.Room, &r.Kind, &r.Thread, &r.User, &r.EventID, &r.Ord, &r.At, &r.Pos}
}

const receiptColumns = `room, kind, thread, usr, event_id, ord, at, pos`

// SetReceipt stores r in place of the receipt of the same kind, thread and
// user. Whether r is ahead of that one is the caller's to check.
func SetReceipt(tx *db.Tx, r Receipt) error {
	return tx.Exec(`
		INSERT INTO receipts (`+receiptColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (room, kind, thread, usr) DO UPDATE
		SET event_id = excluded.event_id, ord = excluded.ord, at = excluded.at, pos = excluded.pos`,
		r.Room, r.Kind, r.Thread, r.User, r.EventID, r.Ord, r.At, r.Pos)
}

// ReceiptOrd returns the place of a receipt, and false if there is none.
func ReceiptOrd(tx *db.Tx, room int64, kind, thread, user string) (int64, bool, error) {
	ord, err := db.One(tx, db.Value[int64], `
		SELECT ord FROM receipts WHERE room = $1 AND kind = $2 AND thread = $3 AND usr = $4`, room, kind, thread, user)
	if errors.Is(err, db.ErrNoRow) {
		return 0, false, nil
	}
	return ord, err == nil, err
}

// ReceiptsSince returns the receipts of a room with positions in (after, upto]
// that user may see: those of all kinds but other people's private ones.
func ReceiptsSince(tx *db.Tx, room, after, upto int64, user string) ([]Receipt, error) {
	return db.All(tx, (*Receipt).columns, `
		SELECT `+receiptColumns+` FROM receipts
		WHERE room = $1 AND pos > $2 AND pos <= $3 AND (kind = 'm.read' OR usr = $4) ORDER BY pos`,
		room, after, upto, user)
}

// ReceiptsOf returns a user's own receipts in some rooms.
func ReceiptsOf(tx *db.Tx, user string, rooms ...int64) (all []Receipt, err error) {
	err = db.In(rooms, 2, func(in string, args []any) error {
		some, err := db.All(tx, (*Receipt).columns, `
			SELECT `+receiptColumns+` FROM receipts WHERE usr = $1 AND room IN (`+in+`) ORDER BY pos`, append([]any{user}, args...)...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// ReceiptsOfUser returns a user's own receipts in all rooms.
func ReceiptsOfUser(tx *db.Tx, user string) ([]Receipt, error) {
	return db.All(tx, (*Receipt).columns, `SELECT `+receiptColumns+` FROM receipts WHERE usr = $1 ORDER BY pos`, user)
}
