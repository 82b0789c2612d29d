package store

import (
	"strings"

	"hearth/base/db"
)

// Kinds of texts that can be searched.
const (
	SearchBody int64 = iota + 1
	SearchName
	SearchTopic
)

// SearchDoc is the text of an event.
type SearchDoc struct {
	Event, Room, Kind int64
	Words             []string // in lower case, without anything but letters and digits
}

// SearchQuery asks for texts that have all of Words.
type SearchQuery struct {
	Words []string
	Kinds []int64
	Rooms []int64
	Upto  int64 // number of the newest event that counts
	Limit int
}

// SearchHit is an event that was found.
type SearchHit struct{ Event, Room int64 }

func (h *SearchHit) columns() []any { return []any{&h.Event, &h.Room} }

// SearchCursor is the position up to which events are indexed.
func SearchCursor(tx *db.Tx) (int64, error) {
	return cursor(tx, "search")
}

// SetSearchCursor moves it.
func SetSearchCursor(tx *db.Tx, pos int64) error {
	return setCursor(tx, "search", pos)
}

// AddSearchDoc makes a text searchable.
func AddSearchDoc(tx *db.Tx, d SearchDoc) error {
	if tx.Engine() == db.Postgres {
		return addDocPostgres(tx, d)
	}
	return addDocSQLite(tx, d)
}

// DeleteSearchDoc forgets the text of an event.
func DeleteSearchDoc(tx *db.Tx, event int64) error {
	if tx.Engine() == db.SQLite {
		if err := tx.Exec(`DELETE FROM search_words WHERE rowid = $1`, event); err != nil {
			return err
		}
	}
	return tx.Exec(`DELETE FROM search_docs WHERE event = $1`, event)
}

// Search returns the newest events with a text that matches, the newest first.
func Search(tx *db.Tx, q SearchQuery) ([]SearchHit, error) {
	if len(q.Words) == 0 || len(q.Kinds) == 0 || len(q.Rooms) == 0 {
		return nil, nil
	}
	if tx.Engine() == db.Postgres {
		return searchPostgres(tx, q)
	}
	return searchSQLite(tx, q)
}

// RawEvent is what the indexer needs of an event.
type RawEvent struct {
	NID, Room int64
	Ord       *int64
	Flags     EventFlags
	JSON      []byte
}

// EventsFrom returns up to limit events of all rooms with numbers above after,
// in their order.
func EventsFrom(tx *db.Tx, after int64, limit int) ([]RawEvent, error) {
	return db.All(tx, func(e *RawEvent) []any { return []any{&e.NID, &e.Room, &e.Ord, &e.Flags, &e.JSON} },
		`SELECT nid, room, ord, flags, json FROM events WHERE nid > $1 ORDER BY nid LIMIT $2`, after, limit)
}

// RedactedNID returns the number of an event if it was redacted, else
// db.ErrNoRow.
func RedactedNID(tx *db.Tx, eventID string) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT nid FROM events WHERE event_id = $1 AND redacted_by IS NOT NULL`, eventID)
}

// AddEventTime indexes an event by its own time, in milliseconds.
func AddEventTime(tx *db.Tx, room, at, ord, event int64) error {
	return tx.Exec(`INSERT INTO event_times (room, at, ord, event) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, room, at, ord, event)
}

// EventTime is an event by its own time.
type EventTime struct{ At, Ord, Event int64 }

// EventTimes returns up to 50 events of a room from a time on, or with backward
// up to a time, those nearest to it first. skip leaves out as many.
func EventTimes(tx *db.Tx, room, at int64, backward bool, skip int) ([]EventTime, error) {
	query := `SELECT at, ord, event FROM event_times WHERE room = $1 AND at >= $2 ORDER BY at, ord LIMIT 50 OFFSET $3`
	if backward {
		query = `SELECT at, ord, event FROM event_times WHERE room = $1 AND at <= $2 ORDER BY at DESC, ord DESC LIMIT 50 OFFSET $3`
	}
	return db.All(tx, func(e *EventTime) []any { return []any{&e.At, &e.Ord, &e.Event} }, query, room, at, skip)
}

func joinWords(words []string) string { return strings.Join(words, " ") }
