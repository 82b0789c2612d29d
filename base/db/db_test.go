package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/db/dbtest"
)

var notes = []db.Migration{{Name: "notes", SQL: `
CREATE TABLE notes (
	id BIGINT PRIMARY KEY,
	who TEXT NOT NULL,
	body BYTEA, -- a comment
	done BOOLEAN NOT NULL DEFAULT FALSE,
	UNIQUE (who)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
`}}

type note struct {
	ID   int64
	Who  string
	Body []byte
	Done bool
}

func (n *note) columns() []any { return []any{&n.ID, &n.Who, &n.Body, &n.Done} }

func open(t *testing.T, source string) *db.DB {
	d := dbtest.Open(t, source)
	if err := d.Migrate(t.Context(), notes); err != nil {
		t.Fatal(err)
	}
	return d
}

func insert(tx *db.Tx, id int64, who string) error {
	return tx.Exec(`INSERT INTO notes (id, who, body) VALUES ($1, $2, $3)`, id, who, []byte("hello"))
}

func count(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		n, err = db.One(tx, db.Value[int], `SELECT COUNT(*) FROM notes`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWriteThenRead(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, source string) {
		d := open(t, source)
		err := d.Write(t.Context(), func(tx *db.Tx) error { return insert(tx, tx.NextPos(), "alice") })
		if err != nil {
			t.Fatal(err)
		}
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			n, err := db.One(tx, (*note).columns, `SELECT id, who, body, done FROM notes WHERE who = $1`, "alice")
			if err != nil {
				return err
			}
			if n.ID != 1 || n.Who != "alice" || string(n.Body) != "hello" || n.Done {
				t.Errorf("read %+v", n)
			}
			_, err = db.One(tx, (*note).columns, `SELECT id, who, body, done FROM notes WHERE who = $1`, "bob")
			if !errors.Is(err, db.ErrNoRow) {
				t.Errorf("err = %v, want ErrNoRow", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if d.Position() != 1 {
			t.Errorf("position = %d, want 1", d.Position())
		}
	})
}

// A failing write takes nothing of its neighbours in the same commit with it,
// leaves no gap in the positions, and runs none of its after-commit functions.
func TestGroupCommitKeepsNeighboursApart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, source string) {
		d := open(t, source)
		var mu sync.Mutex
		var seen []int64
		d.OnCommit(func(pos int64) { seen = append(seen, pos) })
		var wg sync.WaitGroup
		const writers = 200
		positions := map[int64]bool{}
		for i := range writers {
			wg.Go(func() {
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					pos := tx.NextPos()
					tx.AfterCommit(func() { mu.Lock(); positions[pos] = true; mu.Unlock() })
					who := fmt.Sprint("user", i)
					if i%10 == 3 {
						who = "the same" // all but the first violate UNIQUE
					}
					if err := insert(tx, pos, who); err != nil {
						return err
					}
					if i%10 == 7 {
						return errors.New("changed my mind")
					}
					if i%10 == 9 {
						panic("a bug")
					}
					return nil
				})
				if bad := i%10 == 7 || i%10 == 9; bad && err == nil {
					t.Error("write should have failed")
				} else if !bad && i%10 != 3 && err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		want := writers - writers/10*2 - (writers/10 - 1)
		if n := count(t, d); n != want {
			t.Errorf("%d rows, want %d", n, want)
		}
		if len(positions) != want || !positions[1] || !positions[int64(want)] {
			t.Errorf("positions are not 1..%d: %d of them", want, len(positions))
		}
		for i := 1; i < len(seen); i++ {
			if seen[i] <= seen[i-1] {
				t.Errorf("OnCommit went from %d to %d", seen[i-1], seen[i])
			}
		}
	})
}

// Two processes on one database hand out each position once.
func TestTwoWritersShareTheStream(t *testing.T) {
	source := dbtest.Postgres(t)
	a, b := open(t, source), open(t, source)
	var wg sync.WaitGroup
	for i, d := range []*db.DB{a, b, a, b, a, b} {
		wg.Go(func() {
			for n := range 20 {
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					return insert(tx, tx.NextPos(), fmt.Sprint(i, "/", n))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, a); n != 120 {
		t.Errorf("%d rows, want 120", n)
	}
	if head := max(a.Position(), b.Position()); head != 120 {
		t.Errorf("head = %d, want 120", head)
	}
}

// TestAloneOnPostgres: a server that wants its database for itself is told who has
// it, and gets it as soon as that one is gone, be it killed or hung up.
func TestAloneOnPostgres(t *testing.T) {
	source := dbtest.Postgres(t)
	ask := func(tx *db.Tx) error {
		_, err := db.One(tx, db.Value[int], `SELECT 1`)
		return err
	}
	alone := func() (*db.DB, error) {
		d, err := db.Open(t.Context(), db.Options{Source: source, Alone: true, Patience: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		return d, d.Write(t.Context(), ask)
	}
	first, err := alone()
	if err != nil {
		t.Fatal(err)
	}
	_, err = alone()
	if !errors.Is(err, db.ErrAway) || !strings.Contains(fmt.Sprint(err), "in use by another Hearth") || strings.Contains(fmt.Sprint(err), "\n") {
		t.Errorf("a second server: %v", err)
	}
	dbtest.HangUp(t, source)
	if err := first.Write(t.Context(), ask); err != nil {
		t.Errorf("after a restart of PostgreSQL: %v", err)
	}
	first.Close()
	if _, err := alone(); err != nil {
		t.Errorf("the next server: %v", err)
	}
}

func TestReopenKeepsPosition(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, source string) {
		d := open(t, source)
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return insert(tx, tx.NextPos(), "alice") }); err != nil {
			t.Fatal(err)
		}
		d.Close()
		if err := d.Write(t.Context(), func(*db.Tx) error { return nil }); !errors.Is(err, db.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		if d := open(t, source); d.Position() != 1 {
			t.Errorf("position = %d, want 1", d.Position())
		}
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, source string) {
		d := open(t, source)
		err := d.Migrate(t.Context(), nil)
		if e, ok := errors.AsType[*db.NewerSchemaError](err); !ok || e.Have != 1 {
			t.Errorf("err = %v, want NewerSchemaError", err)
		}
	})
}

// A database that another build made is left alone, whose steps had the same
// numbers and said something else. What is only written differently is the same.
func TestOtherSchemaIsRefused(t *testing.T) {
	more := db.Migration{Name: "more", SQL: "CREATE TABLE more (id BIGINT PRIMARY KEY);\n"}
	edited := func(from, to string) db.Migration {
		return db.Migration{Name: "notes", SQL: strings.Replace(notes[0].SQL, from, to, 1)}
	}
	dbtest.Each(t, func(t *testing.T, source string) {
		d := open(t, source)
		for _, other := range []db.Migration{edited("who TEXT NOT NULL", "who TEXT"), {Name: "tasks", SQL: "CREATE TABLE tasks (id BIGINT PRIMARY KEY);\n"}} {
			err := d.Migrate(t.Context(), []db.Migration{other, more})
			e, ok := errors.AsType[*db.OtherSchemaError](err)
			if !ok || e.Version != 1 || !strings.Contains(err.Error(), "notes.sql") || !strings.Contains(err.Error(), other.Name+".sql") {
				t.Errorf("%s: %v, want an OtherSchemaError that names the file", other.Name, err)
			}
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return tx.Exec(`INSERT INTO more (id) VALUES (1)`) }); err == nil {
				t.Error("the steps behind it were applied")
			}
		}
		if err := d.Migrate(t.Context(), []db.Migration{edited("a comment", "a better comment\r"), more}); err != nil {
			t.Errorf("a comment was changed: %v", err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return tx.Exec(`DELETE FROM schema_hash WHERE version = 1`) }); err != nil {
			t.Fatal(err)
		}
		err := d.Migrate(t.Context(), []db.Migration{notes[0], more})
		if _, ok := errors.AsType[*db.OtherSchemaError](err); !ok {
			t.Errorf("from before hashes were kept: %v", err)
		}
	})
}

// A change for one engine only does not lock out databases of the other.
func TestOtherEnginesSchema(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, source string) {
		open(t, source)
		foreign := ") WITHOUT ROWID; -- sqlite:"
		if !strings.Contains(source, "://") {
			foreign = "); -- postgres:"
		}
		step := db.Migration{Name: "notes", SQL: strings.Replace(notes[0].SQL, foreign+"\n", "", 1)}
		if err := dbtest.Open(t, source).Migrate(t.Context(), []db.Migration{step}); err != nil {
			t.Error(err)
		}
	})
}

func TestIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, source string) {
		d := open(t, source)
		ids := make([]int64, 1300)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range ids {
				ids[i] = tx.NextPos()
				if err := insert(tx, ids[i], fmt.Sprint(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			return db.In(ids, 2, func(in string, args []any) error {
				got, err := db.All(tx, db.Value[int64], `SELECT id FROM notes WHERE done = $1 AND id IN (`+in+`)`, append([]any{false}, args...)...)
				found += len(got)
				return err
			})
		})
		if err != nil || found != len(ids) {
			t.Errorf("found %d of %d: %v", found, len(ids), err)
		}
	})
}

// What PostgreSQL cannot store is refused by both engines, in statements and in
// queries, and spoils nothing else in the same commit.
func TestTextIsText(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, source string) {
		d := open(t, source)
		for _, bad := range []string{"a\x00b", "\xff", "\xc0\x80", "\xed\xa0\x80"} {
			err := d.Write(t.Context(), func(tx *db.Tx) error { return insert(tx, tx.NextPos(), bad) })
			if !errors.Is(err, db.ErrText) {
				t.Errorf("write %q: %v, want ErrText", bad, err)
			}
			err = d.Read(t.Context(), func(tx *db.Tx) error {
				_, err := db.One(tx, (*note).columns, `SELECT id, who, body, done FROM notes WHERE who = $1`, bad)
				return err
			})
			if !errors.Is(err, db.ErrText) {
				t.Errorf("read %q: %v, want ErrText", bad, err)
			}
		}
		if n := count(t, d); n != 0 {
			t.Errorf("%d rows, want none", n)
		}
	})
}

// TestPostgresRestart: nobody notices that PostgreSQL was started anew, unless it
// happened right in a commit.
func TestPostgresRestart(t *testing.T) {
	source := dbtest.Postgres(t)
	d := open(t, source)
	write := func(id int64) error {
		return d.Write(t.Context(), func(tx *db.Tx) error { return insert(tx, tx.NextPos(), fmt.Sprint(id)) })
	}
	if err := write(1); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() { count(t, d) })
	}
	readers.Wait()
	for round := range 3 {
		dbtest.HangUp(t, source)
		if round > 0 {
			count(t, d)
		}
		if err := write(int64(round + 2)); err != nil {
			t.Errorf("a write after a restart: %v", err)
		}
		if n := count(t, d); n != round+2 {
			t.Errorf("%d notes, want %d", n, round+2)
		}
	}
	runs := 0
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		if runs++; runs == 1 {
			if _, err := tx.ExecN(`DELETE FROM notes`); err != nil {
				return err
			}
			dbtest.HangUp(t, source)
		}
		return insert(tx, tx.NextPos(), "after all")
	})
	if n := count(t, d); err != nil || runs != 2 || n != 5 {
		t.Errorf("%v after %d runs, %d notes", err, runs, n)
	}
	err = d.Write(t.Context(), func(tx *db.Tx) error { // this one moves no head
		err := tx.Exec(`DELETE FROM notes`)
		if runs++; runs == 3 {
			dbtest.HangUp(t, source)
		}
		return err
	})
	if n := count(t, d); !errors.Is(err, db.ErrAway) || runs != 3 || n != 5 {
		t.Errorf("a commit without an answer: %v after %d runs, %d notes", err, runs, n)
	}
}

// TestPostgresAway: who cannot be served is told why.
func TestPostgresAway(t *testing.T) {
	source := dbtest.Postgres(t)
	d := open(t, source)
	dbtest.Drop(t, source)
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return insert(tx, tx.NextPos(), "alice") }); !errors.Is(err, db.ErrAway) {
		t.Errorf("write: %v", err)
	}
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		_, err := db.One(tx, db.Value[int], `SELECT COUNT(*) FROM notes`)
		return err
	})
	if !errors.Is(err, db.ErrAway) {
		t.Errorf("read: %v", err)
	}
}

// A full disk under PostgreSQL is told apart from other failures, and later
// writes work. That SQLite does so too is seen on a disk that is really full,
// in e2e/crash.
func TestPostgresDiskFull(t *testing.T) {
	d := open(t, dbtest.Postgres(t))
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		if err := insert(tx, tx.NextPos(), "lost"); err != nil {
			return err
		}
		return tx.Exec(`DO $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$`)
	})
	if !errors.Is(err, db.ErrFull) {
		t.Errorf("err = %v, want ErrFull", err)
	}
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return insert(tx, tx.NextPos(), "alice") }); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if n := count(t, d); n != 1 || d.Position() != 1 {
		t.Errorf("%d rows at position %d, want 1 and 1", n, d.Position())
	}
}

// Other users of the machine cannot read what people said, also where the folder
// is open to them.
func TestFilesAreForTheServerAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := open(t, filepath.Join(dir, "hearth.db"))
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return insert(tx, 1, "me") }); err != nil {
		t.Fatal(err)
	}
	more := db.Migration{Name: "more", SQL: "CREATE TABLE more (id BIGINT PRIMARY KEY);\n"}
	if err := d.Migrate(t.Context(), append(slices.Clone(notes), more)); err != nil {
		t.Fatal(err)
	}
	if old := count(t, open(t, filepath.Join(dir, "hearth.db.before-2"))); old != 1 {
		t.Errorf("the copy from before the update has %d notes", old)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}
