package room

import (
	"context"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

const (
	// purgeBatch bounds the events that one write removes: others wait for it.
	purgeBatch = 1000
	// purgeSpan bounds the numbers of old state that one write looks at.
	purgeSpan = 50_000
)

// OnPurge registers a function that is told of a room that is gone, under the
// rules of Observe.
func (e *Engine) OnPurge(f func(r *Room)) { e.onPurge = append(e.onPurge, f) }

// Purge removes a room with all that was said in it. From the first moment on
// nobody can add to it; the rest goes bit by bit. Purging what is not there any
// more removes what an interrupted Purge left, if nid is known.
func (e *Engine) Purge(ctx context.Context, roomID string, nid int64) error {
	err := retryMoved(func() error {
		r, err := e.Room(ctx, roomID)
		if err != nil {
			if mxerr.From(err).Code == mxerr.NotFound {
				err = nil
			}
			return err
		}
		nid = r.NID
		return e.purgeRoom(ctx, r)
	})
	if err != nil {
		return err
	}
	for {
		var n int64
		err := e.DB.Write(ctx, func(tx *db.Tx) (err error) {
			n, err = store.DeleteRoomEvents(tx, nid, purgeBatch)
			return err
		})
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	for from, end := nid, e.DB.Position(); from <= end; from += purgeSpan {
		err := e.DB.Write(ctx, func(tx *db.Tx) error { return store.DeleteRoomState(tx, nid, from, from+purgeSpan) })
		if err != nil {
			return err
		}
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error { return store.DeleteRoomOutliers(tx, nid) })
}

// purgeRoom takes a room out of the sight of everybody.
func (e *Engine) purgeRoom(ctx context.Context, r *Room) error {
	members, err := e.Members(ctx, r, store.Invite, store.Knock, store.Join, store.Leave, store.Ban)
	if err != nil {
		return err
	}
	for len(members) > 0 {
		some := members[:min(len(members), purgeBatch)]
		members = members[len(some):]
		err := e.DB.Write(ctx, func(tx *db.Tx) error {
			for _, m := range some {
				if err := store.DeleteRoomData(tx, m.User, r.NID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	lk, err := r.acquireQuiet(ctx)
	if err != nil {
		return err
	}
	defer lk.release()
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		tx.AfterCommit(func() {
			for _, f := range e.onPurge {
				f(r)
			}
		})
		return store.DeleteRoom(tx, r.NID)
	})
	if err == nil {
		r.gone.Store(true) // whoever waits for the lock finds it so
		e.forget(r)
	}
	return err
}

// PurgeHistory removes the messages of a room before a place in its timeline.
// State stays, since what comes after it is judged by it.
func (e *Engine) PurgeHistory(ctx context.Context, r *Room, ord int64) error {
	for {
		var n int64
		err := e.DB.Write(ctx, func(tx *db.Tx) (err error) {
			n, err = store.DeleteMessagesBefore(tx, r.NID, ord, purgeBatch)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}
