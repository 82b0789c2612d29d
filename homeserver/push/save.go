package push

import (
	"context"
	"slices"
	"time"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/receipt"
)

const (
	// saveAfter is how many events may have to be counted again after a restart.
	saveAfter = 64
	// saveEvery is how long counts wait to be saved.
	saveEvery = 10 * time.Second
	// maxDirty bounds the counts that wait. Others are saved when they are
	// counted again.
	maxDirty = 10_000
)

// Start gives the counter the goroutine that saves counts. Stop ends it.
func (c *Counter) Start(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	c.stop = cancel
	contain.Work(ctx, &c.done, c.Log, "unread counts", func(ctx context.Context) {
		tick := time.NewTicker(saveEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.Save(ctx)
			}
		}
	})
}

// Stop saves and returns when nothing runs any more.
func (c *Counter) Stop() {
	if c.stop == nil {
		return
	}
	c.stop()
	c.done.Wait()
	c.Save(context.Background())
}

func (c *Counter) saveLater(t *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.dirty) < maxDirty {
		c.dirty[t] = struct{}{}
	}
}

// Save writes the counts that took work to make, so that the work is not done
// again after a restart. A failure is logged: counts can be made anew.
func (c *Counter) Save(ctx context.Context) {
	c.mu.Lock()
	all := make([]*tally, 0, len(c.dirty))
	for t := range c.dirty {
		all = append(all, t)
	}
	clear(c.dirty)
	c.mu.Unlock()
	for chunk := range slices.Chunk(all, 100) {
		rows := make(map[key][]store.Unread, len(chunk))
		for _, t := range chunk {
			if r := t.rows(); r != nil {
				rows[t.key] = r
			}
		}
		err := c.DB.Write(ctx, func(tx *db.Tx) error {
			for k, r := range rows {
				if err := store.SetUnread(tx, k.user, k.room, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			if ctx.Err() == nil {
				c.Log.WarnContext(ctx, "unread counts were not saved", "err", err)
			}
			return
		}
	}
}

// rows is a tally as it is stored; nil if it has nothing to store.
func (t *tally) rows() []store.Unread {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.loaded {
		return nil
	}
	t.evaluated = 0
	row := func(thread string, n Counts) store.Unread {
		return store.Unread{
			User: t.user, Room: t.room, Thread: thread, Notify: int64(n.Notify), Highlight: int64(n.Highlight),
			Upto: t.upto, Seen: t.seen,
		}
	}
	out := []store.Unread{row(receipt.Main, t.counts)}
	for thread, n := range t.counts.Threads {
		out = append(out, row(thread, n))
	}
	return out
}
