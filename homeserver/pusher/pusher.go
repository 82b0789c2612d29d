// Package pusher brings notifications to devices that are asleep: it follows
// the stream of events behind their sending, asks package push who is to hear of
// them, and hands them to push gateways and push services. What is on its way is
// in the store, so that a restart loses nothing. Whoever has no pusher costs
// nothing. It does not know how rules decide.
package pusher

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hearth/base/db"
	"hearth/base/limit"
	"hearth/base/netguard"
	"hearth/base/store"
	"hearth/homeserver/personal"
	"hearth/homeserver/push"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
)

// Config is what an Engine works with.
type Config struct {
	DB       *db.DB
	Rooms    *room.Engine
	Push     *push.Counter
	Receipts *receipt.Engine
	Personal *personal.Engine
	Allowed  netguard.Ranges // private addresses at which gateways may be
	VAPID    *VAPID          // nil for no Web Push
	Mail     *Mail           // nil for no mail
	Log      *slog.Logger

	Now   func() time.Time                        // nil means time.Now
	After func(d time.Duration, f func()) Stopper // nil means time.AfterFunc

	MaxSending int // requests that are under way at a time; 0 for what is usual
}

// Stopper is a timer.
type Stopper interface{ Stop() bool }

const (
	// maxPushers bounds the pushers of one user.
	maxPushers = 50
	// batch bounds the events of one step, and with it the pauses of others.
	batch = 500
	// gather is how long a step waits for more events, since many at a time cost
	// less than one by one.
	gather = 20 * time.Millisecond
	// breath is how long a step waits after one that had too much for somebody.
	breath = 200 * time.Millisecond
	// maxQueue bounds what waits for one pusher: who was away for longer is
	// helped by the newest only.
	maxQueue = 100
	// maxAge is how long a notification is worth something.
	maxAge = 24 * time.Hour
	// maxSending bounds the requests that are under way at a time.
	maxSending = 64
	// timeout of one request to a gateway.
	timeout = 15 * time.Second
	// firstPause is how long a pusher rests after a failure; the pause doubles
	// up to longestPause.
	firstPause   = time.Second
	longestPause = time.Hour
	// maxRooms bounds the rooms of which it is known who has pushers there.
	maxRooms = 4096
)

// Engine delivers.
type Engine struct {
	Config
	client *http.Client
	total  atomic.Int64  // pushers of the server, as far as is known
	wake   chan struct{} // holds one token
	slots  chan struct{} // one for each request under way
	paces  *limit.Limits
	moved  atomic.Bool // the cursor in the store is ahead of the one here

	mu      sync.Mutex
	live    map[int64]*delivery
	inRoom  map[int64][]store.Pusher
	changes int64 // counts what made something in inRoom old
	users   map[string]int
	reads   map[userRoom]struct{} // whose badges may have changed
	badges  map[string]*badge

	crowded bool  // the last step left something out; of the goroutine that follows
	cursor  int64 // position up to which events are looked at; -1 before it was read

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup
}

type userRoom struct {
	user string
	room int64
}

// New returns an Engine. It observes rooms and receipts, so call New before the
// first request.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = func(d time.Duration, f func()) Stopper { return time.AfterFunc(d, f) }
	}
	e := &Engine{
		Config: c, client: newClient(c.Allowed), wake: make(chan struct{}, 1), paces: paces(), slots: make(chan struct{}, cmp.Or(c.MaxSending, maxSending)),
		live: map[int64]*delivery{}, inRoom: map[int64][]store.Pusher{}, users: map[string]int{},
		reads: map[userRoom]struct{}{}, badges: map[string]*badge{}, cursor: -1,
	}
	c.Rooms.Observe(func(*room.Room, *room.Event) {
		if e.total.Load() > 0 {
			e.signal()
		}
	})
	c.Receipts.Observe(e.noteRead)
	c.Personal.Observe(func(user string, _ int64, typ string) {
		if typ == personal.TypePushRules || typ == personal.TypeIgnored {
			e.forgetBadge(user)
		}
	})
	return e
}

func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Start gives the engine its goroutines. Stop ends them.
func (e *Engine) Start(ctx context.Context) {
	e.ctx, e.stop = context.WithCancel(ctx)
	e.done.Go(e.run)
}

// Stop returns when nothing runs any more.
func (e *Engine) Stop() {
	if e.stop == nil {
		return
	}
	e.mu.Lock()
	e.stop() // under the lock, so that nothing begins afterwards
	e.mu.Unlock()
	e.done.Wait()
	e.mu.Lock()
	for _, d := range e.live {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	e.mu.Unlock()
	e.client.CloseIdleConnections()
}

// run follows the stream.
func (e *Engine) run() {
	for pause := firstPause; ; pause = min(2*pause, time.Minute) {
		err := e.begin()
		if err == nil {
			break
		}
		if e.ctx.Err() == nil {
			e.Log.ErrorContext(e.ctx, "pushers were not read", "err", err)
		}
		if !e.rest(pause) {
			return
		}
	}
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.wake:
		}
		if !e.rest(gather) {
			return
		}
		e.readBadges()
		for {
			behind, err := e.step(e.ctx)
			if err != nil {
				if e.ctx.Err() != nil {
					return
				}
				e.Log.ErrorContext(e.ctx, "events were not pushed", "err", err)
				e.cursor = -1
				if !e.rest(firstPause) {
					return
				}
				continue
			}
			if e.crowded && !e.rest(breath) {
				return
			}
			if !behind {
				break
			}
		}
	}
}

func (e *Engine) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-e.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// begin takes up what the process before left.
func (e *Engine) begin() error {
	var waiting []int64
	var total int64
	err := e.DB.Read(e.ctx, func(tx *db.Tx) (err error) {
		if total, err = store.CountPushers(tx); err != nil {
			return err
		}
		waiting, err = store.WaitingPushers(tx)
		return err
	})
	if err != nil {
		return err
	}
	e.total.Add(total)
	for _, id := range waiting {
		e.kick(id)
	}
	e.signal()
	return nil
}

// step looks at the next events and reports whether there are more.
func (e *Engine) step(ctx context.Context) (behind bool, err error) {
	pos := e.DB.Position()
	if e.moved.Swap(false) {
		e.cursor = -1
	}
	if e.total.Load() == 0 || e.cursor >= pos {
		return false, nil
	}
	var events []store.RawEvent
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		if e.cursor < 0 {
			if e.cursor, err = store.PushCursor(tx); err != nil {
				return err
			}
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
	pushes, err := e.decide(ctx, events)
	if err != nil {
		return false, err
	}
	if len(pushes) > 0 {
		if err := e.store(ctx, pushes, pos); err != nil {
			return false, err
		}
	}
	// Without a push the cursor moves in memory only: looking again after a
	// restart finds the same.
	e.cursor = pos
	return behind, nil
}

// store puts notifications on their way.
func (e *Engine) store(ctx context.Context, pushes []store.Push, pos int64) error {
	ids := map[int64]bool{}
	err := e.DB.Write(ctx, func(tx *db.Tx) error {
		at, err := store.PushCursor(tx)
		if err != nil {
			return err
		}
		for _, p := range pushes {
			ids[p.Pusher] = true
			if err := store.AddPush(tx, p); err != nil {
				return err
			}
		}
		for id := range ids {
			if err := store.TrimPushes(tx, id, maxQueue); err != nil {
				return err
			}
		}
		return store.SetPushCursor(tx, max(at, pos))
	})
	if err != nil {
		return err
	}
	for id := range ids {
		e.kick(id)
	}
	return nil
}

// decide finds who is to hear of events, the newest first.
func (e *Engine) decide(ctx context.Context, events []store.RawEvent) (out []store.Push, err error) {
	now, pace := e.Now().UnixMilli(), e.newPace()
	e.forgetMembers(events)
	for _, raw := range slices.Backward(events) {
		if raw.Ord == nil || raw.Flags != 0 {
			continue
		}
		r, err := e.Rooms.RoomByNID(ctx, raw.Room)
		if err != nil {
			if notThere(err) {
				continue // purged meanwhile
			}
			return nil, err
		}
		pushers, err := e.pushersFor(ctx, r, raw)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(pushers, func(p store.Pusher) bool { return !pace.enough(p.ID) }) {
			continue
		}
		evs, err := e.Rooms.Events(ctx, r.Version, []int64{raw.NID})
		if err != nil {
			return nil, err
		}
		if len(evs) == 0 {
			continue
		}
		some, err := e.decideOne(ctx, r, evs[0], pushers, pace, now)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	e.crowded = pace.left
	return out, nil
}

func (e *Engine) decideOne(ctx context.Context, r *room.Room, ev *room.Event, pushers []store.Pusher, pace *pace, now int64) (out []store.Push, err error) {
	tweaks := map[string][]byte{} // by user; nil for those who hear nothing
	for _, p := range pushers {
		if p.ID >= ev.NID || pace.enough(p.ID) {
			continue
		}
		tw, known := tweaks[p.User]
		if !known {
			res, err := e.Push.Decide(ctx, r, p.User, ev)
			if err != nil {
				return nil, err
			}
			if res.Notify {
				tw = tweaksOf(res)
			}
			tweaks[p.User] = tw
		}
		if tw != nil && pace.takes(p.ID) {
			out = append(out, store.Push{Pusher: p.ID, Event: ev.NID, At: now, Tweaks: tw})
		}
	}
	return out, nil
}

// errGone means that a pusher was removed meanwhile.
var errGone = errors.New("the pusher is gone")
