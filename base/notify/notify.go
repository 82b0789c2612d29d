// Package notify wakes those who wait for something new: parked /sync requests
// today, senders to other servers later. It carries no data: who is woken looks
// into the store, which is the truth. It does not know what a room or a user is
// beyond their names.
package notify

import (
	"sync"
	"sync/atomic"
	"time"
)

// Hub connects what changed with who waits for it.
type Hub struct {
	pos  atomic.Int64
	live atomic.Int64

	mu      sync.RWMutex
	rooms   map[int64]map[*Listener]struct{}
	users   map[string]map[*Listener]struct{}
	pending map[*Listener]devices // woken by the next Advance
	// What was noted since the last Advance, for those who begin to listen only
	// now: they may have looked at a position from before it.
	changedRooms map[int64]struct{}
	changedUsers map[string]struct{}
}

// devices are those of a listener's devices that are to be woken; nil stands for
// all of them.
type devices map[string]struct{}

// NewHub returns a Hub at stream position pos.
func NewHub(pos int64) *Hub {
	h := &Hub{
		rooms:   map[int64]map[*Listener]struct{}{},
		users:   map[string]map[*Listener]struct{}{},
		pending: map[*Listener]devices{},

		changedRooms: map[int64]struct{}{},
		changedUsers: map[string]struct{}{},
	}
	h.pos.Store(pos)
	h.live.Store(time.Now().UnixMilli())
	return h
}

// Pos is the newest stream position whose changes can all be seen.
func (h *Hub) Pos() int64 { return h.pos.Load() }

// Live counts the changes that have no stream position, such as typing. It
// only grows; it starts from the clock, so that it is past all that clients
// remember of the process before.
func (h *Hub) Live() int64 { return h.live.Load() }

// NextLive takes a number for such a change.
func (h *Hub) NextLive() int64 { return h.live.Add(1) }

// Room notes that a commit changed a room; User that it changed something of a
// user. They are called after the commit, before Advance.
func (h *Hub) Room(room int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changedRooms[room] = struct{}{}
	for l := range h.rooms[room] {
		h.pending[l] = nil
	}
}

// User notes that a commit changed something of a user.
func (h *Hub) User(user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changedUsers[user] = struct{}{}
	for l := range h.users[user] {
		h.pending[l] = nil
	}
}

// Device notes that a commit changed something of one device of a user.
func (h *Hub) Device(user, device string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changedUsers[user] = struct{}{}
	for l := range h.users[user] {
		some, noted := h.pending[l]
		switch {
		case !noted:
			h.pending[l] = devices{device: {}}
		case some != nil:
			some[device] = struct{}{}
		}
	}
}

// Advance makes pos visible and wakes everybody noted since the last call.
func (h *Hub) Advance(pos int64) {
	h.pos.Store(pos)
	for l, some := range h.takePending() {
		l.wake(some)
	}
}

// takePending returns who is to be woken; nobody else holds the map any more.
func (h *Hub) takePending() map[*Listener]devices {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.changedRooms)
	clear(h.changedUsers)
	if len(h.pending) == 0 {
		return nil
	}
	woken := h.pending
	h.pending = map[*Listener]devices{}
	return woken
}

// WakeRoom wakes those who listen to a room at once, for changes without a
// stream position.
func (h *Hub) WakeRoom(room int64) {
	h.mu.RLock()
	woken := make([]*Listener, 0, len(h.rooms[room]))
	for l := range h.rooms[room] {
		woken = append(woken, l)
	}
	h.mu.RUnlock()
	for _, l := range woken {
		l.wake(nil)
	}
}

// WakeUser wakes the listeners of a user at once.
func (h *Hub) WakeUser(user string) {
	h.mu.RLock()
	woken := make([]*Listener, 0, len(h.users[user]))
	for l := range h.users[user] {
		woken = append(woken, l)
	}
	h.mu.RUnlock()
	for _, l := range woken {
		l.wake(nil)
	}
}

// Listener stands for a user with clients that wait.
type Listener struct {
	hub  *Hub
	user string

	mu      sync.Mutex
	waiting map[chan<- struct{}]string // the device that waits
	rooms   map[int64]struct{}
}

// Listen returns a Listener for a user, to be ended with Close.
func (h *Hub) Listen(user string) *Listener {
	l := &Listener{hub: h, user: user, waiting: map[chan<- struct{}]string{}, rooms: map[int64]struct{}{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users[user] == nil {
		h.users[user] = map[*Listener]struct{}{}
	}
	h.users[user][l] = struct{}{}
	if _, changed := h.changedUsers[user]; changed {
		h.pending[l] = nil
	}
	return l
}

// Watch adds a room to those that wake the listener.
func (l *Listener) Watch(room int64) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if l.hub.rooms[room] == nil {
		l.hub.rooms[room] = map[*Listener]struct{}{}
	}
	l.hub.rooms[room][l] = struct{}{}
	l.rooms[room] = struct{}{}
	if _, changed := l.hub.changedRooms[room]; changed {
		l.hub.pending[l] = nil
	}
}

// Unwatch takes a room away again.
func (l *Listener) Unwatch(room int64) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	l.unwatch(room)
}

func (l *Listener) unwatch(room int64) {
	delete(l.rooms, room)
	delete(l.hub.rooms[room], l)
	if len(l.hub.rooms[room]) == 0 {
		delete(l.hub.rooms, room)
	}
}

// Close ends the listener. Those who still wait are woken.
func (l *Listener) Close() {
	l.hub.mu.Lock()
	for room := range l.rooms {
		l.unwatch(room)
	}
	delete(l.hub.users[l.user], l)
	if len(l.hub.users[l.user]) == 0 {
		delete(l.hub.users, l.user)
	}
	delete(l.hub.pending, l)
	l.hub.mu.Unlock()
	l.wake(nil)
}

// Wait registers a channel that gets a value when there is something new for the
// user. A change between Wait and the look into the store is not missed: the
// channel keeps one value. cancel ends it.
func (l *Listener) Wait() (woken <-chan struct{}, cancel func()) { return l.WaitFor("") }

// WaitFor is Wait that is told also of what is new for one device.
func (l *Listener) WaitFor(device string) (woken <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	l.mu.Lock()
	l.waiting[c] = device
	l.mu.Unlock()
	return c, func() {
		l.mu.Lock()
		delete(l.waiting, c)
		l.mu.Unlock()
	}
}

func (l *Listener) wake(only devices) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, device := range l.waiting {
		if _, ok := only[device]; !ok && only != nil {
			continue
		}
		select {
		case c <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

// Waiting reports whether anybody waits on the listener.
func (l *Listener) Waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting) > 0
}
