package db

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"
)

// Migration is one step of the schema. Steps are applied in order, all that are
// missing in one transaction, and are never changed once released.
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
CREATE TABLE IF NOT EXISTS schema_hash (
	version BIGINT PRIMARY KEY,
	hash TEXT NOT NULL
);
`

// NewerSchemaError means that the database was written by a newer Hearth.
type NewerSchemaError struct{ Have, Known int64 }

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the database has schema version %d, but this Hearth knows versions up to %d: start the newer Hearth again, or restore the backup from before the upgrade", e.Have, e.Known)
}

// OtherSchemaError means that the database was made by a build of Hearth whose
// steps were not those of this one, as happens between two builds before a
// release.
type OtherSchemaError struct {
	Version    int64
	Have, Want string // names of the step that differs
	Unknown    bool   // nobody knows whether it does: it was applied before hashes were kept
}

func (e *OtherSchemaError) Error() string {
	what := e.Have + ".sql is not what it is in this Hearth"
	switch {
	case e.Have != e.Want:
		what = e.Have + ".sql is " + e.Want + ".sql in this Hearth"
	case e.Unknown:
		what = e.Have + ".sql may not be what it is in this Hearth"
	}
	return fmt.Sprintf("the database was made by a different build of Hearth: schema step %d, %s; start the build that made it, or begin with an empty database", e.Version, what)
}

// Migrate brings the schema up to the last of steps. Before it changes an
// SQLite database that holds data, it copies it to <file>.before-<version>. It
// changes nothing in a database whose steps were others.
//
// An empty database gets all its tables in one flight and one commit: there
// are many, and somebody may be waiting for the server.
func (d *DB) Migrate(ctx context.Context, steps []Migration) error {
	var version int
	err := d.Write(ctx, func(tx *Tx) (err error) {
		if err := runScript(tx, base); err != nil {
			return err
		}
		if version, err = d.version(tx, steps); err != nil {
			return err
		}
		if version == 0 {
			return d.apply(tx, steps, 0)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if 0 < version && version < len(steps) {
		if err := d.copyBefore(ctx, len(steps)); err != nil {
			return fmt.Errorf("copy the database before changing it: %w", err)
		}
		if err := d.Write(ctx, func(tx *Tx) error { return d.apply(tx, steps, version) }); err != nil {
			return err
		}
	}
	return d.loadHead(ctx)
}

// version is the number of steps that the database has gone, which must be
// those of this Hearth.
func (d *DB) version(tx *Tx, steps []Migration) (int, error) {
	done, err := All(tx, (*appliedStep).columns, `
		SELECT v.name, COALESCE(h.hash, '')
		FROM schema_version v LEFT JOIN schema_hash h ON h.version = v.version
		ORDER BY v.version`)
	if err != nil {
		return 0, err
	}
	if len(done) > len(steps) {
		return 0, &NewerSchemaError{Have: int64(len(done)), Known: int64(len(steps))}
	}
	for i, was := range done {
		if was.Hash != d.hash(steps[i]) {
			return 0, &OtherSchemaError{Version: int64(i) + 1, Have: was.Name, Want: steps[i].Name, Unknown: was.Hash == ""}
		}
	}
	return len(done), nil
}

// appliedStep is a step that the database has gone.
type appliedStep struct {
	Name string
	Hash string // "" if a build applied it that kept none
}

func (s *appliedStep) columns() []any { return []any{&s.Name, &s.Hash} }

// apply runs the steps behind version.
func (d *DB) apply(tx *Tx, steps []Migration, version int) error {
	var script []string
	for _, step := range steps[version:] {
		script = append(script, statements(step.SQL, d.engine)...)
	}
	if err := tx.conn.script(script); err != nil {
		return fmt.Errorf("schema steps %d to %d: %w", version+1, len(steps), err)
	}
	now := time.Now().UnixMilli()
	for i, step := range steps[version:] {
		number := int64(version + i + 1)
		if err := tx.Exec(`INSERT INTO schema_version (version, name, applied) VALUES ($1, $2, $3)`, number, step.Name, now); err != nil {
			return err
		}
		if err := tx.Exec(`INSERT INTO schema_hash (version, hash) VALUES ($1, $2)`, number, d.hash(step)); err != nil {
			return err
		}
	}
	return nil
}

// hash tells steps apart by what this engine is told, so that comments may be
// mended.
func (d *DB) hash(step Migration) string {
	h := sha256.New()
	for _, stmt := range statements(step.SQL, d.engine) {
		h.Write([]byte(stmt + ";\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
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

func (d *DB) copyBefore(ctx context.Context, version int) error {
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
	if err := ownFile(target); err != nil {
		return err
	}
	_, err = c.exec(`VACUUM INTO $1`, []any{target})
	return err
}

func runScript(tx *Tx, script string) error {
	return tx.conn.script(statements(script, tx.engine))
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
