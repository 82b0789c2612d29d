package e2ee

import (
	"context"
	"sync"

	"hearth/base/db"
	"hearth/base/store"
)

// acks removes messages that devices have. When a key is shared with a room, all
// its devices come back at about the same time; those who come while one write
// waits for its turn share it.
type acks struct {
	mu   sync.Mutex
	next *ackWrite // takes more until it runs
}

// ackWrite is one write for several devices.
type ackWrite struct {
	upto map[deviceKey]int64 // position up to which each device has its messages
	done chan struct{}
	err  error // set before done is closed
}

// add removes the messages of a device up to a position, and returns when that is
// durable.
func (a *acks) add(ctx context.Context, e *Engine, key deviceKey, upto int64) error {
	a.mu.Lock()
	w := a.next
	first := w == nil
	if first {
		w = &ackWrite{upto: map[deviceKey]int64{}, done: make(chan struct{})}
		a.next = w
	}
	w.upto[key] = max(w.upto[key], upto)
	a.mu.Unlock()
	if first {
		// The write is for others too, so it does not end with this request.
		w.err = e.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error { return a.run(tx, e, w) })
		a.close(w) // should it have failed before it ran
		close(w.done)
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close lets nobody join w any more.
func (a *acks) close(w *ackWrite) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next == w {
		a.next = nil
	}
}

func (a *acks) run(tx *db.Tx, e *Engine, w *ackWrite) error {
	a.close(w)
	tx.AfterCommit(func() {
		for key, upto := range w.upto {
			e.inboxes.deleted(key, upto)
		}
	})
	for key, upto := range w.upto {
		if err := store.DeleteDeviceMessages(tx, key.user, key.device, upto); err != nil {
			return err
		}
	}
	return nil
}
