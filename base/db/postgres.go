package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgConn sends statements whose result nobody needs together with the next
// query or with the commit, so that a write costs about one round trip.
type pgConn struct {
	c       *pgx.Conn
	pooled  *pgxpool.Conn // nil for the writer's own connection
	ctx     context.Context
	begun   bool
	failed  bool // the transaction is aborted
	heard   bool // the transaction has got an answer
	pending []statement

	// Since mark: where in pending it stood, and whether a write of the
	// marked job has been sent already.
	marked int
	sent   bool
}

type statement struct {
	query string
	args  []any
}

type pgReaders struct{ pool *pgxpool.Pool }

func openPostgres(ctx context.Context, o Options) (func(context.Context) (conn, error), readers, error) {
	cfg, err := pgxpool.ParseConfig(o.Source)
	if err != nil {
		return nil, nil, fmt.Errorf("database URL: %w", err)
	}
	cfg.MaxConns = int32(o.Readers)
	cfg.ConnConfig.RuntimeParams["application_name"] = "hearth"
	cfg.MinConns = 1 // made while the writer's first one is
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	open := func(ctx context.Context) (conn, error) {
		c, err := pgx.ConnectConfig(ctx, cfg.ConnConfig.Copy())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAway, err)
		}
		if o.Alone {
			err = claim(ctx, c, cmp.Or(o.Patience, 5*time.Second))
		}
		if err != nil {
			_ = c.Close(ctx)
			return nil, err
		}
		return &pgConn{c: c}, nil
	}
	return open, &pgReaders{pool}, nil
}

func (r *pgReaders) get(ctx context.Context) (conn, error) {
	c, err := r.pool.Acquire(ctx)
	if err != nil && ctx.Err() == nil {
		err = errors.Join(ErrAway, err)
	}
	if err != nil {
		return nil, err
	}
	return &pgConn{c: c.Conn(), pooled: c}, nil
}

// put ends the transaction on the side: the reader has what it came for and need
// not wait for the server to say so. close waits for it.
func (r *pgReaders) put(c conn) {
	p := c.(*pgConn)
	if p.stale() {
		r.pool.Reset() // the others are dead too
	}
	go func() {
		p.rollback()
		p.pooled.Release()
	}()
}

func (r *pgReaders) close() { r.pool.Close() }

// begin only notes the BEGIN: it travels with the first query.
func (p *pgConn) begin(ctx context.Context, write bool) error {
	p.ctx, p.begun, p.failed, p.heard = ctx, true, false, false
	p.pending = p.pending[:0]
	stmt := "BEGIN"
	if !write {
		stmt = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	}
	p.pending = append(p.pending, statement{query: stmt})
	return nil
}

func (p *pgConn) commit() error {
	_, err := p.exec("COMMIT", nil)
	if err == nil {
		p.begun = false
	}
	return err
}

func (p *pgConn) rollback() {
	if !p.begun {
		return
	}
	p.begun = false
	unsent := len(p.pending) > 0 && p.pending[0].query[:5] == "BEGIN"
	p.pending = p.pending[:0]
	if unsent || p.c.IsClosed() {
		return
	}
	// The caller's context may be the reason for the rollback.
	_, _ = p.c.Exec(context.Background(), "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
}

func (p *pgConn) mark() error {
	p.marked, p.sent = len(p.pending), false
	return nil
}

func (p *pgConn) release() error { return nil }

func (p *pgConn) undo() bool {
	if p.failed || p.sent {
		return false
	}
	p.pending = p.pending[:min(p.marked, len(p.pending))]
	return true
}

func (p *pgConn) close() {
	if p.pooled == nil {
		_ = p.c.Close(context.Background())
	}
}

func (p *pgConn) broken() bool { return p.c.IsClosed() }

func (p *pgConn) stale() bool { return p.broken() && !p.heard && p.ctx.Err() == nil }

func (p *pgConn) queue(query string, args []any) error {
	p.pending = append(p.pending, statement{query, args})
	return nil
}

func (p *pgConn) exec(query string, args []any) (int64, error) {
	p.sent = true
	res := p.send(query, args)
	tag, err := res.Exec()
	if cerr := res.Close(); err == nil {
		err = cerr
	}
	return tag.RowsAffected(), p.fail(err)
}

// script sends all statements at once, unprepared: none can be prepared before
// those in front of it have made its tables.
func (p *pgConn) script(stmts []string) error {
	if _, err := p.exec(`SELECT 1`, nil); err != nil { // sends what is pending
		return err
	}
	_, err := p.c.Exec(p.ctx, strings.Join(stmts, ";"), pgx.QueryExecModeSimpleProtocol)
	return p.fail(err)
}

func (p *pgConn) query(query string, args []any, row func(func([]any) error) (bool, error)) error {
	res := p.send(query, args)
	rows, err := res.Query()
	if err != nil {
		_ = res.Close()
		return p.fail(err)
	}
	scan := func(dest []any) error { return rows.Scan(dest...) }
	var rowErr error
	for more := true; more && rows.Next(); {
		more, rowErr = row(scan)
		if rowErr != nil {
			break
		}
	}
	rows.Close()
	err = rows.Err()
	if cerr := res.Close(); err == nil {
		err = cerr
	}
	if rowErr != nil {
		return rowErr
	}
	return p.fail(err)
}

// send sends what is pending and then the query, in one flight. Statements
// before the query are already checked when it returns.
func (p *pgConn) send(query string, args []any) *results {
	b := &pgx.Batch{}
	for _, s := range p.pending {
		b.Queue(s.query, s.args...)
	}
	b.Queue(query, args...)
	n := len(p.pending)
	if n > p.marked {
		p.sent = true
	}
	p.pending, p.marked = p.pending[:0], 0
	res := &results{BatchResults: p.c.SendBatch(p.ctx, b)}
	for range n {
		if _, res.err = res.BatchResults.Exec(); res.err != nil {
			break
		}
	}
	return res
}

// results are those of the last statement of a batch; err is that of an
// earlier one.
type results struct {
	pgx.BatchResults
	err error
}

func (r *results) Exec() (pgconn.CommandTag, error) {
	if r.err != nil {
		return pgconn.CommandTag{}, r.err
	}
	return r.BatchResults.Exec()
}

func (r *results) Query() (pgx.Rows, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.BatchResults.Query()
}

// diskFull is SQLSTATE 53100, disk_full.
const diskFull = "53100"

func (p *pgConn) fail(err error) error {
	if err == nil {
		p.heard = true
		return nil
	}
	p.failed = true
	if p.broken() && p.ctx.Err() == nil {
		return errors.Join(ErrAway, err)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == diskFull {
		return errors.Join(ErrFull, err)
	}
	return err
}
