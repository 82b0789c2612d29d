// Package dbtest gives tests a fresh, empty database of each engine.
package dbtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/base/db"

	"github.com/jackc/pgx/v5"
)

// PostgresEnv names the variable with the URL of a PostgreSQL server on which
// tests may create databases. `go run ./dev test` sets it.
const PostgresEnv = "HEARTH_TEST_POSTGRES"

// Each runs f once per engine, as a subtest, with the source of an empty
// database.
func Each(t *testing.T, f func(t *testing.T, source string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t)) })
}

// SQLite returns the path of a database file that does not exist yet.
func SQLite(t testing.TB) string {
	return filepath.Join(t.TempDir(), "hearth.db")
}

// Postgres creates a database and returns its URL. It skips the test if there
// is no server to use.
func Postgres(t testing.TB) string {
	server := os.Getenv(PostgresEnv)
	if server == "" {
		t.Skipf("%s is not set: no PostgreSQL server to test with (go run ./dev test starts one)", PostgresEnv)
	}
	name := "hearth_test_" + strings.ToLower(rand.Text())
	admin(t, server, `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`)
	t.Cleanup(func() { drop(t, server, name) })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// HangUp ends all connections to a database that Postgres made, as a restart of the
// server does.
func HangUp(t testing.TB, source string) {
	admin(t, source, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
}

// Drop removes a database that Postgres made, whoever is connected to it.
func Drop(t testing.TB, source string) {
	u, err := url.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	drop(t, os.Getenv(PostgresEnv), strings.TrimPrefix(u.Path, "/"))
}

func drop(t testing.TB, server, name string) {
	admin(t, server, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`)
}

func admin(t testing.TB, server, stmt string) {
	ctx := context.Background() // t.Context is over when clean-up runs
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("%s: %v", PostgresEnv, err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, stmt); err != nil {
		t.Fatal(err)
	}
}

// Open opens source and closes it with the test.
func Open(t testing.TB, source string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), db.Options{Source: source})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}
