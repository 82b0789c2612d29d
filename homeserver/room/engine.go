// Package room is the engine of rooms: it makes events and takes those of
// others, decides whether they are allowed, keeps the state before each of
// them, and stores each with its consequences in one transaction. It does not
// know HTTP, nor who waits for what it stores.
package room

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
	"hearth/matrix/roomver"
)

// Profiles tells how users call themselves, for the member events they send.
type Profiles interface {
	// Profile returns a user's display name and avatar URL, "" for none.
	Profile(ctx context.Context, user string) (displayName, avatarURL string, err error)
}

// Config is what an Engine needs from the rest of the server.
type Config struct {
	DB       *db.DB
	Hub      *notify.Hub
	Server   mxid.ServerName
	KeyID    string // "ed25519:abc"
	Key      ed25519.PrivateKey
	Profiles Profiles
	// Erased reports whether what a user wrote is hidden from those who come later;
	// nil if it never is.
	Erased func(ctx context.Context, user string) (bool, error)
	Log    *slog.Logger
	// DefaultVersion is the version of rooms for which nobody chose one; "" for
	// roomver.Default.
	DefaultVersion string
	// MaxRooms bounds the live rooms; 0 for what is usual.
	MaxRooms int
}

// Engine runs all rooms of a server.
type Engine struct {
	Config
	keys   *stateKeys
	packs  *packCache
	events *eventCache
	joined joined
	lists  roomLists

	lastCreate atomic.Int64 // see createTime

	observers []func(*Room, *Event)
	onForget  []func(string, *Room)
	onPurge   []func(*Room)

	mu    sync.Mutex
	rooms map[string]*Room
	byNID map[int64]*Room
	heads map[int64]*Head
}

// Bounds of what is kept in memory.
const (
	maxRooms  = 4096 // live rooms
	maxEvents = 6000 // parsed events, of about 2 kB each
	maxPacks  = 8 << 20
)

// New returns an Engine. Nothing runs in the background.
func New(c Config) *Engine {
	c.DefaultVersion = cmp.Or(c.DefaultVersion, roomver.Default)
	c.MaxRooms = cmp.Or(c.MaxRooms, maxRooms)
	e := &Engine{Config: c, rooms: map[string]*Room{}, byNID: map[int64]*Room{}, heads: map[int64]*Head{}}
	e.keys = newStateKeys()
	e.packs = newPackCache(maxPacks)
	e.events = newEventCache(maxEvents)
	e.Observe(e.lists.observe)
	return e
}

// Observe registers a function that is called for each event of a timeline,
// in the order of their positions, after its commit and before anybody is woken
// for it. It runs in the store's writer, so it must be quick. Call Observe
// before the first request.
func (e *Engine) Observe(f func(*Room, *Event)) { e.observers = append(e.observers, f) }

// Room is a live room.
type Room struct {
	NID     int64
	ID      string
	Version *roomver.Version

	lock    chan struct{} // held by the one who adds events
	gone    atomic.Bool   // the room was purged
	dropped atomic.Bool   // another of its kind is the live one, or will be
	current atomic.Pointer[Current]
	head    *Head
	recent  recent
	note    atomic.Pointer[any]

	// Under lock: what is on its way to the store (see flight.go).
	tip      *tip
	flights  map[string]*flight
	inFlight sync.WaitGroup
	flying   atomic.Int32 // how many are in flight

	staged staged // by the store's writer only
}

// Head is how far the timeline of a room goes. It outlives the live room, so
// that those who watch many rooms need not keep them all live.
type Head struct{ pos atomic.Int64 }

// LastPos is the position of the newest event in the timeline.
func (h *Head) LastPos() int64 { return h.pos.Load() }

// Raise notes that the timeline goes at least as far as pos.
func (h *Head) Raise(pos int64) {
	for {
		old := h.pos.Load()
		if old >= pos || h.pos.CompareAndSwap(old, pos) {
			return
		}
	}
}

// Current is a room at one moment. It never changes.
type Current struct {
	store.Room
	HeadIDs []string // event ids of Heads
}

// Current is the newest state of affairs.
func (r *Room) Current() *Current { return r.current.Load() }

// LastPos is the position of the newest event in the timeline.
func (r *Room) LastPos() int64 { return r.head.LastPos() }

// Note is what package feed has noted about the room, nil for nothing. It is
// kept as long as the room is live.
func (r *Room) Note() any {
	if p := r.note.Load(); p != nil {
		return *p
	}
	return nil
}

// SetNote replaces the note.
func (r *Room) SetNote(v any) { r.note.Store(&v) }

// locked proves that the room's lock is held.
type locked struct {
	*Room
}

// acquire takes the room's lock. A room that was dropped meanwhile is errDropped:
// what is added goes to the live one.
func (r *Room) acquire(ctx context.Context) (locked, error) {
	select {
	case r.lock <- struct{}{}:
		if r.gone.Load() {
			<-r.lock
			return locked{}, mxerr.New(mxerr.NotFound, "There is no such room here any more")
		}
		if r.dropped.Load() {
			<-r.lock
			return locked{}, errDropped
		}
		return locked{r}, nil
	case <-ctx.Done():
		return locked{}, ctx.Err()
	}
}

func (l locked) release() { <-l.lock }

// errUnknownRoom is what clients are told of rooms that are not there, and of
// rooms they have no business with: the two must not be told apart.
func errUnknownRoom(user string) error {
	return mxerr.New(mxerr.Forbidden, "%s is not in this room", user)
}

// Room returns a live room by its id. An unknown one is M_NOT_FOUND.
func (e *Engine) Room(ctx context.Context, roomID string) (*Room, error) {
	e.mu.Lock()
	r := e.rooms[roomID]
	e.mu.Unlock()
	if r != nil {
		return r, nil
	}
	return e.load(ctx, func(tx *db.Tx) (store.Room, error) { return store.RoomByID(tx, roomID) })
}

// RoomByNID returns a live room by its number.
func (e *Engine) RoomByNID(ctx context.Context, nid int64) (*Room, error) {
	e.mu.Lock()
	r := e.byNID[nid]
	e.mu.Unlock()
	if r != nil {
		return r, nil
	}
	return e.load(ctx, func(tx *db.Tx) (store.Room, error) { return store.RoomByNID(tx, nid) })
}

func (e *Engine) load(ctx context.Context, find func(*db.Tx) (store.Room, error)) (*Room, error) {
	var row store.Room
	var heads []*Event
	err := e.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if row, err = find(tx); err != nil {
			return err
		}
		rows, err := store.EventsByNID(tx, row.Heads)
		if err != nil {
			return err
		}
		heads, err = e.parseAll(rows, row.Version)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		return nil, mxerr.New(mxerr.NotFound, "There is no such room here")
	}
	if err != nil {
		return nil, err
	}
	v, ok := roomver.Get(row.Version)
	if !ok {
		return nil, mxerr.New(mxerr.UnsupportedRoomVersion, "This server does not know room version %s", row.Version)
	}
	r := newRoom(row.NID, row.RoomID, v)
	r.head = e.Head(r.NID)
	r.set(&Current{Room: row, HeadIDs: ids(heads, row.Heads)})
	return e.register(r), nil
}

func newRoom(nid int64, id string, v *roomver.Version) *Room {
	return &Room{NID: nid, ID: id, Version: v, lock: make(chan struct{}, 1), head: &Head{}}
}

func (r *Room) set(c *Current) {
	r.current.Store(c)
	r.head.Raise(c.LastPos)
}

// Head returns the head of a room. It is complete once the room has been live
// or its LastPos was read from the store and raised.
func (e *Engine) Head(nid int64) *Head {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.headLocked(nid)
}

func (e *Engine) headLocked(nid int64) *Head {
	h := e.heads[nid]
	if h == nil {
		h = &Head{}
		e.heads[nid] = h
	}
	return h
}

// register makes r the live room of its id, or returns the one that another
// goroutine registered first.
func (e *Engine) register(r *Room) *Room {
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.rooms[r.ID]; old != nil {
		return old
	}
	if len(e.rooms) >= e.MaxRooms {
		e.evictLocked()
	}
	e.rooms[r.ID], e.byNID[r.NID] = r, r
	return r
}

// evictLocked drops some rooms that nobody is adding to. Whoever still holds
// one of them for reading keeps a consistent, if ageing, view; writers load it
// again because they find it dropped.
func (e *Engine) evictLocked() {
	n := 0
	for _, r := range e.rooms {
		select {
		case r.lock <- struct{}{}:
			if r.flying.Load() == 0 { // else what lands would be news to the next one
				e.dropLocked(r)
				n++
			}
			<-r.lock
		default:
		}
		if n > e.MaxRooms/8 {
			return
		}
	}
}

func (e *Engine) dropLocked(r *Room) {
	r.dropped.Store(true)
	delete(e.rooms, r.ID)
	delete(e.byNID, r.NID)
}

// forget drops a room whose memory may no longer agree with the store.
func (e *Engine) forget(r *Room) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rooms[r.ID] == r {
		delete(e.rooms, r.ID)
		delete(e.byNID, r.NID)
	}
}

// now is the time as events carry it, in milliseconds.
func now() int64 { return time.Now().UnixMilli() }

// OnForget registers a function that is told when a user forgets a room, under
// the rules of Observe.
func (e *Engine) OnForget(f func(user string, r *Room)) { e.onForget = append(e.onForget, f) }

func (e *Engine) forgotten(user string, r *Room) {
	for _, f := range e.onForget {
		f(user, r)
	}
}
