package db

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// Migration is one step of the schema. Steps are applied in order, each in a
// transaction of its own, and are never changed once released.
//
// SQL holds statements that end with ";" at the end of a line. A line that
// ends with "-- sqlite:" or "-- postgres:" is for that engine only.
type Migration struct {
	Name string
	SQL  string
}

// base makes what this package itself needs.
const base = `
CREATE TABLE IF NOT EXISTS schema_version (
	version BIGINT PRIMARY KEY,
	name TEXT NOT NULL,
	applied BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS stream_head (
	id BIGINT PRIMARY KEY,
	pos BIGINT NOT NULL
);
INSERT INTO stream_head (id, pos) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;
`

// NewerSchemaError means that the database was written by a newer Hearth.
type NewerSchemaError struct{ Have, Known int64 }

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the database has schema version %d, but this Hearth knows versions up to %d: start the newer Hearth again, or restore the backup from before the upgrade", e.Have, e.Known)
}

// Migrate brings the schema up to the last of steps. Before it changes an
// SQLite database that holds data, it copies it to <file>.before-<version>.
func (d *DB) Migrate(ctx context.Context, steps []Migration) error {
	if err := d.Write(ctx, func(tx *Tx) error { return runScript(tx, base) }); err != nil {
		return err
	}
	var version int64
	err := d.Read(ctx, func(tx *Tx) (err error) {
		version, err = One(tx, Value[int64], `SELECT COALESCE(MAX(version), 0) FROM schema_version`)
		return err
	})
	if err != nil {
		return err
	}
	known := int64(len(steps))
	if version > known {
		return &NewerSchemaError{Have: version, Known: known}
	}
	if version > 0 && version < known {
		if err := d.copyBefore(ctx, known); err != nil {
			return fmt.Errorf("copy the database before changing it: %w", err)
		}
	}
	for i := version; i < known; i++ {
		step := steps[i]
		err := d.Write(ctx, func(tx *Tx) error {
			if err := runScript(tx, step.SQL); err != nil {
				return err
			}
			_, err := tx.ExecN(`INSERT INTO schema_version (version, name, applied) VALUES ($1, $2, $3)`,
				i+1, step.Name, time.Now().UnixMilli())
			return err
		})
		if err != nil {
			return fmt.Errorf("schema step %d (%s): %w", i+1, step.Name, err)
		}
	}
	return d.loadHead(ctx)
}

// loadHead reads the stream head, which the writer could not do before the
// table was there.
func (d *DB) loadHead(ctx context.Context) error {
	return d.Write(ctx, func(tx *Tx) error {
		pos, err := One(tx, Value[int64], `SELECT pos FROM stream_head WHERE id = 1`)
		if err == nil {
			tx.AfterCommit(func() { d.writer.head.Store(pos) })
		}
		return err
	})
}

func (d *DB) copyBefore(ctx context.Context, version int64) error {
	if d.engine != SQLite {
		return nil // PostgreSQL rolls back schema changes; backups are the operator's
	}
	c, err := d.readers.get(ctx)
	if err != nil {
		return err
	}
	defer d.readers.put(c)
	var file string
	err = c.query(`SELECT file FROM pragma_database_list WHERE name = 'main'`, nil, func(scan func([]any) error) (bool, error) {
		return false, scan([]any{&file})
	})
	if err != nil {
		return err
	}
	target := fmt.Sprintf("%s.before-%d", file, version)
	if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
		return err
	}
	_, err = c.exec(`VACUUM INTO $1`, []any{target})
	return err
}

func runScript(tx *Tx, script string) error {
	for _, stmt := range statements(script, tx.engine) {
		if _, err := tx.ExecN(stmt); err != nil {
			return err
		}
	}
	return nil
}

// statements splits a script and keeps what is meant for engine.
func statements(script string, engine Engine) []string {
	other := "-- postgres:"
	if engine == Postgres {
		other = "-- sqlite:"
	}
	var out []string
	var cur strings.Builder
	for lines := bufio.NewScanner(strings.NewReader(script)); lines.Scan(); {
		line := lines.Text()
		if strings.HasSuffix(line, other) {
			continue
		}
		line, _, _ = strings.Cut(line, "--")
		line = strings.TrimRight(line, " \t")
		if line == "" {
			continue
		}
		if engine == SQLite {
			// Only this spelling makes the column the table's own key.
			line = strings.ReplaceAll(line, "BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY")
		}
		end, last := strings.CutSuffix(line, ";")
		cur.WriteString(end)
		cur.WriteByte('\n')
		if last {
			out = append(out, cur.String())
			cur.Reset()
		}
	}
	return out
}
