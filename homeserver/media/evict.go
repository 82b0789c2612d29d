package media

import (
	"context"
	"errors"
	"time"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
)

// sweepEvery is how often the age of copies is looked at.
const sweepEvery = 10 * time.Minute

// Start begins to remove copies that are old or too many, and what a crash left.
func (e *Engine) Start(context.Context) {
	c := e.copies
	contain.Work(c.life, &c.running, e.Log, "old copies of files", func(context.Context) {
		for tick := time.NewTicker(sweepEvery); ; {
			err := errors.Join(e.sweep(c.life), e.Evict(c.life, time.Now()))
			if err != nil && c.life.Err() == nil {
				e.Log.WarnContext(c.life, "old copies of files could not be removed", "err", err)
			}
			select {
			case <-tick.C:
			case <-c.full:
			case <-c.life.Done():
				tick.Stop()
				return
			}
		}
	})
}

// Stop returns when nothing comes in any more.
func (e *Engine) Stop() {
	c := e.copies
	c.end()
	c.stop.Do(func() {
		for range maxFetches {
			c.slots <- struct{}{} // and nobody gets one any more
		}
	})
	c.running.Wait()
}

// grown has old copies removed if there are too many now.
func (e *Engine) grown(size int64) {
	c := e.copies
	c.mu.Lock()
	c.size += size
	tooMany := e.Remote.CacheSize > 0 && c.size > e.Remote.CacheSize
	c.mu.Unlock()
	if tooMany {
		select {
		case c.full <- struct{}{}:
		default: // it is known
		}
	}
}

// Evict removes the copies that nobody has looked at for too long, and as many as
// are too many, those first that were not looked at for longest. Quarantined ones
// stay: else they would come again.
func (e *Engine) Evict(ctx context.Context, now time.Time) error {
	for {
		var size int64
		var oldest []store.Media
		err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			if size, err = store.SumCopies(tx); err != nil {
				return err
			}
			oldest, err = store.OldestCopies(tx, sweepBatch)
			return err
		})
		if err != nil {
			return err
		}
		e.copies.mu.Lock()
		e.copies.size = size
		e.copies.mu.Unlock()
		n := 0
		for _, m := range oldest {
			old := e.Remote.CacheAge > 0 && m.Used < now.Add(-e.Remote.CacheAge).UnixMilli()
			if !old && (e.Remote.CacheSize == 0 || size <= e.Remote.CacheSize) {
				break
			}
			size -= m.Size
			n++
		}
		if n == 0 {
			return nil
		}
		if _, err := e.Delete(ctx, oldest[:n]); err != nil {
			return err
		}
	}
}
