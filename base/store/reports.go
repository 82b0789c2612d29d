package store

import (
	"strconv"

	"hearth/base/db"
)

// Report is what a user reported to the operator.
type Report struct {
	ID       int64
	Kind     string // "event", "room" or "user"
	Reporter string
	RoomID   string
	EventID  string
	Target   string // the user who was reported, or sent the event
	Reason   string
	Score    *int64 // nil for none
	At       int64  // ms
}

func (r *Report) columns() []any {
	return []any{&r.ID, &r.Kind, &r.Reporter, &r.RoomID, &r.EventID, &r.Target, &r.Reason, &r.Score, &r.At}
}

const reportColumns = `id, kind, reporter, room_id, event_id, target, reason, score, at`

// AddReport stores a report.
func AddReport(tx *db.Tx, r Report) error {
	return tx.Exec(`INSERT INTO reports (`+reportColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		r.ID, r.Kind, r.Reporter, r.RoomID, r.EventID, r.Target, r.Reason, r.Score, r.At)
}

// ReportFilter says which reports to list.
type ReportFilter struct {
	Kind                     string
	Reporter, Target, RoomID string // parts of ids, "" for all
	Backward                 bool   // the newest first
	From, Limit              int
}

// Reports returns a page of reports, and how many there are in all.
func Reports(tx *db.Tx, f ReportFilter) (page []Report, total int64, err error) {
	const where = `
		WHERE kind = $1 AND LOWER(reporter) LIKE $2 ESCAPE '\' AND LOWER(target) LIKE $3 ESCAPE '\' AND LOWER(room_id) LIKE $4 ESCAPE '\'`
	args := []any{f.Kind, "%" + like(f.Reporter) + "%", "%" + like(f.Target) + "%", "%" + like(f.RoomID) + "%"}
	total, err = db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM reports `+where, args...)
	if err != nil {
		return nil, 0, err
	}
	order := ` ORDER BY id `
	if f.Backward {
		order = ` ORDER BY id DESC `
	}
	page, err = db.All(tx, (*Report).columns, `SELECT `+reportColumns+` FROM reports `+where+order+
		`LIMIT `+strconv.Itoa(f.Limit)+` OFFSET `+strconv.Itoa(f.From), args...)
	return page, total, err
}

// ReportByID returns a report of a kind, or db.ErrNoRow.
func ReportByID(tx *db.Tx, kind string, id int64) (Report, error) {
	return db.One(tx, (*Report).columns, `SELECT `+reportColumns+` FROM reports WHERE kind = $1 AND id = $2`, kind, id)
}

// DeleteReport removes a report and says whether there was one.
func DeleteReport(tx *db.Tx, kind string, id int64) (bool, error) {
	n, err := tx.ExecN(`DELETE FROM reports WHERE kind = $1 AND id = $2`, kind, id)
	return n > 0, err
}

// CountReportsOf counts the reports that a user made.
func CountReportsOf(tx *db.Tx, reporter string) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM reports WHERE reporter = $1`, reporter)
}

// NoticeRoom returns the room in which the server talks to a user, or
// db.ErrNoRow.
func NoticeRoom(tx *db.Tx, user string) (string, error) {
	return db.One(tx, db.Value[string], `SELECT room_id FROM notice_rooms WHERE usr = $1`, user)
}

// SetNoticeRoom stores the room in which the server talks to a user.
func SetNoticeRoom(tx *db.Tx, user, roomID string) error {
	return tx.Exec(`
		INSERT INTO notice_rooms (usr, room_id) VALUES ($1, $2) ON CONFLICT (usr) DO UPDATE SET room_id = excluded.room_id`, user, roomID)
}

// IsNoticeRoom reports whether the server talks to somebody in a room.
func IsNoticeRoom(tx *db.Tx, roomID string) (bool, error) {
	n, err := db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM notice_rooms WHERE room_id = $1`, roomID)
	return n > 0, err
}

// AddOpenIDToken stores a proof of who somebody is, and forgets old ones.
func AddOpenIDToken(tx *db.Tx, hash []byte, user string, expires, now int64) error {
	if err := tx.Exec(`DELETE FROM openid_tokens WHERE expires <= $1`, now); err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO openid_tokens (hash, usr, expires) VALUES ($1, $2, $3)`, hash, user, expires)
}

// OpenIDUser returns who a proof is of, or db.ErrNoRow.
func OpenIDUser(tx *db.Tx, hash []byte, now int64) (string, error) {
	return db.One(tx, db.Value[string], `SELECT usr FROM openid_tokens WHERE hash = $1 AND expires > $2`, hash, now)
}
