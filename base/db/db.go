// Package db runs SQL on SQLite or PostgreSQL. It knows no table but the two
// it needs itself: schema_version, schema_hash and stream_head.
//
// One SQL text serves both engines: $1 placeholders that first appear in
// order, BIGINT, TEXT, BYTEA and BOOLEAN columns, and INSERT ... ON CONFLICT.
// Writes of the whole process go through one writer, which commits many of
// them together (group commit) and hands out stream positions in commit order.
package db

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// ErrNoRow is returned by One when the query matched nothing.
var ErrNoRow = errors.New("no row")

// ErrFull means that the disk had no room for a write. Nothing of that write
// was kept; the same write may be tried again later.
var ErrFull = errors.New("the disk is full")

// ErrAway means that the database could not be reached, or went away while it was
// asked. Whether a write was kept is not known.
var ErrAway = errors.New("the database cannot be reached")

// ErrText means that a text holds a NUL byte or is not UTF-8, which PostgreSQL
// cannot store. The other engine refuses it too, so that a database can move
// between them.
var ErrText = errors.New("a text holds a NUL byte or is not UTF-8")

// ErrClosed is returned for work that arrives after Close.
var ErrClosed = errors.New("the database is closed")

// Engine names the database behind a DB. Code outside this package and the
// store's two search files has no reason to look at it.
type Engine int

// The two engines.
const (
	SQLite Engine = iota
	Postgres
)

func (e Engine) String() string {
	if e == Postgres {
		return "PostgreSQL"
	}
	return "SQLite"
}

// Options say which database to open.
type Options struct {
	// Source is a path of an SQLite file, or a postgres:// URL.
	Source string
	Log    *slog.Logger
	// Readers bounds the connections that serve Read; 0 means a default.
	Readers int
	// Alone keeps a PostgreSQL database to this DB: a second one that wants it
	// alone is refused when it first writes, after Patience (0 means 5 seconds),
	// in which a server that was killed may be noticed to be gone.
	Alone    bool
	Patience time.Duration
}

// DB is one open database.
type DB struct {
	engine  Engine
	log     *slog.Logger
	readers readers
	writer  *writer

	closeOnce sync.Once
}

// readers lends connections to Read.
type readers interface {
	get(ctx context.Context) (conn, error)
	// put takes a connection back, and ends the transaction that it is in.
	put(conn)
	close()
}

// conn is what both drivers offer to a Tx.
type conn interface {
	begin(ctx context.Context, write bool) error
	// queue runs a statement whose row count nobody needs. The engine may
	// delay it to the next query or to commit; its error comes then.
	queue(query string, args []any) error
	exec(query string, args []any) (int64, error)
	query(query string, args []any, row func(scan func(dest []any) error) (bool, error)) error
	// script runs statements that return nothing, one after the other.
	script(stmts []string) error
	commit() error
	rollback()
	// mark and undo bracket one of several writes that share a transaction.
	// undo reports false if that is not possible any more.
	mark() error
	release() error
	undo() bool
	close()
	// broken reports whether the connection is dead; stale, whether it was dead
	// before the transaction got any answer.
	broken() bool
	stale() bool
}

// Open opens the database. It makes an SQLite file that is not there yet; its
// tables come from Migrate.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Readers == 0 {
		o.Readers = 4
	}
	d := &DB{log: o.Log}
	var open func(context.Context) (conn, error)
	var err error
	if IsPostgresURL(o.Source) {
		d.engine = Postgres
		o.Readers = max(o.Readers, 12)
		open, d.readers, err = openPostgres(ctx, o)
	} else {
		d.engine = SQLite
		open, d.readers, err = openSQLite(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	d.writer = newWriter(d, open)
	return d, nil
}

// IsPostgresURL reports whether source names a PostgreSQL database rather than
// an SQLite file.
func IsPostgresURL(source string) bool {
	return strings.HasPrefix(source, "postgres://") || strings.HasPrefix(source, "postgresql://")
}

// Engine tells which database this is.
func (d *DB) Engine() Engine { return d.engine }

// Close ends the writer after the writes that it has already accepted, and
// closes all connections. It may be called twice.
func (d *DB) Close() {
	d.closeOnce.Do(func() {
		d.writer.stop()
		d.readers.close()
	})
}

// Read runs f in a read-only transaction that sees one moment of the database.
func (d *DB) Read(ctx context.Context, f func(*Tx) error) error {
	stale, err := d.readOnce(ctx, f)
	if stale { // the database was started anew since the connection was last used
		_, err = d.readOnce(ctx, f)
	}
	return err
}

// readOnce also reports whether the connection was dead from the beginning, so that
// f has seen nothing.
func (d *DB) readOnce(ctx context.Context, f func(*Tx) error) (stale bool, err error) {
	c, err := d.readers.get(ctx)
	if err != nil {
		return false, err
	}
	defer d.readers.put(c)
	if err := c.begin(ctx, false); err != nil {
		return false, err
	}
	err = f(&Tx{conn: c, engine: d.engine})
	return err != nil && c.stale(), err
}

// Write runs f in a transaction and returns once it is durable and the
// functions given to Tx.AfterCommit have run. f shares its transaction with
// other writes and may run more than once, so it touches nothing but tx and
// variables that it sets anew each time. f must not call Read or Write.
//
// An error of f undoes what f wrote, and only that.
func (d *DB) Write(ctx context.Context, f func(*Tx) error) error {
	wait, err := d.writer.enqueue(ctx, f)
	if err != nil {
		return err
	}
	return wait()
}

// Enqueue is Write in two steps: it returns when the place of f among all
// writes is settled, and wait, which must be called, when f is durable or has
// failed. Writes enqueued one after the other run in that order, but a failed
// one does not stop those behind it.
func (d *DB) Enqueue(ctx context.Context, f func(*Tx) error) (wait func() error, err error) {
	return d.writer.enqueue(ctx, f)
}

// OnCommit sets the function that is told the newest stream position after
// each commit that advanced it, when all AfterCommit functions have run. It is
// called by the writer, one commit after the other; set it before any Write.
func (d *DB) OnCommit(f func(pos int64)) { d.writer.onCommit = f }

// Position is the newest committed stream position.
func (d *DB) Position() int64 { return d.writer.head.Load() }

// Tx is a transaction on either engine.
type Tx struct {
	conn   conn
	engine Engine
	pos    int64
	after  []func()
}

// Engine tells which database the transaction runs on.
func (tx *Tx) Engine() Engine { return tx.engine }

// NextPos takes the next stream position. Positions have no gaps and become
// visible in order. It may be used in Write only.
func (tx *Tx) NextPos() int64 {
	tx.pos++
	return tx.pos
}

// AfterCommit runs f once tx is durable, and never if it rolls back. Waking
// /sync waiters belongs here: a waiter must find what it was woken for. f is
// run by the writer and must be quick.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// Exec runs a statement. Its error may come from a later call on tx or from
// the commit, because PostgreSQL is sent several statements at a time.
func (tx *Tx) Exec(query string, args ...any) error {
	if err := checkArgs(args); err != nil {
		return err
	}
	return wrap(tx.conn.queue(query, args), query)
}

// ExecN runs a statement at once and returns how many rows it changed.
func (tx *Tx) ExecN(query string, args ...any) (int64, error) {
	if err := checkArgs(args); err != nil {
		return 0, err
	}
	n, err := tx.conn.exec(query, args)
	return n, wrap(err, query)
}

// Rows yields one T per row. columns lists the destinations in column order:
// pointers to integers, strings, byte slices, bools, or to pointers of those
// for columns that may be NULL.
func Rows[T any](tx *Tx, columns func(*T) []any, query string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stopped := false
		if err := checkArgs(args); err != nil {
			var zero T
			yield(zero, err)
			return
		}
		err := tx.conn.query(query, args, func(scan func([]any) error) (bool, error) {
			var v T
			if err := scan(columns(&v)); err != nil {
				return false, err
			}
			if !yield(v, nil) {
				stopped = true
				return false, nil
			}
			return true, nil
		})
		if err != nil && !stopped {
			var zero T
			yield(zero, wrap(err, query))
		}
	}
}

// One returns the first row, or ErrNoRow.
func One[T any](tx *Tx, columns func(*T) []any, query string, args ...any) (T, error) {
	for v, err := range Rows(tx, columns, query, args...) {
		return v, err
	}
	var zero T
	return zero, ErrNoRow
}

// All collects Rows into a slice.
func All[T any](tx *Tx, columns func(*T) []any, query string, args ...any) ([]T, error) {
	var out []T
	for v, err := range Rows(tx, columns, query, args...) {
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Value lists the destination of a query with one column, for One and All.
func Value[T any](v *T) []any { return []any{v} }

// maxIn bounds the placeholders of one IN list; longer lists are queried in
// chunks.
const maxIn = 512

// In calls f with the placeholders "$n,$n+1,…" for each chunk of ids, where n
// is first, and with the chunk as arguments. A chunk is padded with its last id
// to a power of two, so that few statements need to be prepared.
func In[T any](ids []T, first int, f func(placeholders string, args []any) error) error {
	for len(ids) > 0 {
		chunk := ids[:min(len(ids), maxIn)]
		ids = ids[len(chunk):]
		var b strings.Builder
		args := make([]any, 1<<bits.Len(uint(len(chunk)-1)))
		for i := range args {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(first + i))
			args[i] = chunk[min(i, len(chunk)-1)]
		}
		if err := f(b.String(), args); err != nil {
			return err
		}
	}
	return nil
}

func checkArgs(args []any) error {
	for _, a := range args {
		if s, ok := a.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			return ErrText
		}
	}
	return nil
}

func wrap(err error, query string) error {
	if err == nil || errors.Is(err, ErrFull) {
		return err
	}
	return fmt.Errorf("%w\n%s", err, query)
}
