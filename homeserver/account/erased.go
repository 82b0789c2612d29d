package account

import (
	"context"
	"sync"
	"sync/atomic"

	"hearth/base/db"
	"hearth/base/store"
)

// erased knows the users who wanted to be forgotten. There are few, and of many
// events it must be known whether one of them sent it.
type erased struct {
	stale atomic.Bool // there are others by now
	mu    sync.Mutex
	users map[string]bool // nil before they are read
}

func (s *erased) changed() { s.stale.Store(true) }

// Erased reports whether a user closed the account and wanted to be forgotten.
func (e *Engine) Erased(ctx context.Context, user string) (bool, error) {
	s := &e.erased
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users != nil && !s.stale.Load() {
		return s.users[user], nil
	}
	s.stale.Store(false) // before the look into the store: what comes later counts
	var all []string
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = store.ErasedUsers(tx)
		return err
	})
	if err != nil {
		s.stale.Store(true)
		return false, err
	}
	s.users = make(map[string]bool, len(all))
	for _, u := range all {
		s.users[u] = true
	}
	return s.users[user], nil
}
