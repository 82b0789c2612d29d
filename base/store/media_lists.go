package store

import (
	"fmt"
	"strconv"

	"hearth/base/db"
)

// MediaOrders are the orders in which a user's files are listed, by the names that
// admin tools give them.
var MediaOrders = map[string]string{
	"media_id":             "id",
	"upload_name":          "name",
	"created_ts":           "created",
	"last_access_ts":       "used",
	"media_length":         "size",
	"media_type":           "type",
	"quarantined_by":       "quarantined_by",
	"safe_from_quarantine": "protected",
}

// MediaPage says which of a user's files are wanted.
type MediaPage struct {
	User        string
	OrderBy     string // a key of MediaOrders
	Descending  bool
	From, Limit int
}

// MediaOf returns a page of a user's files.
func MediaOf(tx *db.Tx, p MediaPage) ([]Media, error) {
	order := MediaOrders[p.OrderBy]
	if p.Descending {
		order += " DESC"
	}
	return db.All(tx, (*Media).columns, `
		SELECT `+mediaColumns+` FROM media WHERE usr = $1 AND hash <> '' ORDER BY `+order+`, id
		LIMIT `+strconv.Itoa(p.Limit)+` OFFSET `+strconv.Itoa(p.From), p.User)
}

// MediaOfHash returns the files of some bytes.
func MediaOfHash(tx *db.Tx, hash string) ([]Media, error) {
	return db.All(tx, (*Media).columns, `SELECT `+mediaColumns+` FROM media WHERE hash = $1`, hash)
}

// MediaSums are what the files of a user come to.
type MediaSums struct {
	User        string
	DisplayName string // JSON, or ""
	Count, Size int64  // files, bytes
}

func (s *MediaSums) columns() []any { return []any{&s.User, &s.DisplayName, &s.Count, &s.Size} }

// SumMediaOf adds up a user's files.
func SumMediaOf(tx *db.Tx, user string) (MediaSums, error) {
	return db.One(tx, (*MediaSums).columns, `
		SELECT $1, '', COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM media WHERE usr = $2 AND hash <> ''`, user, user)
}

// SumOrders are the orders of SumMedia, by the names that admin tools give them.
var SumOrders = map[string]string{"user_id": "usr", "displayname": "displayname", "media_count": "files", "media_length": "bytes"}

// MediaSumQuery says which sums SumMedia wants: of files that came in a time in
// ms, of users with a part of their id or display name.
type MediaSumQuery struct {
	Since, Until int64
	Search       string // "" for all
	OrderBy      string // a key of SumOrders
	Descending   bool
	From, Limit  int
}

// SumMedia adds up the files of each user and returns a page of that, and how many
// users there are.
func SumMedia(tx *db.Tx, q MediaSumQuery) (page []MediaSums, total int64, err error) {
	const sums = `
		FROM media m LEFT JOIN profiles n ON n.usr = m.usr AND n.field = 'displayname'
		WHERE m.hash <> '' AND m.usr <> '' AND m.created >= $1 AND m.created <= $2
			AND (LOWER(m.usr) LIKE $3 ESCAPE '\' OR LOWER(COALESCE(n.value, '')) LIKE $4 ESCAPE '\')`
	word := "%" + like(q.Search) + "%"
	args := []any{q.Since, q.Until, word, word}
	if total, err = db.One(tx, db.Value[int64], `SELECT COUNT(DISTINCT m.usr)`+sums, args...); err != nil {
		return nil, 0, err
	}
	order := SumOrders[q.OrderBy]
	if q.Descending {
		order += " DESC"
	}
	page, err = db.All(tx, (*MediaSums).columns, `
		SELECT m.usr AS usr, COALESCE(n.value, '') AS displayname, COUNT(*) AS files, CAST(SUM(m.size) AS BIGINT) AS bytes`+sums+`
		GROUP BY m.usr, n.value ORDER BY `+order+fmt.Sprintf(`, usr LIMIT %d OFFSET %d`, q.Limit, q.From), args...)
	return page, total, err
}

// MediaAge says which files are wanted by their age: those that were last looked at
// before a time in ms, and have more than some bytes.
type MediaAge struct {
	Origin string // of this server, or with Remote of all others
	Remote bool   // without quarantined ones, which would come again
	Before int64
	Larger int64
	After  Media // the last one of the page before
	Limit  int
}

// MediaBefore returns a page of files by their age.
func MediaBefore(tx *db.Tx, q MediaAge) ([]Media, error) {
	where := `origin = $1 AND id > $2`
	args := []any{q.Origin, q.After.ID}
	if q.Remote {
		where = `origin <> $1 AND (origin, id) > ($2, $3) AND quarantined_by = ''`
		args = []any{q.Origin, q.After.Origin, q.After.ID}
	}
	n := len(args)
	where += fmt.Sprintf(` AND hash <> '' AND used < $%d AND created < $%d AND size > $%d`, n+1, n+2, n+3)
	return db.All(tx, (*Media).columns, `
		SELECT `+mediaColumns+` FROM media WHERE `+where+` ORDER BY origin, id LIMIT `+strconv.Itoa(q.Limit),
		append(args, q.Before, q.Before, q.Larger)...)
}

// Avatars returns the addresses of all pictures that stand for a user or a room.
func Avatars(tx *db.Tx, f func(event bool, raw []byte) error) error {
	for v, err := range db.Rows(tx, db.Value[string], `SELECT value FROM profiles WHERE field = 'avatar_url'`) {
		if err != nil {
			return err
		}
		if err := f(false, []byte(v)); err != nil {
			return err
		}
	}
	return RoomFacts(tx, 0, []string{"m.room.avatar"}, func(fact RoomFact) error { return f(true, fact.JSON) })
}

// QuarantineChange is a file that was hidden or shown again.
type QuarantineChange struct {
	Pos         int64
	Origin, ID  string
	Quarantined bool
}

// AddQuarantineChange stores one.
func AddQuarantineChange(tx *db.Tx, c QuarantineChange) error {
	return tx.Exec(`INSERT INTO quarantine_changes (pos, origin, id, quarantined) VALUES ($1, $2, $3, $4)`, c.Pos, c.Origin, c.ID, c.Quarantined)
}

// QuarantineChanges returns changes behind a position, oldest first.
func QuarantineChanges(tx *db.Tx, after int64, limit int) ([]QuarantineChange, error) {
	return db.All(tx, func(c *QuarantineChange) []any { return []any{&c.Pos, &c.Origin, &c.ID, &c.Quarantined} },
		`SELECT pos, origin, id, quarantined FROM quarantine_changes WHERE pos > $1 ORDER BY pos LIMIT $2`, after, limit)
}
