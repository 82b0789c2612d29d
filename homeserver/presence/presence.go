// Package presence knows who is there: online, idle or gone, with a status
// message, as far as people share a room with them. It lives in memory and is
// written to the store now and then; after a restart everybody is offline until
// their clients come back. It does not know how /sync tells it.
package presence

import (
	"container/list"
	"context"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// The states of a user.
const (
	Online      = "online"
	Unavailable = "unavailable"
	Offline     = "offline"
)

const (
	// idleAfter without doing anything, an online user is unavailable.
	idleAfter = 5 * time.Minute
	// goneAfter without a client that syncs, a user is offline.
	goneAfter = 30 * time.Second
	// activeFor is how long a user who did something counts as currently active.
	activeFor = time.Minute
	// sweepEvery is how exactly those times are kept.
	sweepEvery = 5 * time.Second
	// saveEvery is how long changes stay in memory only.
	saveEvery = 30 * time.Second

	// maxStatus bounds status messages in bytes: they are sent to everybody.
	maxStatus = 2048
	// maxKept bounds the users in memory who are offline.
	maxKept = 20_000
)

// Config is what an Engine needs from the rest of the server.
type Config struct {
	DB      *db.DB
	Rooms   *room.Engine
	Hub     *notify.Hub
	Log     *slog.Logger
	Enabled bool // off: everybody seems offline, and changes are dropped
}

// Engine keeps presence.
type Engine struct {
	Config
	observers []func(user string)

	mu      sync.Mutex
	users   map[string]*user
	recent  *list.List      // of *user, the latest change at the back
	awake   map[string]bool // users whose state time will change
	tell    map[string]bool // users whose change nobody was woken for
	dirty   map[string]bool // users to be written
	telling chan struct{}   // has a value when tell has one

	stop context.CancelFunc
	done sync.WaitGroup
}

// user is one user's presence.
type user struct {
	id       string
	want     string // what the user asked to be seen as, while there
	status   *string
	activeAt time.Time
	syncedAt time.Time // when a client was last there
	syncing  int       // clients that are there now

	shown   shown
	changed int64 // live number of the latest change of shown
	place   *list.Element
}

// shown is what others see, but for how long ago the user was active.
type shown struct {
	state  string
	active bool
	status string
}

// Event is the presence of a user as others see it.
type Event struct {
	User            string
	State           string
	Status          *string
	LastActiveAgo   time.Duration // negative if not known
	CurrentlyActive bool
}

// Observe registers a function that is called when others are told of a user's
// presence. Call Observe before Start.
func (e *Engine) Observe(f func(user string)) { e.observers = append(e.observers, f) }

// New returns an Engine. It sees activity by observing rooms, so call New
// before the first request.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		Config: c, users: map[string]*user{}, recent: list.New(),
		awake: map[string]bool{}, tell: map[string]bool{}, dirty: map[string]bool{},
		telling: make(chan struct{}, 1),
	}
	if c.Enabled {
		c.Rooms.Observe(func(_ *room.Room, ev *room.Event) {
			if mxid.ServerOf(ev.Sender) == c.Rooms.Server && ev.Type != "m.room.member" {
				e.active(ev.Sender)
			}
		})
	}
	return e
}

// Enabled reports whether presence is on.
func (e *Engine) Enabled() bool { return e.Config.Enabled }

// Set records what a user says of themself; status is kept if nil. With
// presence off it does nothing. Errors: M_INVALID_PARAM.
func (e *Engine) Set(ctx context.Context, id, state string, status *string) error {
	if state != Online && state != Unavailable && state != Offline {
		return mxerr.New(mxerr.InvalidParam, "presence must be online, unavailable or offline")
	}
	if status != nil && (len(*status) > maxStatus || !utf8.ValidString(*status)) {
		return mxerr.New(mxerr.InvalidParam, "A status message has at most %d bytes of UTF-8", maxStatus)
	}
	if !e.Config.Enabled {
		return nil
	}
	saved, err := e.saved(ctx, id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	u := e.userLocked(id, saved)
	u.want = state
	if status != nil {
		u.status = status
		if *status == "" {
			u.status = nil
		}
	}
	u.activeAt, u.syncedAt = time.Now(), time.Now()
	e.dirty[id] = true
	e.updateLocked(u)
	return nil
}

// Syncing records that a client of the user waits in /sync, until done is
// called. state is the request's set_presence, "" for the default; Offline
// leaves everything as it is.
func (e *Engine) Syncing(ctx context.Context, id, state string) (done func()) {
	if !e.Config.Enabled || state == Offline {
		return func() {}
	}
	saved, err := e.saved(ctx, id)
	if err != nil {
		e.Log.WarnContext(ctx, "presence could not be read", "err", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	u := e.userLocked(id, saved)
	now := time.Now()
	if u.shown.state == Offline && state != Unavailable {
		u.activeAt = now // they have just come back
	}
	u.want = Online
	if state == Unavailable {
		u.want = Unavailable
	}
	u.syncing++
	u.syncedAt = now
	e.updateLocked(u)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		u.syncing--
		u.syncedAt = time.Now()
	}
}

// active records that a user did something that others see. It runs in the
// store's writer.
func (e *Engine) active(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := e.users[id]
	if u == nil || u.shown.state == Offline {
		return // a bot that never syncs is not there
	}
	u.activeAt = time.Now()
	u.want = Online
	e.updateLocked(u)
}

// saved reads what the store has of a user who is not in memory; nil otherwise.
func (e *Engine) saved(ctx context.Context, id string) (*store.Presence, error) {
	e.mu.Lock()
	known := e.users[id] != nil
	e.mu.Unlock()
	if known {
		return nil, nil
	}
	return e.load(ctx, id)
}

// userLocked returns a user, with what the store had if that is not nil.
func (e *Engine) userLocked(id string, saved *store.Presence) *user {
	u := e.users[id]
	if u == nil {
		u = &user{id: id, want: Online, shown: shown{state: Offline}}
		if saved != nil {
			u.status, u.activeAt = saved.Status, time.UnixMilli(saved.ActiveAt)
			if u.status != nil {
				u.shown.status = *u.status
			}
		}
		e.makeSpaceLocked()
		e.users[id] = u
		u.place = e.recent.PushFront(u)
	}
	return u
}

// makeSpaceLocked forgets the offline user whose change is the oldest.
func (e *Engine) makeSpaceLocked() {
	if len(e.users) < maxKept+len(e.awake) {
		return
	}
	for el := e.recent.Front(); el != nil; el = el.Next() {
		if u := el.Value.(*user); !e.awake[u.id] && !e.dirty[u.id] && u.syncing == 0 {
			e.recent.Remove(el)
			delete(e.users, u.id)
			return
		}
	}
}

// updateLocked works out what others see of a user, and notes a change.
func (e *Engine) updateLocked(u *user) {
	now := time.Now()
	s := shown{state: u.want}
	if u.status != nil {
		s.status = *u.status
	}
	switch {
	case u.syncing == 0 && now.Sub(u.syncedAt) >= goneAfter:
		s.state = Offline
	case s.state == Online && now.Sub(u.activeAt) >= idleAfter:
		s.state = Unavailable
	}
	s.active = s.state == Online && now.Sub(u.activeAt) < activeFor
	if s.state == Offline {
		delete(e.awake, u.id)
	} else {
		e.awake[u.id] = true
	}
	if s == u.shown {
		return
	}
	if s.state != u.shown.state {
		e.dirty[u.id] = true
	}
	u.shown = s
	u.changed = e.Hub.NextLive()
	e.recent.MoveToBack(u.place)
	e.tell[u.id] = true
	select {
	case e.telling <- struct{}{}:
	default: // it will look anyway
	}
}
