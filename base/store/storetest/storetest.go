// Package storetest opens a migrated store on each engine, for tests.
package storetest

import (
	"context"
	"testing"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/store"
)

// Each runs f once per engine, as a subtest.
func Each(t *testing.T, f func(t *testing.T, d *db.DB)) {
	dbtest.Each(t, func(t *testing.T, source string) { f(t, Open(t, source)) })
}

// Open opens source, which a dbtest function made, and closes it with the test.
func Open(t testing.TB, source string) *db.DB {
	t.Helper()
	d, err := store.Open(context.Background(), db.Options{Source: source})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}
