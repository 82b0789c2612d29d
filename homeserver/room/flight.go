package room

import (
	"context"
	"errors"
	"fmt"

	"hearth/base/db"
)

// Messages do not change the state, so the next one can be made on top of one
// that is still on its way to the disk. Many messages of one room then share a
// commit, in the order in which they were made. Everything else waits until
// nothing is in flight.

// tip is the end of the room as the next message sees it: behind the events in
// flight.
type tip struct {
	head  []string
	depth int64
}

// flight is a message on its way to the store.
type flight struct {
	done chan struct{}
	ev   *Event
	err  error
}

// staged is what a room looks like inside a transaction that is not committed
// yet, for the next write of the same transaction.
type staged struct {
	tx   *db.Tx
	next *Current
}

func (s staged) current(tx *db.Tx, r *Room) *Current {
	if s.tx == tx {
		return s.next
	}
	return r.Current()
}

// acquireQuiet takes the room's lock when nothing is in flight.
func (r *Room) acquireQuiet(ctx context.Context) (locked, error) {
	lk, err := r.acquire(ctx)
	if err != nil {
		return lk, err
	}
	r.inFlight.Wait() // ends soon: the store answers every write
	r.tip = nil
	return lk, nil
}

// sendMessage is Send for what is neither state nor a redaction.
func (e *Engine) sendMessage(ctx context.Context, roomID string, d Draft) (ev *Event, err error) {
	err = retryMoved(func() error {
		ev, err = e.trySendMessage(ctx, roomID, d)
		return err
	})
	return ev, err
}

func (e *Engine) trySendMessage(ctx context.Context, roomID string, d Draft) (*Event, error) {
	r, err := e.Room(ctx, roomID)
	if err != nil {
		return nil, err
	}
	// Outside of the lock: usually there is nothing, and it takes a read.
	if d.TxnID != "" {
		if ev, err := e.sentBefore(ctx, r, d); err != nil || ev != nil {
			return ev, err
		}
	}
	if err := e.checkRelation(ctx, r, d); err != nil {
		return nil, err
	}
	f, mine, err := e.launch(ctx, r, d)
	if err != nil {
		return nil, err
	}
	ev, err := e.arrive(ctx, r, f, mine)
	if err != nil && d.TxnID != "" {
		// Another request of the transaction may have landed after we looked and
		// before we launched. The store takes only the first.
		if first, berr := e.sentBefore(ctx, r, d); berr == nil && first != nil {
			return first, nil
		}
	}
	return ev, err
}

// arrive waits for a flight, and clears up after one of ours that failed.
func (e *Engine) arrive(ctx context.Context, r *Room, f *flight, mine bool) (*Event, error) {
	if !mine {
		ev, err := f.join(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, db.ErrFull) {
			err = errMoved // whoever launched it finds out why; we try by ourselves
		}
		return ev, err
	}
	<-f.done
	if f.err != nil {
		return nil, e.landFailed(ctx, r, f.err)
	}
	return f.ev, nil
}

// join waits for a flight that another request of the same transaction began.
func (f *flight) join(ctx context.Context) (*Event, error) {
	select {
	case <-f.done:
		return f.ev, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// launch makes the event and hands it to the store. If a request with the same
// transaction id is in flight, that one is returned and mine is false.
func (e *Engine) launch(ctx context.Context, r *Room, d Draft) (f *flight, mine bool, err error) {
	lk, err := r.acquire(ctx)
	if err != nil {
		return nil, false, err
	}
	defer lk.release()
	key := ""
	if d.TxnID != "" {
		key = string(txnKey(r.ID, d))
		if f := r.flights[key]; f != nil {
			return f, false, nil
		}
	}
	b, err := e.prepare(ctx, lk, newView(ctx, e, r, r.Current().State), []Draft{d})
	if err != nil {
		return nil, false, err
	}
	// The event is on its way whatever becomes of the client.
	wait, err := e.DB.Enqueue(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		c := newCommit(e, lk, b, tx)
		if err := c.store(); err != nil {
			return err
		}
		tx.AfterCommit(c.publish)
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	f = &flight{done: make(chan struct{}), ev: b.events[0]}
	if key != "" {
		if r.flights == nil {
			r.flights = map[string]*flight{}
		}
		r.flights[key] = f
	}
	r.tip = &tip{head: b.head, depth: b.depth}
	r.inFlight.Add(1)
	r.flying.Add(1)
	go e.land(r, f, key, wait)
	return f, true, nil
}

// land ends a flight when the store has answered.
func (e *Engine) land(r *Room, f *flight, key string, wait func() error) {
	f.err = wait()
	r.flying.Add(-1)
	r.inFlight.Done()
	close(f.done)
	if key == "" {
		return
	}
	if lk, err := r.acquire(context.Background()); err == nil {
		delete(r.flights, key)
		lk.release()
	}
}

// landFailed clears up after a message that was not stored: those in flight
// behind it have failed too, and the next one starts from what the store has.
func (e *Engine) landFailed(ctx context.Context, r *Room, err error) error {
	lk, lerr := r.acquireQuiet(context.WithoutCancel(ctx))
	if errors.Is(lerr, errDropped) {
		if errors.Is(err, context.Canceled) || errors.Is(err, db.ErrFull) {
			return err
		}
		return errMoved // the next attempt starts from what the store has
	}
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	defer lk.release()
	if errors.Is(err, errMoved) {
		return err
	}
	return e.commitFailed(ctx, r, &batch{}, fmt.Errorf("store a message: %w", err))
}
