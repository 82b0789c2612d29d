package e2ee

import (
	"context"
	"sync"

	"hearth/base/db"
	"hearth/base/store"
)

// Counts is how many keys of a device are left to be given away.
type Counts struct {
	OneTime map[string]int64 // by algorithm
	Unused  []string         // algorithms with a fallback key that nobody has
}

// maxCounts bounds the devices whose counts are kept in memory.
const maxCounts = 20_000

// counts remembers Counts: every /sync tells them.
type counts struct {
	mu  sync.Mutex
	of  map[deviceKey]Counts
	gen int64 // counts what may have made an entry old
}

type deviceKey struct{ user, device string }

func newCounts() *counts { return &counts{of: map[deviceKey]Counts{}} }

// drop forgets the counts of a device when tx is durable.
func (c *counts) drop(tx *db.Tx, user, device string) {
	tx.AfterCommit(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.of, deviceKey{user, device})
		c.gen++
	})
}

// Counts returns how many keys of a device are left. The result is shared and
// must not be changed.
func (e *Engine) Counts(ctx context.Context, user, device string) (Counts, error) {
	key := deviceKey{user, device}
	c := e.counts
	c.mu.Lock()
	got, ok := c.of[key]
	gen := c.gen
	c.mu.Unlock()
	if ok || device == "" {
		return got, nil
	}
	err := e.DB.Read(ctx, func(tx *db.Tx) error {
		list, err := store.CountOneTimeKeys(tx, user, device)
		if err != nil {
			return err
		}
		// Clients that find no count here take it for none and upload for ever.
		got.OneTime = map[string]int64{"signed_curve25519": 0}
		for _, n := range list {
			got.OneTime[n.Algorithm] = n.N
		}
		fallback, err := store.FallbackKeys(tx, user, device)
		got.Unused = []string{}
		for _, k := range fallback {
			if !k.Used {
				got.Unused = append(got.Unused, k.Algorithm)
			}
		}
		return err
	})
	if err != nil {
		return Counts{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen == gen {
		if len(c.of) >= maxCounts {
			clear(c.of)
		}
		c.of[key] = got
	}
	return got, nil
}
