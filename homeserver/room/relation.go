package room

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// The relations that the server treats in a way of their own
// (client-server-api/#relationship-types).
const (
	RelReplace    = "m.replace"
	RelThread     = "m.thread"
	RelReference  = "m.reference"
	RelAnnotation = "m.annotation"
)

// Relation is what an event says of another
// (client-server-api/#forming-relationships-between-events).
type Relation struct {
	RelType string
	Parent  string // event id
	Key     string // of an m.annotation
}

// maxRelField bounds what of a relation is looked for again. Longer ones relate
// to nothing.
const maxRelField = 255

// RelationIn reads the relation of a content. It reports false for none, and
// for one of a wrong shape, which is ignored.
func RelationIn(content json.RawMessage) (r Relation, ok bool) {
	raw, ok := canonjson.Get(content, "m.relates_to")
	if !ok || !canonjson.IsObject(raw) {
		return r, false
	}
	r.RelType, _ = canonjson.GetString(raw, "rel_type")
	r.Parent, _ = canonjson.GetString(raw, "event_id")
	for _, s := range []string{r.RelType, r.Parent} {
		if s == "" || len(s) > maxRelField || strings.IndexByte(s, 0) >= 0 {
			return Relation{}, false
		}
	}
	if r.Parent[0] != '$' {
		return Relation{}, false
	}
	if r.RelType == RelAnnotation {
		r.Key, _ = canonjson.GetString(raw, "key")
	}
	return r, true
}

// Relation is what the event says of another.
func (ev *Event) Relation() (Relation, bool) {
	r, ok := RelationIn(ev.Content)
	if ok && ev.StateKey != nil && r.RelType == RelReplace {
		return r, false // state is replaced by state
	}
	return r, ok
}

func (ev *Event) relationRow() (store.Relation, bool) {
	r, ok := ev.Relation()
	row := r.row(ev.Sender, ev.Type)
	row.Ord, row.Event, row.Room = ev.Ord, ev.NID, ev.Room
	return row, ok && ev.Ord != 0
}

func (r Relation) row(sender, typ string) store.Relation {
	row := store.Relation{Parent: r.Parent, RelType: r.RelType, Sender: sender, Type: typ}
	if r.RelType == RelAnnotation {
		h := sha256.Sum256([]byte(r.Key))
		row.Annotation = h[:16]
	}
	return row
}

// relate stores what an event says of another.
func (c *commit) relate(ev *Event) error {
	row, ok := ev.relationRow()
	if !ok {
		return nil
	}
	if !c.next.Related {
		c.next.Related = true
		if err := store.SetRelated(c.tx, row.Room); err != nil {
			return err
		}
	}
	return store.InsertRelation(c.tx, row)
}

// refuseSecond fails the transaction of an annotation that is there already:
// two requests may both have looked before either was stored.
func (c *commit) refuseSecond(ev *Event) error {
	row, ok := ev.relationRow()
	if !ok || row.RelType != RelAnnotation {
		return nil
	}
	switch _, err := store.SameAnnotation(c.tx, row); {
	case errors.Is(err, db.ErrNoRow):
		return nil
	case err != nil:
		return err
	}
	return errAnnotated()
}

func errAnnotated() error {
	return mxerr.New(mxerr.DuplicateAnnotation, "You have annotated this event so already")
}

// unrelate takes back what an event has said that is redacted now
// (client-server-api/#aggregations-of-child-events).
func (c *commit) unrelate(ev *Event) error {
	row, ok := ev.relationRow()
	if !ok {
		return nil
	}
	return store.DeleteRelation(c.tx, row)
}

// checkRelation refuses messages whose relation breaks a rule: the same
// annotation twice (client-server-api/#avoiding-duplicate-annotations), and
// threads that start at an event which belongs to another
// (client-server-api/#validation-of-mthread-relationships).
func (e *Engine) checkRelation(ctx context.Context, r *Room, d Draft) error {
	if !bytes.Contains(d.Content, []byte("m.relates_to")) && !bytes.Contains(d.Content, []byte(`\u`)) {
		return nil
	}
	content, err := canonjson.Canonical(nil, d.Content, canonjson.Options{Numbers: canonjson.Loose})
	if err != nil {
		return nil // whoever builds the event says what is wrong with it
	}
	rel, ok := RelationIn(content)
	if !ok {
		return nil
	}
	switch rel.RelType {
	case RelAnnotation:
		return e.checkAnnotation(ctx, r, d, rel)
	case RelThread:
		return e.checkThread(ctx, r, rel)
	}
	return nil
}

func (e *Engine) checkAnnotation(ctx context.Context, r *Room, d Draft, rel Relation) error {
	var nid int64
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		nid, err = store.SameAnnotation(tx, rel.row(d.Sender, d.Type))
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		return nil
	}
	if err != nil {
		return err
	}
	ev, err := e.eventByNID(ctx, r.Version, nid)
	if err != nil {
		return err
	}
	if ev == nil || ev.Room != r.NID || d.TxnID != "" && ev.TxnDevice == d.Device && ev.TxnID == d.TxnID {
		return nil // of another room, or of this very request
	}
	return errAnnotated()
}

func (e *Engine) checkThread(ctx context.Context, r *Room, rel Relation) error {
	root, err := e.EventByID(ctx, rel.Parent)
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			return nil // it may be known elsewhere
		}
		return err
	}
	if _, child := root.Relation(); child && root.Room == r.NID {
		return &mxerr.Error{Code: mxerr.Unknown, Text: "A thread cannot start at an event that belongs to another", Status: 400}
	}
	return nil
}

// EventIn returns an event of a room by its id, nil if it is not there.
func (e *Engine) EventIn(ctx context.Context, r *Room, id string) (*Event, error) {
	ev, err := e.EventByID(ctx, id)
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			return nil, nil
		}
		return nil, err
	}
	if ev.Room != r.NID {
		return nil, nil
	}
	return ev, nil
}
