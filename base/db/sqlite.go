package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"

	"zombiezen.com/go/sqlite"
)

// Page caches in KiB. The writer touches the hot end of every index; readers
// mostly read what was just written.
const (
	writerCache = 8 << 10
	readerCache = 4 << 10
)

// sqliteConn is one connection of zombiezen's native API. Statements are
// prepared once per connection and kept.
type sqliteConn struct {
	c     *sqlite.Conn
	begun bool
}

func openSQLite(_ context.Context, o Options) (func(context.Context) (conn, error), readers, error) {
	if err := ownFile(o.Source); err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}
	open := func(cache int) (conn, error) {
		c, err := sqlite.OpenConn(o.Source, sqlite.OpenReadWrite, sqlite.OpenCreate)
		if err != nil {
			return nil, fmt.Errorf("open database %s: %w", o.Source, err)
		}
		sc := &sqliteConn{c: c}
		c.SetBlockOnBusy()
		for _, pragma := range []string{
			"PRAGMA journal_mode = WAL",
			// A message that was acknowledged must survive a power cut.
			"PRAGMA synchronous = FULL",
			"PRAGMA foreign_keys = OFF",
			"PRAGMA temp_store = MEMORY",
			fmt.Sprintf("PRAGMA cache_size = -%d", cache),
			// A checkpoint truncates a WAL that a long reader let grow.
			"PRAGMA journal_size_limit = 67108864",
		} {
			if err := sc.query(pragma, nil, func(func([]any) error) (bool, error) { return true, nil }); err != nil {
				c.Close()
				return nil, fmt.Errorf("open database %s: %s: %w", o.Source, pragma, err)
			}
		}
		return sc, nil
	}
	pool := &connPool{free: make(chan conn, o.Readers), closed: make(chan struct{})}
	for i := range o.Readers {
		c, err := open(readerCache)
		if err != nil {
			for range i {
				(<-pool.free).close()
			}
			return nil, nil, err
		}
		pool.free <- c
	}
	return func(context.Context) (conn, error) { return open(writerCache) }, pool, nil
}

// ownFile makes path if it is not there. What people said is for nobody else on
// this machine, whatever the folder lets through; SQLite gives the files beside
// a database its mode.
func ownFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// connPool lends a fixed set of connections.
type connPool struct {
	free   chan conn
	closed chan struct{}
}

func (p *connPool) get(ctx context.Context) (conn, error) {
	select {
	case c := <-p.free:
		return c, nil
	case <-p.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *connPool) put(c conn) {
	c.rollback()
	p.free <- c
}

// close waits for lent connections: SQLite folds its log into the database
// file when the last connection goes.
func (p *connPool) close() {
	close(p.closed)
	for range cap(p.free) {
		(<-p.free).close()
	}
}

func (s *sqliteConn) begin(ctx context.Context, write bool) error {
	s.c.SetInterrupt(ctx.Done())
	stmt := "BEGIN"
	if write {
		stmt = "BEGIN IMMEDIATE"
	}
	if err := s.step(stmt); err != nil {
		return err
	}
	s.begun = true
	return nil
}

func (s *sqliteConn) script(stmts []string) error {
	for _, stmt := range stmts {
		if _, err := s.exec(stmt, nil); err != nil {
			return wrap(err, stmt)
		}
	}
	return nil
}

func (s *sqliteConn) commit() error {
	if err := s.step("COMMIT"); err != nil {
		return err
	}
	s.begun = false
	return nil
}

func (s *sqliteConn) rollback() {
	s.c.SetInterrupt(nil)
	if s.begun {
		s.begun = false
		if !s.c.AutocommitEnabled() { // an I/O error may have rolled back already
			_ = s.step("ROLLBACK")
		}
	}
}

func (s *sqliteConn) mark() error    { return s.step("SAVEPOINT job") }
func (s *sqliteConn) release() error { return s.step("RELEASE job") }

func (s *sqliteConn) undo() bool {
	return s.step("ROLLBACK TO job") == nil && s.step("RELEASE job") == nil
}

func (s *sqliteConn) close()       { s.c.Close() }
func (s *sqliteConn) broken() bool { return false }

func (s *sqliteConn) stale() bool { return false }

func (s *sqliteConn) step(query string) error {
	return s.query(query, nil, func(func([]any) error) (bool, error) { return false, nil })
}

func (s *sqliteConn) queue(query string, args []any) error {
	_, err := s.exec(query, args)
	return err
}

func (s *sqliteConn) exec(query string, args []any) (int64, error) {
	if err := s.query(query, args, func(func([]any) error) (bool, error) { return true, nil }); err != nil {
		return 0, err
	}
	return int64(s.c.Changes()), nil
}

func (s *sqliteConn) query(query string, args []any, row func(func([]any) error) (bool, error)) (err error) {
	stmt, err := s.c.Prepare(query)
	if err != nil {
		return sqliteError(err)
	}
	defer func() {
		// Reset repeats the error of the step; the first one tells more.
		if rerr := stmt.Reset(); err == nil {
			err = sqliteError(rerr)
		}
	}()
	for i, a := range args {
		if err := bind(stmt, i+1, a); err != nil {
			return err
		}
	}
	scan := func(dest []any) error {
		for i, d := range dest {
			if err := scanColumn(stmt, i, d); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		more, err := stmt.Step()
		if err != nil {
			return sqliteError(err)
		}
		if !more {
			return nil
		}
		if more, err := row(scan); err != nil || !more {
			return err
		}
	}
}

func bind(stmt *sqlite.Stmt, i int, a any) error {
	switch v := a.(type) {
	case nil:
		stmt.BindNull(i)
	case int64:
		stmt.BindInt64(i, v)
	case int:
		stmt.BindInt64(i, int64(v))
	case string:
		stmt.BindText(i, v)
	case bool:
		stmt.BindBool(i, v)
	case []byte:
		if v == nil {
			stmt.BindNull(i)
		} else {
			stmt.BindBytes(i, v)
		}
	default:
		return bindKind(stmt, i, reflect.ValueOf(a))
	}
	return nil
}

// bindKind binds named types such as mxid.UserID, and pointers for NULL.
func bindKind(stmt *sqlite.Stmt, i int, v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		stmt.BindText(i, v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		stmt.BindInt64(i, v.Int())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		stmt.BindInt64(i, int64(v.Uint()))
	case reflect.Bool:
		stmt.BindBool(i, v.Bool())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return bind(stmt, i, v.Bytes())
		}
		return fmt.Errorf("cannot bind a %s", v.Type())
	case reflect.Pointer:
		if v.IsNil() {
			stmt.BindNull(i)
			return nil
		}
		return bind(stmt, i, v.Elem().Interface())
	default:
		return fmt.Errorf("cannot bind a %s", v.Type())
	}
	return nil
}

func scanColumn(stmt *sqlite.Stmt, i int, dest any) error {
	switch d := dest.(type) {
	case *int64:
		*d = stmt.ColumnInt64(i)
	case *int:
		*d = stmt.ColumnInt(i)
	case *string:
		*d = stmt.ColumnText(i)
	case *bool:
		*d = stmt.ColumnBool(i)
	case *[]byte:
		*d = columnBytes(stmt, i)
	default:
		return scanKind(stmt, i, reflect.ValueOf(dest).Elem())
	}
	return nil
}

func columnBytes(stmt *sqlite.Stmt, i int) []byte {
	if stmt.ColumnIsNull(i) {
		return nil
	}
	b := make([]byte, stmt.ColumnLen(i))
	stmt.ColumnBytes(i, b)
	return b
}

func scanKind(stmt *sqlite.Stmt, i int, v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(stmt.ColumnText(i))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(stmt.ColumnInt64(i))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(stmt.ColumnInt64(i)))
	case reflect.Bool:
		v.SetBool(stmt.ColumnBool(i))
	case reflect.Slice:
		v.SetBytes(columnBytes(stmt, i))
	case reflect.Pointer:
		if stmt.ColumnIsNull(i) {
			v.SetZero()
			return nil
		}
		p := reflect.New(v.Type().Elem())
		if err := scanColumn(stmt, i, p.Interface()); err != nil {
			return err
		}
		v.Set(p)
	default:
		return fmt.Errorf("cannot scan into a %s", v.Type())
	}
	return nil
}

func sqliteError(err error) error {
	if err == nil {
		return nil
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull:
		return errors.Join(ErrFull, err)
	case sqlite.ResultInterrupt:
		return errors.Join(context.Canceled, err)
	}
	if sqlite.ErrCode(err) == sqlite.ResultIOErrWrite {
		return errors.Join(ErrFull, err)
	}
	return err
}
