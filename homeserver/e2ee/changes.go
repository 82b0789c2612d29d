package e2ee

import (
	"context"
	"math"
	"sync"

	"hearth/base/db"
	"hearth/base/store"
)

// maxChanges bounds the changes that are kept at hand.
const maxChanges = 1024

// changes holds the newest changes of anybody's keys: what nearly every /sync
// asks for.
type changes struct {
	mu    sync.RWMutex
	list  []store.KeyChange // in the order of positions
	after int64             // list is complete behind this position
}

func newChanges(pos int64) *changes { return &changes{after: pos} }

func (c *changes) add(k store.KeyChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == maxChanges {
		c.after = c.list[maxChanges/2-1].Pos
		c.list = append(make([]store.KeyChange, 0, maxChanges), c.list[maxChanges/2:]...) // readers may hold the old array
	}
	c.list = append(c.list, k)
}

// changed notes that the keys of a user changed, for everybody, or for viewer
// alone, and wakes those who may see it.
func (e *Engine) changed(tx *db.Tx, user, viewer string) error {
	k := store.KeyChange{User: user, Viewer: viewer, Pos: tx.NextPos()}
	if err := store.SetKeyChange(tx, k); err != nil {
		return err
	}
	var rooms []int64
	if viewer == "" {
		var err error
		if rooms, err = store.JoinedRooms(tx, user); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() {
		e.changes.add(k)
		e.Hub.User(user)
		if viewer != "" {
			e.Hub.User(viewer)
		}
		for _, r := range rooms {
			e.Hub.Room(r)
		}
	})
	return nil
}

// Changed lists the users whose keys changed after a position, as far as viewer
// may hear of it. Whether viewer has to do with them is the caller's to ask. A
// change that is newer than the answer which tells it is told again: that costs
// the client a question, and hides nothing.
func (e *Engine) Changed(ctx context.Context, viewer string, after int64) (users []string, err error) {
	return e.ChangedBetween(ctx, viewer, after, math.MaxInt64)
}

// ChangedBetween is Changed for the users whose last change is not behind upto.
func (e *Engine) ChangedBetween(ctx context.Context, viewer string, after, upto int64) (users []string, err error) {
	e.changes.mu.RLock()
	list, floor := e.changes.list, e.changes.after
	e.changes.mu.RUnlock()
	if after < floor {
		list, err = read(ctx, e.DB, func(tx *db.Tx) ([]store.KeyChange, error) { return store.KeyChangesSince(tx, viewer, after) })
		if err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	for i := len(list) - 1; i >= 0 && list[i].Pos > after; i-- {
		k := list[i]
		if k.Viewer != "" && k.Viewer != viewer || seen[k.User] {
			continue
		}
		seen[k.User] = true
		if k.Pos <= upto {
			users = append(users, k.User)
		}
	}
	return users, nil
}
