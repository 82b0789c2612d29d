// Package sticky knows which events are shown to everybody in their room for some
// time, however far back they are (MSC4354). Package room writes them down with
// the events; here is what is quick to ask for. It does not know what they say.
package sticky

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
)

// sweepEvery is how often what is over is forgotten.
const sweepEvery = time.Minute

// Config is what an Engine needs from the rest of the server.
type Config struct {
	DB    *db.DB
	Rooms *room.Engine
	Log   *slog.Logger
}

// Engine has all sticky events of the server in memory, some 60 bytes each.
// Package room bounds them by room and sender.
type Engine struct {
	Config

	mu     sync.RWMutex
	loaded bool
	rooms  map[int64][]store.StickyEvent // by NID
	last   int64                         // greatest NID

	stop context.CancelFunc
	done sync.WaitGroup
}

// New returns an Engine that observes the rooms. Call it before the first
// request. What is over is forgotten between Start and Stop.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{Config: c, rooms: map[int64][]store.StickyEvent{}}
	c.Rooms.Observe(e.observe)
	c.Rooms.OnPurge(e.purged)
	return e
}

// Start begins to forget what is over.
func (e *Engine) Start(ctx context.Context) {
	ctx, e.stop = context.WithCancel(ctx)
	contain.Work(ctx, &e.done, e.Log, "sticky events", func(ctx context.Context) {
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			if err := e.sweep(ctx); err != nil && ctx.Err() == nil {
				e.Log.ErrorContext(ctx, "sticky events cannot be forgotten", "err", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// Stop ends what Start began.
func (e *Engine) Stop() {
	if e.stop != nil {
		e.stop()
		e.done.Wait()
	}
}

func (e *Engine) sweep(ctx context.Context) error {
	now := time.Now().UnixMilli()
	if err := e.DB.Write(ctx, func(tx *db.Tx) error { return store.DeleteStickyEvents(tx, now) }); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for nid, list := range e.rooms {
		e.setLocked(nid, slices.DeleteFunc(list, func(s store.StickyEvent) bool { return s.Until <= now }))
	}
	return nil
}

func (e *Engine) setLocked(nid int64, list []store.StickyEvent) {
	if len(list) == 0 {
		delete(e.rooms, nid)
		return
	}
	e.rooms[nid] = list
}

// observe runs in the store's writer.
func (e *Engine) observe(r *room.Room, ev *room.Event) {
	now := time.Now().UnixMilli()
	until := ev.StickyUntil(now)
	if ev.Sticky <= 0 || until <= now {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.addLocked(store.StickyEvent{NID: ev.NID, Room: r.NID, User: ev.Sender, Until: until})
}

// addLocked adds an event behind all others, within the bounds that package room
// keeps in the store.
func (e *Engine) addLocked(s store.StickyEvent) {
	list := append(e.rooms[s.Room], s)
	own := 0
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].User != s.User {
			continue
		}
		if own++; own > room.MaxStickyOfUser {
			list = slices.Delete(list, i, i+1)
		}
	}
	if over := len(list) - room.MaxSticky; over > 0 {
		list = slices.Delete(list, 0, over)
	}
	e.rooms[s.Room] = list
	e.last = max(e.last, s.NID)
}

func (e *Engine) purged(r *room.Room) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.rooms, r.NID)
}

// load reads what was sticky when the server started, once.
func (e *Engine) load(ctx context.Context) error {
	e.mu.RLock()
	loaded := e.loaded
	e.mu.RUnlock()
	if loaded {
		return nil
	}
	var all []store.StickyEvent
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = store.StickyEvents(tx, time.Now().UnixMilli())
		return err
	})
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.loaded {
		return nil
	}
	e.loaded = true
	observed := e.rooms // while we read; some are in what was read too
	e.rooms = map[int64][]store.StickyEvent{}
	for _, s := range all {
		e.rooms[s.Room] = append(e.rooms[s.Room], s)
		e.last = max(e.last, s.NID)
	}
	for nid, list := range observed {
		for _, s := range list {
			if have := e.rooms[nid]; len(have) == 0 || have[len(have)-1].NID < s.NID {
				e.addLocked(s)
			}
		}
	}
	return nil
}

// Since returns what is sticky now, with numbers in (after, upto], of the rooms
// that in lets pass, the oldest first.
func (e *Engine) Since(ctx context.Context, after, upto int64, in func(nid int64) bool) ([]store.StickyEvent, error) {
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.last <= after {
		return nil, nil
	}
	var out []store.StickyEvent
	for nid, list := range e.rooms {
		if list[len(list)-1].NID > after && in(nid) {
			out = appendLive(out, list, after, upto)
		}
	}
	slices.SortFunc(out, func(a, b store.StickyEvent) int { return cmp.Compare(a.NID, b.NID) })
	return out, nil
}

// In is Since for one room.
func (e *Engine) In(ctx context.Context, nid, after, upto int64) ([]store.StickyEvent, error) {
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return appendLive(nil, e.rooms[nid], after, upto), nil
}

func appendLive(out, list []store.StickyEvent, after, upto int64) []store.StickyEvent {
	now := time.Now().UnixMilli()
	for _, s := range list {
		if s.NID > after && s.NID <= upto && s.Until > now {
			out = append(out, s)
		}
	}
	return out
}
