package media

import (
	"context"
	"sync"

	"hearth/base/blob"
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

// keep brings bytes to their place and stores the row that refers to them. A row
// never lacks its bytes, and until it is there they are noted as litter, so that a
// crash leaves nothing behind for good.
func (e *Engine) keep(ctx context.Context, draft *blob.Draft, row func(tx *db.Tx) error) error {
	defer e.holds.take(draft.Name)()
	err := e.DB.Write(ctx, func(tx *db.Tx) error { return store.AddLitter(tx, draft.Name) })
	if err == nil {
		err = draft.Keep(ctx)
	}
	if err != nil {
		return err
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		if err := row(tx); err != nil {
			return err
		}
		return store.DeleteLitter(tx, draft.Name)
	})
}

// drop removes bytes that were noted as litter, unless something is made of them
// by now.
func (e *Engine) drop(ctx context.Context, hash string) error {
	defer e.holds.take(hash)()
	var used bool
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		used, err = store.BytesInUse(tx, hash)
		return err
	})
	if err == nil && !used {
		err = e.Blobs.Delete(ctx, hash)
	}
	if err != nil {
		return err
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error { return store.DeleteLitter(tx, hash) })
}

// sweep removes the bytes that a crash or a failure left over.
func (e *Engine) sweep(ctx context.Context) error {
	for after := ""; ; {
		var some []string
		err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			some, err = store.Litter(tx, after, sweepBatch)
			return err
		})
		if err != nil || len(some) == 0 {
			return err
		}
		for _, hash := range some {
			if err := e.drop(ctx, hash); err != nil {
				return err
			}
		}
		after = some[len(some)-1]
	}
}

// sweepBatch bounds what one step in the background looks at.
const sweepBatch = 100
