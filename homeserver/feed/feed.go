// Package feed shows rooms to clients: /sync, sliding sync, and the encoding of
// events that they share with other doors. It reads what the other engines
// wrote and keeps nothing but what makes that quick. It never writes events.
package feed

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/personal"
	"hearth/homeserver/presence"
	"hearth/homeserver/push"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/homeserver/sticky"
	"hearth/homeserver/typing"
)

// Config is what a Feed reads from. Engines that are nil have nothing to show.
type Config struct {
	DB       *db.DB
	Rooms    *room.Engine
	Hub      *notify.Hub
	Typing   *typing.Engine
	Receipts *receipt.Engine
	Personal *personal.Engine
	Presence *presence.Engine
	Keys     *e2ee.Engine
	Push     *push.Counter
	Sticky   *sticky.Engine
	Log      *slog.Logger
}

// Feed serves all clients of a server.
type Feed struct {
	Config
	quit chan struct{}

	mu      sync.Mutex
	users   map[string]*user
	crowded time.Time // until when nobody is looked for to make room

	slides slideConns
	facts  factCache
	bumps  bumpCache

	comings *comings
}

// maxUsers bounds the users whose rooms are kept in memory, but for those who wait
// for news. Those who have not asked for longest go first.
const maxUsers = 20_000

// New returns a Feed that observes the rooms. Call it before the first request.
func New(c Config) *Feed {
	f := &Feed{Config: c, users: map[string]*user{}, quit: make(chan struct{}), comings: newComings(c.Hub.Pos())}
	c.Rooms.Observe(f.observe)
	c.Rooms.Observe(f.bumps.observe)
	c.Rooms.OnForget(f.forget)
	c.Rooms.OnPurge(f.purged)
	return f
}

// Stop answers every parked request with what there is.
func (f *Feed) Stop() {
	select {
	case <-f.quit:
	default:
		close(f.quit)
	}
}

// Stopping is closed by Stop.
func (f *Feed) Stopping() <-chan struct{} { return f.quit }

// user is somebody whose clients ask for news. It follows the user's
// memberships, so that a request need not read them.
type user struct {
	id       string
	listener *notify.Listener
	used     time.Time // under Feed.mu

	mu    sync.RWMutex
	ready bool
	rooms map[int64]*userRoom
	sent  map[string]*sentMembers // by device

	own atomic.Pointer[ownData]
}

// userRoom is a user's relation to a room.
type userRoom struct {
	store.Member
	head *room.Head
	by   atomic.Pointer[cause] // who made it so, once that was asked for
}

// user returns the live user, reading the memberships the first time.
func (f *Feed) user(ctx context.Context, id string) (*user, error) {
	f.mu.Lock()
	u := f.users[id]
	if u == nil {
		if len(f.users) >= maxUsers {
			f.evictLocked()
		}
		u = &user{id: id, rooms: map[int64]*userRoom{}, sent: map[string]*sentMembers{}, listener: f.Hub.Listen(id)}
		f.users[id] = u
	}
	u.used = time.Now()
	f.mu.Unlock()

	u.mu.RLock()
	ready := u.ready
	u.mu.RUnlock()
	if ready {
		return u, nil
	}
	return u, f.loadUser(ctx, u)
}

// loadUser reads the memberships with the user locked: a membership that is
// committed meanwhile waits in observe, and is then found newer or equal.
func (f *Feed) loadUser(ctx context.Context, u *user) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ready {
		return nil
	}
	members, err := f.Rooms.RoomsOf(ctx, u.id)
	if err != nil {
		return err
	}
	for _, m := range members {
		head := f.Rooms.Head(m.Room)
		head.Raise(m.LastPos)
		u.rooms[m.Room] = &userRoom{Member: m, head: head}
		if m.Membership == store.Join {
			u.listener.Watch(m.Room)
		}
	}
	u.ready = true
	return nil
}

// evictLocked makes room for others: of those who do not wait, the ones who asked
// nothing for longest go. Those who wait hold a connection each, which bounds
// them; where nobody else is left it does not look again for a while.
func (f *Feed) evictLocked() {
	now := time.Now()
	if now.Before(f.crowded) {
		return
	}
	oldest := now
	for _, u := range f.users {
		if u.used.Before(oldest) && !u.listener.Waiting() {
			oldest = u.used
		}
	}
	limit := oldest.Add(now.Sub(oldest) / 8)
	before := len(f.users)
	for id, u := range f.users {
		if !u.used.After(limit) && !u.listener.Waiting() {
			u.listener.Close()
			delete(f.users, id)
		}
	}
	if len(f.users) == before {
		f.crowded = now.Add(time.Second)
	}
}

// observe follows memberships. It runs in the store's writer.
func (f *Feed) observe(r *room.Room, ev *room.Event) {
	if ev.Type != "m.room.member" || ev.StateKey == nil {
		return
	}
	f.comings.note(r.NID, ev.NID)
	f.mu.Lock()
	u := f.users[*ev.StateKey]
	f.mu.Unlock()
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if old := u.rooms[r.NID]; old != nil && old.Event >= ev.NID {
		return
	}
	m := store.Member{User: u.id, Room: r.NID, Membership: store.ParseMembership(ev.Membership()), Event: ev.NID}
	u.rooms[r.NID] = &userRoom{Member: m, head: f.Rooms.Head(r.NID)}
	if m.Membership == store.Join {
		u.listener.Watch(r.NID)
	} else {
		u.listener.Unwatch(r.NID)
	}
	f.Hub.User(u.id) // whoever is invited or gone is told too
}

func (f *Feed) forget(id string, r *room.Room) {
	f.mu.Lock()
	u := f.users[id]
	f.mu.Unlock()
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if ur := u.rooms[r.NID]; ur != nil {
		forgotten := &userRoom{Member: ur.Member, head: ur.head}
		forgotten.Forgotten = true
		u.rooms[r.NID] = forgotten
	}
}

// purged drops a room that is gone from everybody's rooms.
func (f *Feed) purged(r *room.Room) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.users {
		u.mu.Lock()
		delete(u.rooms, r.NID)
		u.listener.Unwatch(r.NID)
		u.mu.Unlock()
	}
}

// roomsWhere lists the user's rooms for which want returns true.
func (u *user) roomsWhere(want func(*userRoom) bool) []*userRoom {
	u.mu.RLock()
	defer u.mu.RUnlock()
	var out []*userRoom
	for _, r := range u.rooms {
		if want(r) {
			out = append(out, r)
		}
	}
	return out
}

// now is the place in the stream of everything that an answer tells up to.
func (f *Feed) now() Token {
	pos := f.Hub.Pos()
	return Token{Pos: pos, Live: f.Hub.Live(), Inbox: pos, Sticky: pos}
}
