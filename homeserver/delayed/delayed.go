// Package delayed sends events later, unless their sender thinks better of it
// (MSC4140): a client that is in a call leaves an event here that ends its
// membership, and puts it off as long as it lives. It does not know what the
// events mean.
package delayed

import (
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

const (
	// MaxDelay bounds how far ahead events are sent.
	MaxDelay = 24 * time.Hour
	// MaxScheduled bounds the events of a user that wait.
	MaxScheduled = 100
	// maxContent bounds an event that waits, in bytes, as it is bounded when sent.
	maxContent = 64 << 10
	// keepDone is how long one can ask what became of an event.
	keepDone = 7 * 24 * time.Hour
	// MaxDone bounds the events of a user of which one can ask that.
	MaxDone = 1000
	// batch bounds the events that are read at a time.
	batch = 100
	// look bounds how long the queue is taken for unchanged: another process may
	// add to it.
	look = time.Minute
)

// Config is what an Engine needs from the rest of the server.
type Config struct {
	DB    *db.DB
	Rooms *room.Engine
	// MaySend refuses an event whose sender may not speak any more. Nil lets all
	// pass.
	MaySend func(ctx context.Context, user string, stateKey *string) error
	Log     *slog.Logger
}

// Engine keeps events until their time has come.
type Engine struct {
	Config
	woken chan struct{} // has a value when the queue has changed

	// ending is held by who ends an event's wait, so that it ends once. Events
	// share locks by their ids.
	ending [64]sync.Mutex

	stop context.CancelFunc
	done sync.WaitGroup
}

// New returns an Engine. Events are sent between Start and Stop.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{Config: c, woken: make(chan struct{}, 1)}
}

// Start begins to send, what is overdue first.
func (e *Engine) Start(ctx context.Context) {
	ctx, e.stop = context.WithCancel(ctx)
	contain.Work(ctx, &e.done, e.Log, "delayed events", e.run)
}

// Stop returns when nothing is sent any more. What waits, waits on.
func (e *Engine) Stop() {
	if e.stop != nil {
		e.stop()
		e.done.Wait()
	}
}

// Request is an event to be sent later.
type Request struct {
	User, Device, TxnID string
	RoomID, Type        string
	StateKey            *string // nil for a message
	Content             json.RawMessage
	Sticky, Timestamp   int64 // see room.Draft
	Delay               time.Duration
}

// Schedule keeps an event until its time and returns the id by which it can be
// changed. A repeated request returns the id of the first.
//
// Errors: M_UNKNOWN for a delay that is too long, M_FORBIDDEN for rooms that the
// user is not in, M_INVALID_PARAM for no delay, M_LIMIT_EXCEEDED for users with too
// many events.
func (e *Engine) Schedule(ctx context.Context, r Request) (id string, err error) {
	switch {
	case r.Delay <= 0:
		return "", mxerr.New(mxerr.InvalidParam, "The delay must be more than 0 milliseconds")
	case r.Delay > MaxDelay:
		return "", tooLong()
	case len(r.Content) > maxContent:
		return "", mxerr.New(mxerr.TooLarge, "The content is more than %d bytes", maxContent)
	}
	m, err := e.Rooms.Membership(ctx, r.RoomID, r.User)
	if err != nil {
		return "", err
	}
	if m != store.Join {
		return "", mxerr.New(mxerr.Forbidden, "%s is not in this room", r.User)
	}
	now := time.Now()
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		if r.TxnID != "" {
			old, err := store.DelayedEventOfTxn(tx, r.User, r.Device, r.TxnID)
			if err == nil {
				id = old.ID
				return nil
			}
			if !errors.Is(err, db.ErrNoRow) {
				return err
			}
		}
		if !canonjson.IsObject(r.Content) {
			return mxerr.New(mxerr.BadJSON, "The content must be an object")
		}
		waiting, err := store.DelayedEventsOf(tx, r.User)
		if err != nil {
			return err
		}
		if len(waiting) >= MaxScheduled {
			full := mxerr.New(mxerr.LimitExceeded, "The maximum number of delayed events has been reached.")
			full.Fields = map[string]any{"retry_after_ms": max(waiting[0].RunAt-now.UnixMilli(), 1)}
			return full
		}
		if err := store.TrimDelayedEvents(tx, r.User, MaxDone); err != nil {
			return err
		}
		id = mxid.RandomString(24)
		tx.AfterCommit(e.wake)
		return store.SetDelayedEvent(tx, store.DelayedEvent{
			ID: id, User: r.User, Device: r.Device, Txn: r.TxnID, RoomID: r.RoomID, Type: r.Type, StateKey: r.StateKey, Content: r.Content,
			Sticky: r.Sticky, Timestamp: r.Timestamp,
			Delay: r.Delay.Milliseconds(), Scheduled: now.UnixMilli(), RunAt: now.UnixMilli() + r.Delay.Milliseconds(), Error: []byte{},
		})
	})
	return id, err
}

// tooLong is the one answer to a long delay that clients understand today, which
// schedule by a query parameter; they read the unstable fields.
func tooLong() error {
	e := mxerr.New(mxerr.Unknown, "An event can be delayed by %d milliseconds at most", MaxDelay.Milliseconds()).WithStatus(http.StatusBadRequest)
	e.Fields = map[string]any{
		"org.matrix.msc4140.errcode": "M_MAX_DELAY_EXCEEDED", "org.matrix.msc4140.max_delay": MaxDelay.Milliseconds(),
	}
	return e
}

// wake makes the queue be looked at.
func (e *Engine) wake() {
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

// The actions on an event that waits.
const (
	Send    = "send"
	Cancel  = "cancel"
	Restart = "restart"
)

// Act sends an event now, cancels it, or lets its time begin anew. Whoever has the
// id may: a server that watches a call does it for a client that is gone.
//
// Errors: M_NOT_FOUND, M_UNKNOWN with status 409 if the event has ended
// otherwise, and what sending fails with, upon which the event waits on.
func (e *Engine) Act(ctx context.Context, id, action string) error {
	defer e.end(id)()
	ev, err := e.byID(ctx, id)
	if err != nil {
		return err
	}
	if ev.Done != 0 {
		sent := ev.EventID != ""
		if action == Send && sent || action == Cancel && !sent {
			return nil // the client did not get the answer
		}
		return mxerr.New(mxerr.Unknown, "The delayed event has been sent or cancelled already").WithStatus(http.StatusConflict)
	}
	now := time.Now().UnixMilli()
	switch action {
	case Send:
		sent, err := e.send(ctx, ev)
		if err != nil {
			return err
		}
		ev.EventID, ev.Done = sent, now
	case Cancel:
		ev.Done = now
	case Restart:
		ev.Scheduled, ev.RunAt = now, now+ev.Delay
	default:
		return mxerr.New(mxerr.Unrecognized, "There is no action %q", action)
	}
	return e.save(ctx, ev)
}

func (e *Engine) byID(ctx context.Context, id string) (ev store.DelayedEvent, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		ev, err = store.DelayedEventByID(tx, id)
		return err
	})
	if errors.Is(err, db.ErrNoRow) || errors.Is(err, db.ErrText) {
		err = mxerr.New(mxerr.NotFound, "There is no such delayed event")
	}
	return ev, err
}

func (e *Engine) save(ctx context.Context, ev store.DelayedEvent) error {
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		tx.AfterCommit(e.wake)
		return store.SetDelayedEvent(tx, ev)
	})
}

// send adds the event to its room. Should the server die before it has noted
// that, the transaction id keeps the event from being sent twice.
func (e *Engine) send(ctx context.Context, ev store.DelayedEvent) (eventID string, err error) {
	if e.MaySend != nil {
		if err := e.MaySend(ctx, ev.User, ev.StateKey); err != nil {
			return "", err
		}
	}
	d := room.Draft{
		Sender: ev.User, Type: ev.Type, StateKey: ev.StateKey, Content: ev.Content, Sticky: ev.Sticky, Timestamp: ev.Timestamp,
		Device: room.DelayedDevice, TxnID: ev.ID,
	}
	if d.Type == "m.room.redaction" && d.StateKey == nil {
		if err := d.TakeRedacts(); err != nil {
			return "", err
		}
	}
	sent, err := e.Rooms.Send(ctx, ev.RoomID, d)
	if err != nil {
		return "", err
	}
	return sent.ID, nil
}

// end keeps others from ending an event's wait, until the returned function is
// called.
func (e *Engine) end(id string) (release func()) {
	mu := &e.ending[crc32.ChecksumIEEE([]byte(id))%uint32(len(e.ending))]
	mu.Lock()
	return mu.Unlock
}

// Get returns one of a user's events, or M_NOT_FOUND.
func (e *Engine) Get(ctx context.Context, user, id string) (store.DelayedEvent, error) {
	defer e.end(id)()
	ev, err := e.byID(ctx, id)
	if err == nil && ev.User != user {
		err = mxerr.New(mxerr.NotFound, "There is no such delayed event")
	}
	return ev, err
}

// List returns a user's events that wait, the next first. Who has seen an event in
// its room does not find it here.
func (e *Engine) List(ctx context.Context, user string) (all []store.DelayedEvent, err error) {
	if err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = store.DelayedEventsOf(tx, user)
		return err
	}); err != nil {
		return nil, err
	}
	now := time.Now().UnixMilli()
	waiting := all[:0]
	for _, ev := range all {
		if ev.RunAt <= now {
			if ev, err = e.Get(ctx, user, ev.ID); err != nil {
				return nil, err
			}
		}
		if ev.Done == 0 {
			waiting = append(waiting, ev)
		}
	}
	return waiting, nil
}

// Ended returns a user's events that wait no more, the last first, 100 at most.
func (e *Engine) Ended(ctx context.Context, user string) (all []store.DelayedEvent, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = store.EndedDelayedEvents(tx, user, batch)
		return err
	})
	return all, err
}

func (e *Engine) run(ctx context.Context) {
	for {
		next, err := e.sendDue(ctx)
		if err != nil && ctx.Err() == nil {
			e.Log.ErrorContext(ctx, "delayed events cannot be sent", "err", err)
			next = time.Second
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-e.woken:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// sendDue sends what is due and returns how long the next event waits.
func (e *Engine) sendDue(ctx context.Context) (next time.Duration, err error) {
	for {
		var queue []store.DelayedEvent
		err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			queue, err = store.DueEvents(tx, batch)
			return err
		})
		if err != nil {
			return 0, err
		}
		now := time.Now().UnixMilli()
		if len(queue) == 0 {
			return look, e.DB.Write(ctx, func(tx *db.Tx) error { return store.DeleteDelayedEventsBefore(tx, now-keepDone.Milliseconds()) })
		}
		if wait := queue[0].RunAt - now; wait > 0 {
			return min(time.Duration(wait)*time.Millisecond, look), nil
		}
		if err := e.sendAll(ctx, queue, now); err != nil {
			return 0, err
		}
	}
}

// sendAll sends those of queue whose time had come at now. Those of a room go one
// after the other; rooms do not wait for each other.
func (e *Engine) sendAll(ctx context.Context, queue []store.DelayedEvent, now int64) error {
	rooms := map[string][]string{}
	for _, ev := range queue {
		if ev.RunAt <= now {
			rooms[ev.RoomID] = append(rooms[ev.RoomID], ev.ID)
		}
	}
	var g errgroup.Group
	for _, ids := range rooms {
		g.Go(func() error {
			for _, id := range ids {
				if err := contain.Call(func() error { return e.sendOne(ctx, id) }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// sendOne sends an event whose time has come, if it still waits. What the room
// refuses is given up; what this server cannot do now is tried again.
func (e *Engine) sendOne(ctx context.Context, id string) error {
	defer e.end(id)()
	ev, err := e.byID(ctx, id)
	now := time.Now().UnixMilli()
	if err != nil || ev.Done != 0 || ev.RunAt > now {
		return err
	}
	sent, err := e.send(ctx, ev)
	if err != nil {
		wrong := mxerr.From(err)
		if wrong.Cause != nil || ctx.Err() != nil {
			return err
		}
		if ev.Error, err = json.Marshal(map[string]string{"errcode": string(wrong.Code), "error": wrong.Text}); err != nil {
			return err
		}
	}
	ev.EventID, ev.Done = sent, now
	return e.save(ctx, ev)
}
