package store

import (
	"fmt"
	"strings"

	"hearth/base/db"
)

// The index of SQLite is FTS5. It keeps no texts; search_docs says where a row
// belongs.

func addDocSQLite(tx *db.Tx, d SearchDoc) error {
	if err := tx.Exec(`INSERT INTO search_docs (event, room, kind) VALUES ($1, $2, $3)`, d.Event, d.Room, d.Kind); err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO search_words (rowid, words, place) VALUES ($1, $2, $3)`,
		d.Event, joinWords(d.Words), fmt.Sprintf("r%d k%d", d.Room, d.Kind))
}

// maxPlaces bounds the rooms that are looked for in the index. With more, rows
// of other rooms are read and left out.
const maxPlaces = 50

func searchSQLite(tx *db.Tx, q SearchQuery) ([]SearchHit, error) {
	return db.All(tx, (*SearchHit).columns, `
		SELECT d.event, d.room, CAST(-bm25(search_words, 1.0, 0.0) * 1000000 AS INTEGER)
		FROM search_words CROSS JOIN search_docs d ON d.event = search_words.rowid
		WHERE search_words MATCH $1 AND search_words.rowid <= $2 AND d.room IN (`+numbers(q.Rooms)+`)
		ORDER BY search_words.rowid DESC LIMIT $3`, matchSQLite(q), q.Upto, q.Limit)
}

// matchSQLite is the query in the language of FTS5. Words are letters and
// digits, so quotes are all the care they need.
func matchSQLite(q SearchQuery) string {
	quoted := make([]string, len(q.Words))
	for i, w := range q.Words {
		quoted[i] = `"` + w + `"`
	}
	match := `words : (` + strings.Join(quoted, " AND ") + `) AND place : (` + places('k', q.Kinds) + `)`
	if len(q.Rooms) <= maxPlaces {
		match += ` AND place : (` + places('r', q.Rooms) + `)`
	}
	return match
}

func places(mark byte, nids []int64) string {
	out := make([]string, len(nids))
	for i, n := range nids {
		out[i] = fmt.Sprintf(`"%c%d"`, mark, n)
	}
	return strings.Join(out, " OR ")
}

// numbers is a list for IN. Numbers need no placeholders, and there may be more
// of them than a statement takes.
func numbers(nids []int64) string {
	var b strings.Builder
	for i, n := range nids {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, n)
	}
	return b.String()
}
