package store

import (
	"cmp"
	"fmt"
	"slices"
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

const (
	// maxPlaces bounds the rooms that one query looks for in the index.
	maxPlaces = 50
	// maxQueries bounds the queries of one search. For those who are in more
	// rooms than that takes, rows of other rooms are read and left out.
	maxQueries = 20
)

func searchSQLite(tx *db.Tx, q SearchQuery) ([]SearchHit, error) {
	if len(q.Rooms) > maxPlaces*maxQueries {
		return searchPlaces(tx, q, nil)
	}
	var all []SearchHit
	for rooms := range slices.Chunk(q.Rooms, maxPlaces) {
		hits, err := searchPlaces(tx, q, rooms)
		if err != nil {
			return nil, err
		}
		all = append(all, hits...)
	}
	slices.SortFunc(all, func(a, b SearchHit) int { return cmp.Compare(b.Event, a.Event) })
	return all[:min(len(all), q.Limit)], nil
}

// searchPlaces asks the index for some of the rooms; with nil, for all.
func searchPlaces(tx *db.Tx, q SearchQuery, rooms []int64) ([]SearchHit, error) {
	return db.All(tx, (*SearchHit).columns, `
		SELECT d.event, d.room FROM search_words CROSS JOIN search_docs d ON d.event = search_words.rowid
		WHERE search_words MATCH $1 AND search_words.rowid <= $2 AND d.room IN (`+numbers(q.Rooms)+`)
		ORDER BY search_words.rowid DESC LIMIT $3`, matchSQLite(q, rooms), q.Upto, q.Limit)
}

// matchSQLite is the query in the language of FTS5. Words are letters and
// digits, so quotes are all the care they need.
func matchSQLite(q SearchQuery, rooms []int64) string {
	quoted := make([]string, len(q.Words))
	for i, w := range q.Words {
		quoted[i] = `"` + w + `"`
	}
	match := `words : (` + strings.Join(quoted, " AND ") + `) AND place : (` + places('k', q.Kinds) + `)`
	if rooms != nil {
		match += ` AND place : (` + places('r', rooms) + `)`
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
