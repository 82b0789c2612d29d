package db

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"hearth/base/contain"
)

// maxBatch bounds how many writes share one commit, so that the first of them
// does not wait long for the last.
const maxBatch = 256

// writer runs every write of the process in one goroutine. Writes that arrive
// while a commit is under way share the next one.
type writer struct {
	db       *DB
	open     func(context.Context) (conn, error)
	onCommit func(int64)
	head     atomic.Int64 // newest committed position

	jobs chan *job
	done chan struct{}

	mu     sync.RWMutex // guards closed against sends on jobs
	closed bool
}

type job struct {
	ctx    context.Context
	f      func(*Tx) error
	after  []func()
	err    error
	result chan error
}

func newWriter(d *DB, open func(context.Context) (conn, error)) *writer {
	w := &writer{db: d, open: open, jobs: make(chan *job, maxBatch), done: make(chan struct{})}
	go w.run()
	return w
}

// enqueue hands f to the writer. Writes run in the order in which they were
// enqueued. wait returns when f is durable or has failed.
func (w *writer) enqueue(ctx context.Context, f func(*Tx) error) (wait func() error, err error) {
	j := &job{ctx: ctx, f: f, result: make(chan error, 1)}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return nil, ErrClosed
	}
	select {
	case w.jobs <- j:
		// From here the write happens or fails; walking away would leave the
		// caller not knowing which.
		return func() error { return <-j.result }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *writer) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.jobs)
	<-w.done
}

func (w *writer) run() {
	defer close(w.done)
	var c conn
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	for j := range w.jobs {
		c = w.serve(c, w.collect(j))
	}
}

// serve commits a batch on c, or on a new connection if that is nil or dead, and
// returns the one to go on with.
func (w *writer) serve(c conn, batch []*job) conn {
	var err error
	for range 2 {
		if c == nil {
			var away error
			if c, away = w.connect(); away != nil {
				answer(batch, errors.Join(err, away))
				return nil
			}
		}
		if lost, ok := errors.AsType[*lostCommit](err); ok && !lost.undone(w.head.Load()) {
			break
		}
		if batch, err = w.commitBatch(c, batch); !c.broken() {
			return c
		}
		c.close()
		c = nil
		if len(batch) == 0 {
			return nil
		}
	}
	answer(batch, err)
	return c
}

// lostCommit is the error of a commit whose answer did not come.
type lostCommit struct {
	error
	head  int64 // from which it was to move the head
	moves bool  // whether it was to move the head
}

func (e *lostCommit) Unwrap() error { return e.error }

// undone reports whether the commit did not happen for sure: the head is where it
// would have moved it from.
func (e *lostCommit) undone(head int64) bool { return e.moves && e.head == head }

// connect opens the writer's connection and learns the newest position.
func (w *writer) connect() (conn, error) {
	c, err := w.open(context.Background())
	if err != nil {
		return nil, err
	}
	if err := w.readHead(c); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (w *writer) readHead(c conn) error {
	if err := c.begin(context.Background(), false); err != nil {
		return err
	}
	defer c.rollback()
	tx := &Tx{conn: c}
	pos, err := One(tx, Value[int64], `SELECT pos FROM stream_head WHERE id = 1`)
	if err != nil {
		return nil // not migrated yet: Migrate calls readHead again
	}
	w.head.Store(pos)
	return nil
}

func (w *writer) collect(first *job) []*job {
	batch := []*job{first}
	for len(batch) < maxBatch {
		select {
		case j, ok := <-w.jobs:
			if !ok {
				return batch
			}
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// commitBatch commits all jobs together. If that fails for a reason that may
// be one job's, each is tried on its own. It returns those that have no answer
// because the connection broke.
func (w *writer) commitBatch(c conn, batch []*job) (left []*job, err error) {
	err = w.try(c, batch)
	if err == nil {
		return nil, nil
	}
	if c.broken() {
		return batch, err
	}
	if len(batch) == 1 {
		answer(batch, err)
		return nil, nil
	}
	for i, j := range batch {
		if err := w.try(c, []*job{j}); err != nil {
			answer([]*job{j}, err)
		}
		if c.broken() {
			return batch[i+1:], nil
		}
	}
	return nil, nil
}

// maxStale bounds how often a commit is tried again because another process
// was faster.
const maxStale = 100

// try runs the jobs in one transaction and, on success, answers them. On error
// nothing of them was written and nobody was answered.
func (w *writer) try(c conn, batch []*job) error {
	for range maxStale {
		head := w.head.Load()
		err := w.tryOnce(c, batch, head)
		if err == nil || c.broken() {
			return err
		}
		if rerr := w.readHead(c); rerr != nil || w.head.Load() == head {
			return err
		}
	}
	return errors.New("other processes write faster than this one")
}

func (w *writer) tryOnce(c conn, batch []*job, head int64) error {
	if err := c.begin(context.Background(), true); err != nil {
		return err
	}
	tx := &Tx{conn: c, engine: w.db.engine, pos: head}
	for _, j := range batch {
		j.err, j.after = nil, nil
		if err := w.runJob(tx, j); err != nil {
			c.rollback()
			return err
		}
	}
	if tx.pos != head {
		if err := advanceHead(tx, head); err != nil {
			c.rollback()
			return err
		}
	}
	if err := c.commit(); err != nil {
		c.rollback()
		if c.broken() {
			err = &lostCommit{err, head, tx.pos != head}
		}
		return err
	}
	for _, j := range batch {
		for _, f := range j.after {
			w.runAfter(f)
		}
	}
	if tx.pos != head {
		w.head.Store(tx.pos)
		if w.onCommit != nil {
			w.onCommit(tx.pos)
		}
	}
	for _, j := range batch {
		j.result <- j.err
	}
	return nil
}

// advanceHead is the fence between processes that share a database: two of
// them cannot both move the head from the same place. The one that comes too
// late violates NOT NULL, which lets the statement travel with the COMMIT.
func advanceHead(tx *Tx, from int64) error {
	return tx.Exec(`UPDATE stream_head SET pos = CASE WHEN pos = $1 THEN pos + $2 ELSE NULL END WHERE id = 1`, from, tx.pos-from)
}

// runJob runs one job inside the shared transaction. It returns an error only
// if the transaction as a whole is lost.
func (w *writer) runJob(tx *Tx, j *job) error {
	if err := j.ctx.Err(); err != nil {
		j.err = err
		return nil
	}
	pos := tx.pos
	tx.after = nil
	if err := tx.conn.mark(); err != nil {
		return err
	}
	// One bad write must not stop the writer, and with it the server.
	if j.err = contain.Call(func() error { return j.f(tx) }); j.err == nil {
		j.after = tx.after
		return tx.conn.release()
	}
	tx.pos = pos
	if !tx.conn.undo() {
		return j.err
	}
	return nil
}

func (w *writer) runAfter(f func()) {
	err := contain.Call(func() error {
		f()
		return nil
	})
	if err != nil {
		w.db.log.Error("panic after a commit", "err", err)
	}
}

func answer(batch []*job, err error) {
	for _, j := range batch {
		j.result <- err
	}
}
