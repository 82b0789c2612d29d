package room

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/roomver"
)

// minRecent to maxRecent is how many of a room's newest events are kept at hand;
// after a trim half of them are, which is more than clients ask for at first. A
// room in which so much is said that it fills them within busy keeps more: those
// who hear it lag behind, and would each ask the store.
const (
	minRecent = 48
	maxRecent = 16 * minRecent
	busy      = 5 * time.Second
)

// recent holds a room's newest events since it became live: what nearly every
// /sync asks for.
type recent struct {
	mu     sync.RWMutex
	events []*Event // in timeline order
	// after is the place behind which events is complete; 0 while nothing is.
	after   int64
	size    int       // how many may be kept now
	trimmed time.Time // when they last were too many
}

func (c *recent) add(ev *Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) == 0 {
		c.after = ev.Ord - 1
	}
	if c.size = max(c.size, minRecent); len(c.events) >= c.size {
		c.makeRoomLocked(time.Now())
	}
	c.events = append(c.events, ev)
}

func (c *recent) makeRoomLocked(now time.Time) {
	quick := now.Sub(c.trimmed) < busy
	c.trimmed = now
	if quick && c.size < maxRecent {
		c.size *= 2
		return
	}
	if !quick {
		c.size = minRecent
	}
	// A new array: readers may hold the old one.
	keep := c.events[len(c.events)-c.size/2:]
	c.events = append(make([]*Event, 0, c.size+1), keep...)
	c.after = c.events[0].Ord - 1
}

// since returns the events with places in (after, upto], oldest first, if they
// are all at hand.
func (c *recent) since(after, upto int64) ([]*Event, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.events) == 0 || after < c.after {
		return nil, false
	}
	from, _ := slices.BinarySearchFunc(c.events, after+1, byOrd)
	to, _ := slices.BinarySearchFunc(c.events, upto+1, byOrd)
	if from > to {
		return nil, true
	}
	return c.events[from:to:to], true
}

// last returns the newest limit events with places up to upto, oldest first, if
// they are at hand. more says that there are others before them.
func (c *recent) last(upto int64, limit int) (events []*Event, more, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.events) == 0 {
		return nil, false, false
	}
	to, _ := slices.BinarySearchFunc(c.events, upto+1, byOrd)
	if to > limit {
		return c.events[to-limit : to : to], true, true
	}
	// Fewer will do if the room began with the first of them.
	return c.events[:to:to], false, to > 0 && c.events[0].Type == "m.room.create"
}

func byOrd(ev *Event, ord int64) int {
	switch {
	case ev.Ord < ord:
		return -1
	case ev.Ord > ord:
		return 1
	}
	return 0
}

// replace puts a new form of an event in the place of the old one.
func (e *Engine) replace(r *Room, ev *Event) {
	e.events.put(ev)
	c := &r.recent
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, ok := slices.BinarySearchFunc(c.events, ev.Ord, byOrd); ok {
		c.events = slices.Clone(c.events) // readers may hold the old array
		c.events[i] = ev
	}
}

// Since returns the newest events with places in (after, upto], at most limit,
// oldest first. more says that there are others before them.
func (e *Engine) Since(ctx context.Context, r *Room, after, upto int64, limit int) (events []*Event, more bool, err error) {
	if after < 0 { // everything
		if events, more, ok := r.recent.last(upto, limit); ok {
			return events, more, nil
		}
	}
	if events, ok := r.recent.since(after, upto); ok {
		if n := len(events) - limit; n > 0 {
			return events[n:], true, nil
		}
		return events, false, nil
	}
	events, err = e.Before(ctx, r, upto+1, after, limit+1)
	if err != nil {
		return nil, false, err
	}
	slices.Reverse(events)
	if len(events) > limit {
		return events[len(events)-limit:], true, nil
	}
	return events, false, nil
}

// Before returns up to limit events with places below from and above end,
// newest first.
func (e *Engine) Before(ctx context.Context, r *Room, from, end int64, limit int) ([]*Event, error) {
	return e.page(ctx, r, from, end, true, limit)
}

// After returns up to limit events with places above from and below end,
// oldest first.
func (e *Engine) After(ctx context.Context, r *Room, from, end int64, limit int) ([]*Event, error) {
	return e.page(ctx, r, from, end, false, limit)
}

func (e *Engine) page(ctx context.Context, r *Room, from, end int64, backward bool, limit int) ([]*Event, error) {
	var rows []store.Event
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.Timeline(tx, r.NID, from, end, backward, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e.parsePage(rows, r.Version)
}

// parsePage parses rows of history without pushing what is in use out of the
// cache: a client that reads all history would leave it cold.
func (e *Engine) parsePage(rows []store.Event, v *roomver.Version) ([]*Event, error) {
	out := make([]*Event, len(rows))
	for i, row := range rows {
		if out[i] = e.events.get(row.NID); out[i] != nil {
			continue
		}
		ev, err := parse(row, v)
		if err != nil {
			return nil, err
		}
		out[i] = ev
	}
	return out, nil
}

// EventByID returns a stored event of any room. One that is not there is
// M_NOT_FOUND.
func (e *Engine) EventByID(ctx context.Context, id string) (*Event, error) {
	var row store.Event
	var version string
	err := e.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if row, err = store.EventByID(tx, id); err != nil {
			return err
		}
		r, err := store.RoomByNID(tx, row.Room)
		version = r.Version
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		return nil, mxerr.New(mxerr.NotFound, "There is no such event here")
	}
	if err != nil {
		return nil, err
	}
	events, err := e.parseAll([]store.Event{row}, version)
	if err != nil {
		return nil, err
	}
	return events[0], nil
}

// LastBefore returns the newest event at or before a place, or nil if the
// room's timeline starts after it.
func (e *Engine) LastBefore(ctx context.Context, r *Room, ord int64) (*Event, error) {
	events, err := e.Before(ctx, r, ord+1, math.MinInt64, 1)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return events[0], nil
}

func sortNIDs(nids []int64) { slices.Sort(nids) }
