package store

import (
	"strconv"

	"hearth/base/db"
)

// BlockRoom keeps a room from being entered.
func BlockRoom(tx *db.Tx, roomID, user string, at int64) error {
	return tx.Exec(`
		INSERT INTO blocked_rooms (room_id, usr, at) VALUES ($1, $2, $3) ON CONFLICT (room_id) DO NOTHING`, roomID, user, at)
}

// UnblockRoom lets a room be entered again.
func UnblockRoom(tx *db.Tx, roomID string) error {
	return tx.Exec(`DELETE FROM blocked_rooms WHERE room_id = $1`, roomID)
}

// BlockedRoom is a room that may not be entered.
type BlockedRoom struct{ RoomID, By string }

// BlockedRooms lists the rooms that may not be entered.
func BlockedRooms(tx *db.Tx) ([]BlockedRoom, error) {
	return db.All(tx, func(b *BlockedRoom) []any { return []any{&b.RoomID, &b.By} }, `SELECT room_id, usr FROM blocked_rooms`)
}

// Job is work that an operator asked for.
type Job struct {
	ID, Kind, Target string
	Status           string // "active", "complete" or "failed"
	At               int64  // ms
	Request, Result  []byte // JSON
}

func (j *Job) columns() []any {
	return []any{&j.ID, &j.Kind, &j.Target, &j.Status, &j.At, &j.Request, &j.Result}
}

const jobColumns = `id, kind, target, status, at, request, result`

// SetJob stores a job.
func SetJob(tx *db.Tx, j Job) error {
	return tx.Exec(`
		INSERT INTO jobs (`+jobColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, result = excluded.result`,
		j.ID, j.Kind, j.Target, j.Status, j.At, j.Request, j.Result)
}

// JobByID returns a job, or db.ErrNoRow.
func JobByID(tx *db.Tx, id string) (Job, error) {
	return db.One(tx, (*Job).columns, `SELECT `+jobColumns+` FROM jobs WHERE id = $1`, id)
}

// JobsOf returns the jobs on a room or a user, the oldest first.
func JobsOf(tx *db.Tx, target string) ([]Job, error) {
	return db.All(tx, (*Job).columns, `SELECT `+jobColumns+` FROM jobs WHERE target = $1 ORDER BY at`, target)
}

// ActiveJobs returns the jobs that are not done.
func ActiveJobs(tx *db.Tx) ([]Job, error) {
	return db.All(tx, (*Job).columns, `SELECT `+jobColumns+` FROM jobs WHERE status = 'active' ORDER BY at`)
}

// ListJobs returns up to n jobs that were asked for before a time in ms, the newest
// first. Empty strings stand for all.
func ListJobs(tx *db.Tx, kind, target, status string, before int64, n int) ([]Job, error) {
	return db.All(tx, (*Job).columns, `
		SELECT `+jobColumns+` FROM jobs
		WHERE ($1 = '' OR kind = $1) AND ($2 = '' OR target = $2) AND ($3 = '' OR status = $3) AND at < $4
		ORDER BY at DESC LIMIT $5`, kind, target, status, before, n)
}

// DeleteJobsBefore forgets jobs that ended before a time.
func DeleteJobsBefore(tx *db.Tx, at int64) error {
	return tx.Exec(`DELETE FROM jobs WHERE at < $1 AND status <> 'active'`, at)
}

// AllRooms returns every room, but for its heads.
func AllRooms(tx *db.Tx) ([]Room, error) {
	return db.All(tx, func(r *Room) []any {
		return []any{&r.NID, &r.RoomID, &r.Version, &r.State, &r.Joined, &r.Invited, &r.Listed}
	},
		`SELECT nid, room_id, version, state, joined, invited, listed FROM rooms ORDER BY nid`)
}

// RoomFact is a state event that says something about a room.
type RoomFact struct {
	Room int64
	Type string
	JSON []byte // the whole event
}

// RoomFacts yields the current state of some types, with an empty state key, of
// all rooms, or of one if room is not 0.
func RoomFacts(tx *db.Tx, room int64, types []string, f func(RoomFact) error) error {
	return db.In(types, 1, func(in string, args []any) error {
		query := `
			SELECT c.room, k.type, e.json FROM state_keys k JOIN current_state c ON c.sk = k.nid JOIN events e ON e.nid = c.event
			WHERE k.type IN (` + in + `) AND k.state_key = ''`
		if room != 0 {
			query += ` AND c.room = ` + strconv.FormatInt(room, 10)
		}
		for fact, err := range db.Rows(tx, func(f *RoomFact) []any { return []any{&f.Room, &f.Type, &f.JSON} }, query, args...) {
			if err != nil {
				return err
			}
			if err := f(fact); err != nil {
				return err
			}
		}
		return nil
	})
}

// StateCounts returns how many pieces of state each room has.
func StateCounts(tx *db.Tx) (map[int64]int64, error) {
	type count struct{ room, n int64 }
	out := map[int64]int64{}
	for c, err := range db.Rows(tx, func(c *count) []any { return []any{&c.room, &c.n} }, `SELECT room, COUNT(*) FROM current_state GROUP BY room`) {
		if err != nil {
			return nil, err
		}
		out[c.room] = c.n
	}
	return out, nil
}

// DeleteRoom removes a room, so that nothing can be added to it, with its state,
// names and members. What it said goes by DeleteRoomEvents.
func DeleteRoom(tx *db.Tx, nid int64) error {
	for _, table := range []string{"aliases", "receipts", "current_state", "memberships", "sticky_events", "appservice_rooms"} {
		if err := tx.Exec(`DELETE FROM `+table+` WHERE room = $1`, nid); err != nil {
			return err
		}
	}
	return tx.Exec(`DELETE FROM rooms WHERE nid = $1`, nid)
}

// DeleteRoomData removes what a member keeps for a room.
func DeleteRoomData(tx *db.Tx, user string, nid int64) error {
	for _, table := range []string{"unread", "account_data"} {
		if err := tx.Exec(`DELETE FROM `+table+` WHERE usr = $1 AND room = $2`, user, nid); err != nil {
			return err
		}
	}
	return nil
}

// DeleteRoomEvents removes up to n events of a room that is deleted, and reports
// how many those were.
func DeleteRoomEvents(tx *db.Tx, nid int64, n int) (int64, error) {
	return tx.ExecN(`
		DELETE FROM events WHERE nid IN (SELECT nid FROM events WHERE room = $1 AND ord IS NOT NULL ORDER BY ord LIMIT `+strconv.Itoa(n)+`)`, nid)
}

// DeleteRoomOutliers removes events of a deleted room that were in no timeline.
func DeleteRoomOutliers(tx *db.Tx, nid int64) error {
	return tx.Exec(`DELETE FROM events WHERE room = $1 AND ord IS NULL`, nid)
}

// DeleteRoomState removes the old state of a deleted room that has numbers in
// [from, to).
func DeleteRoomState(tx *db.Tx, nid, from, to int64) error {
	return tx.Exec(`DELETE FROM state_packs WHERE nid >= $1 AND nid < $2 AND room = $3`, from, to, nid)
}

// DeleteMessagesBefore removes up to n events of a room that are no state and
// lie before a place in the timeline. It reports how many those were.
func DeleteMessagesBefore(tx *db.Tx, nid, ord int64, n int) (int64, error) {
	return tx.ExecN(`
		DELETE FROM events WHERE nid IN (
			SELECT nid FROM events WHERE room = $1 AND ord IS NOT NULL AND ord < $2 AND sk IS NULL ORDER BY ord LIMIT `+strconv.Itoa(n)+`)`, nid, ord)
}

// RoomSize is what the events of a room take.
type RoomSize struct {
	RoomID string
	Bytes  int64
}

// LargestRooms returns the ten rooms whose events take most bytes. It reads all
// events.
func LargestRooms(tx *db.Tx) ([]RoomSize, error) {
	return db.All(tx, func(s *RoomSize) []any { return []any{&s.RoomID, &s.Bytes} }, `
		SELECT r.room_id, CAST(SUM(LENGTH(e.json)) AS BIGINT) AS size FROM events e JOIN rooms r ON r.nid = e.room
		GROUP BY r.room_id ORDER BY size DESC LIMIT 10`)
}
