package store_test

import (
	"fmt"
	"strings"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
)

// crowd is so many users, with names, devices and times of arrival.
func crowd(t *testing.T, d *db.DB, n int) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		const people = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `
		for _, query := range []string{
			`INSERT INTO users (usr, created, password, admin, guest, kind, deactivated, erased, parting)
				SELECT '@u' || CAST(1000000 + i AS TEXT) || ':example.test', 5000000 - i / 2, '', 1 = 0, 1 = 0, '', 1 = 0, 1 = 0, 1 = 0 FROM n`,
			`INSERT INTO profiles (usr, field, value) SELECT '@u' || CAST(1000000 + i AS TEXT) || ':example.test', 'displayname', '"Somebody"' FROM n`,
			`INSERT INTO devices (usr, device, name, created, last_seen, ip) SELECT '@u' || CAST(1000000 + i AS TEXT) || ':example.test', 'D', '', 1, i, '' FROM n`,
		} {
			at := strings.Index(query, "SELECT")
			if err := tx.Exec(fmt.Sprintf(query[:at]+people, n) + query[at:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPagesOfUsersNeedNoScan: a page far behind the start is read from an index,
// by the plans that the databases themselves tell.
func TestPagesOfUsersNeedNoScan(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		crowd(t, d, 100_000)
		if d.Engine() == db.Postgres {
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return tx.Exec(`ANALYZE users`) }); err != nil {
				t.Fatal(err)
			}
		}
		no := false
		for _, f := range []store.UserFilter{
			{},
			{Descending: true},
			{OrderBy: "creation_ts"},
			{OrderBy: "creation_ts", Descending: true},
			{Deactivated: &no, Locked: &no, Guest: &no},
		} {
			f.Limit = 100
			f.Behind = &store.UserPlace{ID: "@u1050000:example.test", Created: 4_975_000}
			query, args := store.UsersQuery(f)
			explain := "EXPLAIN "
			if d.Engine() == db.SQLite {
				explain = "EXPLAIN QUERY PLAN "
			}
			plan := planOf(t, d, explain+query, args)
			want := "Index Scan "
			if d.Engine() == db.SQLite {
				want = "SEARCH u USING INDEX "
			}
			if !strings.Contains(plan, want) || strings.Contains(plan, "Seq Scan on users") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%+v does not go by an index:\n%s", f, plan)
			}
		}
	})
}

// planOf returns how a database would answer a query.
func planOf(t *testing.T, d *db.DB, query string, args []any) string {
	t.Helper()
	var b strings.Builder
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		if d.Engine() == db.Postgres {
			lines, err := db.All(tx, db.Value[string], query, args...)
			b.WriteString(strings.Join(lines, "\n"))
			return err
		}
		type step struct {
			id, parent, unused int64
			detail             string
		}
		steps, err := db.All(tx, func(s *step) []any { return []any{&s.id, &s.parent, &s.unused, &s.detail} }, query, args...)
		for _, s := range steps {
			b.WriteString(s.detail + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
