// Package receipt keeps how far people have read: public and private read
// receipts, for whole rooms and for threads. It does not count what is unread,
// and does not know how /sync tells receipts.
package receipt

import (
	"context"
	"sync"
	"time"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// The kinds of receipts.
const (
	Read    = "m.read"
	Private = "m.read.private"
)

// Main is the thread of all events that are in no thread.
const Main = "main"

// Engine keeps receipts.
type Engine struct {
	db        *db.DB
	rooms     *room.Engine
	hub       *notify.Hub
	observers []func(store.Receipt)

	mu     sync.RWMutex
	latest map[int64]*recent // by room
	// floor is a position up to which rooms without an entry may have receipts.
	floor int64
}

// New returns an Engine on an open database. Nothing runs in the background.
func New(d *db.DB, rooms *room.Engine, hub *notify.Hub) *Engine {
	return &Engine{db: d, rooms: rooms, hub: hub, latest: map[int64]*recent{}, floor: d.Position()}
}

// Observe registers a function that is called for each stored receipt, after
// its commit and before anybody is woken for it. It runs in the store's writer,
// so it must be quick. Call Observe before the first request.
func (e *Engine) Observe(f func(store.Receipt)) { e.observers = append(e.observers, f) }

// Set records that user has read r up to an event, if that is further than
// before (client-server-api/#receipts). kind is Read or Private; thread is ""
// for no thread, Main, or the root of the thread that the event is in.
//
// Errors: M_FORBIDDEN for users who are not joined, M_NOT_FOUND for an event
// that is not in the room, M_INVALID_PARAM for an unknown kind or a thread that
// the event is not in.
func (e *Engine) Set(ctx context.Context, r *room.Room, user, kind, thread, eventID string) error {
	if kind != Read && kind != Private {
		return mxerr.New(mxerr.InvalidParam, "There are no receipts of the kind %q", kind)
	}
	ev, err := e.Event(ctx, r, user, eventID)
	if err != nil {
		return err
	}
	if err := e.checkThread(ctx, r, ev, thread); err != nil {
		return err
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		ord, found, err := store.ReceiptOrd(tx, r.NID, kind, thread, user)
		if err != nil || found && ord >= ev.Ord {
			return err
		}
		rc := store.Receipt{
			Room: r.NID, Kind: kind, Thread: thread, User: user, EventID: ev.ID, Ord: ev.Ord,
			At: time.Now().UnixMilli(), Pos: tx.NextPos(),
		}
		tx.AfterCommit(func() { e.publish(rc) })
		return store.SetReceipt(tx, rc)
	})
}

// Event finds an event that a member of r may mark as read.
func (e *Engine) Event(ctx context.Context, r *room.Room, user, eventID string) (*room.Event, error) {
	m, err := e.rooms.Membership(ctx, r.ID, user)
	if err != nil {
		return nil, err
	}
	if m != store.Join {
		return nil, mxerr.New(mxerr.Forbidden, "%s is not in this room", user)
	}
	if _, err := mxid.ParseEventID(eventID); err != nil {
		return nil, err
	}
	ev, err := e.rooms.EventByID(ctx, eventID)
	if err != nil && mxerr.From(err).Code != mxerr.NotFound {
		return nil, err
	}
	if err != nil || ev.Room != r.NID || ev.Ord == 0 {
		return nil, mxerr.New(mxerr.NotFound, "There is no such event in this room")
	}
	return ev, nil
}

func (e *Engine) checkThread(ctx context.Context, r *room.Room, ev *room.Event, thread string) error {
	if thread == "" || thread == ev.ID { // a root counts as part of its thread
		return nil
	}
	in, err := e.ThreadOf(ctx, r, ev)
	if err != nil {
		return err
	}
	if in != thread {
		return mxerr.New(mxerr.InvalidParam, "The event is not in the thread %s", thread)
	}
	return nil
}

// publish lets readers and waiters know of a stored receipt.
func (e *Engine) publish(rc store.Receipt) {
	e.remember(rc)
	for _, f := range e.observers {
		f(rc)
	}
	e.hub.User(rc.User) // the user's own unread counts change too
	if rc.Kind == Read {
		e.hub.Room(rc.Room)
	}
}
