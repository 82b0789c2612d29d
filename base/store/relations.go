package store

import (
	"fmt"
	"strings"

	"hearth/base/db"
)

// Relation is an event that says it belongs to another.
type Relation struct {
	Parent     string // event id
	RelType    string
	Ord        int64 // place of the child in the timeline
	Event      int64 // number of the child
	Room       int64
	Sender     string
	Type       string // of the child
	Annotation []byte // hash of the key of an m.annotation
}

func (r *Relation) columns() []any {
	return []any{&r.Parent, &r.RelType, &r.Ord, &r.Event, &r.Room, &r.Sender, &r.Type, &r.Annotation}
}

const relationColumns = `parent, rel_type, ord, event, room, sender, type, annotation`

const thread = "m.thread"

// InsertRelation stores a relation.
func InsertRelation(tx *db.Tx, r Relation) error {
	if r.Annotation == nil {
		r.Annotation = []byte{}
	}
	err := tx.Exec(`INSERT INTO relations (`+relationColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		r.Parent, r.RelType, r.Ord, r.Event, r.Room, r.Sender, r.Type, r.Annotation)
	if err != nil || r.RelType != thread {
		return err
	}
	return tx.Exec(`
		INSERT INTO threads (root, room, last, events) VALUES ($1, $2, $3, 1)
		ON CONFLICT (root) DO UPDATE SET events = threads.events + 1,
			last = CASE WHEN threads.last < excluded.last THEN excluded.last ELSE threads.last END`,
		r.Parent, r.Room, r.Ord)
}

// SetRelated notes that a room has relations.
func SetRelated(tx *db.Tx, room int64) error {
	return tx.Exec(`UPDATE rooms SET related = $1 WHERE nid = $2`, true, room)
}

// DeleteRelation removes the relation of an event that was redacted.
func DeleteRelation(tx *db.Tx, r Relation) error {
	n, err := tx.ExecN(`DELETE FROM relations WHERE parent = $1 AND rel_type = $2 AND ord = $3 AND event = $4`, r.Parent, r.RelType, r.Ord, r.Event)
	if err != nil || n == 0 || r.RelType != thread {
		return err
	}
	err = tx.Exec(`
		UPDATE threads SET events = events - 1,
			last = COALESCE((SELECT MAX(ord) FROM relations WHERE parent = $1 AND rel_type = 'm.thread'), last)
		WHERE root = $2`, r.Parent, r.Parent)
	if err != nil {
		return err
	}
	return tx.Exec(`DELETE FROM threads WHERE root = $1 AND events <= 0`, r.Parent)
}

// SameAnnotation returns the event by which sender has annotated parent in this
// way, or db.ErrNoRow.
func SameAnnotation(tx *db.Tx, r Relation) (int64, error) {
	return db.One(tx, db.Value[int64], `
		SELECT event FROM relations
		WHERE parent = $1 AND sender = $2 AND rel_type = 'm.annotation' AND type = $3 AND annotation = $4 LIMIT 1`,
		r.Parent, r.Sender, r.Type, r.Annotation)
}

// RelationQuery says which relations to look for. Empty fields ask for nothing.
type RelationQuery struct {
	Parents    []string
	RelTypes   []string
	Type       string
	Senders    []string
	NotSenders []string
	// From and End are places, exclusive.
	From, End int64
	Backward  bool
	Limit     int
}

// Relations returns relations in the order of their places. With more parents
// than one query takes, each chunk is ordered for itself, and has its own
// limit.
func Relations(tx *db.Tx, q RelationQuery) ([]Relation, error) {
	var out []Relation
	err := db.In(q.Parents, 1, func(in string, args []any) error {
		where, args := q.where(in, args)
		page, err := db.All(tx, (*Relation).columns, `SELECT `+relationColumns+` FROM relations WHERE `+where, args...)
		out = append(out, page...)
		return err
	})
	return out, err
}

func (q *RelationQuery) where(in string, args []any) (string, []any) {
	var b strings.Builder
	b.WriteString(`parent IN (` + in + `)`)
	add := func(text string, arg any) {
		args = append(args, arg)
		fmt.Fprintf(&b, text, len(args))
	}
	list := func(column, in string, values []string) {
		if len(values) == 0 {
			return
		}
		b.WriteString(` AND ` + column + in + `(`)
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			add(`$%d`, v)
		}
		b.WriteByte(')')
	}
	list("rel_type", " IN ", q.RelTypes)
	list("sender", " IN ", q.Senders)
	list("sender", " NOT IN ", q.NotSenders)
	if q.Type != "" {
		add(` AND type = $%d`, q.Type)
	}
	far, near, order := ` AND ord > $%d`, ` AND ord < $%d`, ` ORDER BY ord LIMIT %d`
	if q.Backward {
		far, near, order = near, far, ` ORDER BY ord DESC LIMIT %d`
	}
	add(far, q.From)
	add(near, q.End)
	fmt.Fprintf(&b, order, pageSize(q.Limit))
	return b.String(), args
}

// Thread is what is known of a thread.
type Thread struct {
	Root   string
	Last   int64 // place of the newest event
	Events int64
}

func (t *Thread) columns() []any { return []any{&t.Root, &t.Last, &t.Events} }

// ThreadsOf returns those of events that are roots of threads.
func ThreadsOf(tx *db.Tx, roots []string) ([]Thread, error) {
	var out []Thread
	err := db.In(roots, 1, func(in string, args []any) error {
		part, err := db.All(tx, (*Thread).columns, `SELECT root, last, events FROM threads WHERE root IN (`+in+`)`, args...)
		out = append(out, part...)
		return err
	})
	return out, err
}

// ThreadsIn returns threads of a room whose newest event is before a place,
// the latest first.
func ThreadsIn(tx *db.Tx, room, before int64, limit int) ([]Thread, error) {
	return db.All(tx, (*Thread).columns, `
		SELECT root, last, events FROM threads WHERE room = $1 AND last < $2 ORDER BY last DESC LIMIT `+fmt.Sprint(pageSize(limit)), room, before)
}

// SendersIn counts the events that some people have in threads.
func SendersIn(tx *db.Tx, roots, senders []string) (map[string]int64, error) {
	type row struct {
		root string
		n    int64
	}
	out := map[string]int64{}
	if len(senders) == 0 {
		return out, nil
	}
	err := db.In(roots, 1, func(in string, args []any) error {
		marks := make([]string, len(senders))
		for i, s := range senders {
			args = append(args, s)
			marks[i] = fmt.Sprintf("$%d", len(args))
		}
		for r, err := range db.Rows(tx, func(r *row) []any { return []any{&r.root, &r.n} }, `
			SELECT parent, COUNT(*) FROM relations
			WHERE parent IN (`+in+`) AND sender IN (`+strings.Join(marks, ",")+`) AND rel_type = 'm.thread' GROUP BY parent`, args...) {
			if err != nil {
				return err
			}
			out[r.root] += r.n
		}
		return nil
	})
	return out, err
}
