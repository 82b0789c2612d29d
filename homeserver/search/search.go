// Package search finds events again: by the words in them, by their time, and
// what users did to get themselves and others into rooms. It follows the stream
// of events behind their sending and keeps an index for each.
// It does not know who may see what it finds.
package search

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
)

// Config is what an Engine works with.
type Config struct {
	DB     *db.DB
	Server mxid.ServerName
	Log    *slog.Logger
}

// Engine is the indexer and what searches its indexes.
type Engine struct {
	Config

	mu     sync.Mutex // held for a step
	cursor int64      // position up to which events are indexed; -1 before it was read
	saved  int64      // as the store has it

	stop context.CancelFunc
	done sync.WaitGroup
}

// New returns an Engine. It works without Start: whoever searches brings the
// index up to date first.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{Config: c, cursor: -1}
}

const (
	// every is how long events wait to be indexed. Many at a time cost less than
	// one by one.
	every = time.Second
	// pause leaves the writer to others between two steps of a long way.
	pause = 20 * time.Millisecond
	// batch bounds the events of one step.
	batch = 250
	// maxSteps bounds what one request indexes before it searches.
	maxSteps = 40
	// idle is how far the saved cursor may fall behind where nothing happens in
	// rooms.
	idle = 10_000
)

// Start gives the engine the goroutine that indexes. Stop ends it.
func (e *Engine) Start(ctx context.Context) {
	ctx, e.stop = context.WithCancel(ctx)
	contain.Work(ctx, &e.done, e.Log, "search index", func(ctx context.Context) {
		timer := time.NewTimer(every)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			wait := every
			behind, err := e.step(ctx)
			if err != nil && ctx.Err() == nil {
				e.Log.ErrorContext(ctx, "events were not indexed for searches", "err", err)
			} else if behind {
				wait = pause
			}
			timer.Reset(wait)
		}
	})
}

// Stop returns when nothing runs any more.
func (e *Engine) Stop() {
	if e.stop != nil {
		e.stop()
		e.done.Wait()
	}
}

// CatchUp indexes what was sent before the call, as far as that is a matter of
// seconds: after a restart with a new index it is not.
func (e *Engine) CatchUp(ctx context.Context) error {
	for range maxSteps {
		behind, err := e.step(context.WithoutCancel(ctx))
		if err != nil || !behind {
			return err
		}
	}
	return nil
}

// step indexes the next events and reports whether there are more.
func (e *Engine) step(ctx context.Context) (behind bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	pos := e.DB.Position()
	if e.cursor >= pos {
		return false, nil
	}
	var events []store.RawEvent
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		if e.cursor < 0 {
			if e.saved, err = store.SearchCursor(tx); err != nil {
				return err
			}
			e.cursor = e.saved
		}
		events, err = store.EventsFrom(tx, e.cursor, batch)
		return err
	})
	if err != nil {
		return false, err
	}
	if behind = len(events) == batch; behind {
		pos = events[batch-1].NID
	} else if n := len(events); n > 0 {
		pos = max(pos, events[n-1].NID)
	}
	if len(events) > 0 || pos-e.saved > idle {
		if err := e.index(ctx, events, pos); err != nil {
			return false, err
		}
		e.saved = pos
	}
	e.cursor = pos
	return behind, nil
}

// errMoved means that another process has indexed meanwhile.
var errMoved = errors.New("the index was changed by another process")

func (e *Engine) index(ctx context.Context, events []store.RawEvent, pos int64) error {
	err := e.DB.Write(ctx, func(tx *db.Tx) error {
		at, err := store.SearchCursor(tx)
		if err != nil {
			return err
		}
		if at != e.saved {
			return errMoved
		}
		for _, ev := range events {
			if err := e.indexEvent(tx, ev); err != nil {
				return err
			}
		}
		return store.SetSearchCursor(tx, pos)
	})
	if err != nil {
		e.cursor = -1 // read it again
	}
	return err
}

func (e *Engine) indexEvent(tx *db.Tx, ev store.RawEvent) error {
	if ev.Ord == nil || ev.Flags != 0 {
		return nil
	}
	typ, _ := canonjson.GetString(ev.JSON, "type")
	content, _ := canonjson.Get(ev.JSON, "content")
	if raw, ok := canonjson.Get(ev.JSON, "origin_server_ts"); ok {
		at, err := strconv.ParseInt(string(raw), 10, 64)
		if err == nil {
			if err := store.AddEventTime(tx, ev.Room, at, *ev.Ord, ev.NID); err != nil {
				return err
			}
			if typ == "m.room.member" {
				return e.indexAct(tx, ev, at, content)
			}
		}
	}
	if typ == "m.room.redaction" {
		return unindex(tx, ev.JSON, content)
	}
	kind, text := textOf(typ, content)
	words := keys(text, maxDocWords)
	if len(words) == 0 {
		return nil
	}
	return store.AddSearchDoc(tx, store.SearchDoc{Event: ev.NID, Room: ev.Room, Kind: kind, Words: words})
}

// unindex forgets the text of an event that was redacted. It is not shown any
// more since the redaction.
func unindex(tx *db.Tx, event, content []byte) error {
	target, ok := canonjson.GetString(event, "redacts")
	if !ok {
		target, _ = canonjson.GetString(content, "redacts")
	}
	nid, err := store.RedactedNID(tx, target)
	if errors.Is(err, db.ErrNoRow) || errors.Is(err, db.ErrText) {
		return nil
	}
	if err != nil {
		return err
	}
	return store.DeleteSearchDoc(tx, nid)
}

// textOf is what of an event is searched
// (client-server-api/#room_events).
func textOf(typ string, content []byte) (kind int64, text string) {
	switch typ {
	case "m.room.message":
		text, _ = canonjson.GetString(content, "body")
		return store.SearchBody, text
	case "m.room.name":
		text, _ = canonjson.GetString(content, "name")
		return store.SearchName, text
	case "m.room.topic":
		text, _ = canonjson.GetString(content, "topic")
		texts, _ := canonjson.Path(content, "m.topic", "m.text")
		canonjson.EachElem(texts, func(t []byte) bool {
			mime, given := canonjson.GetString(t, "mimetype")
			if body, ok := canonjson.GetString(t, "body"); ok && (!given || mime == "text/plain") && body != text {
				text += " " + body
			}
			return true
		})
		return store.SearchTopic, text
	}
	return 0, ""
}

// maxHits bounds what one search looks at.
const maxHits = 500

// Query asks for events with all of some words.
type Query struct {
	Words []string
	Kinds []int64
	Rooms []int64
	Upto  int64 // number of the newest event that counts
}

// Find returns the newest events that match, the newest first, and whether
// there may be more.
func (e *Engine) Find(ctx context.Context, q Query) (hits []store.SearchHit, more bool, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		hits, err = store.Search(tx, store.SearchQuery{Words: keys(strings.Join(q.Words, " "), MaxWords), Kinds: q.Kinds, Rooms: q.Rooms, Upto: q.Upto, Limit: maxHits})
		return err
	})
	return hits, len(hits) == maxHits, err
}

// Near returns the numbers of up to 50 events of a room whose own time is at or
// after at, in milliseconds, or with backward at or before it. Those nearest
// come first; skip leaves out as many.
func (e *Engine) Near(ctx context.Context, room, at int64, backward bool, skip int) (nids []int64, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		times, err := store.EventTimes(tx, room, at, backward, skip)
		for _, t := range times {
			nids = append(nids, t.Event)
		}
		return err
	})
	return nids, err
}
