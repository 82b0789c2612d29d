// Package store holds every table of Hearth and every SQL statement on them,
// as functions on a *db.Tx. It knows no rule of Matrix: who may do what is
// decided by the engines above.
package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"hearth/base/db"
)

//go:embed schema/*.sql
var schema embed.FS

// Migrations are the steps of the schema, one per file in schema/, in the
// order of their numbers.
func Migrations() ([]db.Migration, error) {
	files, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	steps := make([]db.Migration, len(files))
	for i, f := range files {
		text, err := schema.ReadFile(f)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(f, "schema/"), ".sql")
		if want := fmt.Sprintf("%03d_", i+1); !strings.HasPrefix(name, want) {
			return nil, fmt.Errorf("schema step %s should be number %d", f, i+1)
		}
		steps[i] = db.Migration{Name: name, SQL: string(text)}
	}
	return steps, nil
}

// Open opens the database at source and brings its schema up to date.
func Open(ctx context.Context, o db.Options) (*db.DB, error) {
	steps, err := Migrations()
	if err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, steps); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}
