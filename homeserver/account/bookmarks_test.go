package account

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
)

// TestManyUsersAreListed: every user comes once, in pages, and each page but the
// first goes on where the one before has ended, without counting all users again.
// That this costs the same everywhere is seen by TestPagesOfUsersNeedNoScan.
func TestManyUsersAreListed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		const people, limit = 20_000, 100
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range people {
				u := store.User{ID: fmt.Sprintf("@u%06d:example.test", i), Created: int64(1000 + i/3)}
				if _, err := store.InsertUser(tx, u); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		e := New(d, Options{ServerName: "example.test"})
		for _, order := range []string{"name", "creation_ts"} {
			for _, down := range []bool{false, true} {
				seen := map[string]bool{}
				var took []time.Duration
				for from := int64(0); from < people; from += limit {
					f := UserFilter{OrderBy: order, Descending: down, From: from, Limit: limit}
					if mark, counted := e.bookmarks.at(f, e.Now()); from > 0 && (mark.behind == nil || !counted) {
						t.Fatalf("by %s: the page from %d begins at the start", order, from)
					}
					start := time.Now()
					page, total, err := e.Users(t.Context(), f)
					took = append(took, time.Since(start))
					if err != nil || total != people || len(page) != limit {
						t.Fatalf("from %d: %d of %d, %v", from, len(page), total, err)
					}
					for _, u := range page {
						seen[string(u.ID)] = true
					}
				}
				if len(seen) != people {
					t.Errorf("by %s: %d users came", order, len(seen))
				}
				median := func(d []time.Duration) time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }
				t.Logf("by %s: the first pages take %v, the last %v", order, median(took[1:30]), median(took[len(took)-29:]))
			}
		}
		// A page in the middle that nobody has come to in order is the same.
		a, _, err := e.Users(t.Context(), UserFilter{From: 5 * limit, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := New(d, Options{ServerName: "example.test"}).Users(t.Context(), UserFilter{From: 5 * limit, Limit: limit})
		if err != nil || a[0].ID != b[0].ID || a[limit-1].ID != b[limit-1].ID {
			t.Errorf("from the middle: %v, %v", b[0].ID, err)
		}
		for i := range int64(3 * maxBookmarks) {
			if _, _, err := e.Users(t.Context(), UserFilter{From: i, Limit: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(e.bookmarks.marks); n > maxBookmarks || len(e.bookmarks.order) != n {
			t.Errorf("%d bookmarks", n)
		}
	})
}
