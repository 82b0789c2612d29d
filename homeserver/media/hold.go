package media

import (
	"context"
	"sync"

	"hearth/base/db"
	"hearth/base/store"
)

// holds orders what adds and what removes the same bytes, which several files may
// share. Others do not wait: to bring a large file to its place may take minutes.
type holds struct {
	mu sync.Mutex
	of map[string]*hold // by hash; only those that somebody has or waits for
}

type hold struct {
	sync.Mutex
	wanted int
}

// take waits for the bytes of a hash and returns what lets them go.
func (h *holds) take(hash string) (release func()) {
	h.mu.Lock()
	one := h.of[hash]
	if one == nil {
		one = &hold{}
		h.of[hash] = one
	}
	one.wanted++
	h.mu.Unlock()
	one.Lock()
	return func() {
		one.Unlock()
		h.mu.Lock()
		defer h.mu.Unlock()
		if one.wanted--; one.wanted == 0 {
			delete(h.of, hash)
		}
	}
}

// drop removes bytes unless something is made of them by now.
func (e *Engine) drop(ctx context.Context, hash string) error {
	defer e.holds.take(hash)()
	var used bool
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		used, err = store.BytesInUse(tx, hash)
		return err
	})
	if err != nil || used {
		return err
	}
	return e.Blobs.Delete(ctx, hash)
}
