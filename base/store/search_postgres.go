package store

import "hearth/base/db"

// The index of PostgreSQL is a tsvector without a dictionary: people write in
// many languages.

func addDocPostgres(tx *db.Tx, d SearchDoc) error {
	return tx.Exec(`INSERT INTO search_docs (event, room, kind, words) VALUES ($1, $2, $3, to_tsvector('simple', $4))`,
		d.Event, d.Room, d.Kind, joinWords(d.Words))
}

func searchPostgres(tx *db.Tx, q SearchQuery) ([]SearchHit, error) {
	return db.All(tx, (*SearchHit).columns, `
		SELECT event, room FROM search_docs
		WHERE words @@ plainto_tsquery('simple', $1) AND event <= $2
			AND room IN (`+numbers(q.Rooms)+`) AND kind IN (`+numbers(q.Kinds)+`)
		ORDER BY event DESC LIMIT $3`, joinWords(q.Words), q.Upto, q.Limit)
}
