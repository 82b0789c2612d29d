package personal

import (
	"fmt"
	"strings"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/matrix/mxerr"
)

// More users have data than are kept in memory: who is forgotten is never
// taken for somebody without news.
func TestMemoryIsBounded(t *testing.T) {
	e := &Engine{hub: notify.NewHub(0), latest: map[string]int64{}}
	last := map[string]int64{}
	for pos := int64(1); pos < 3*maxCached; pos++ {
		user := fmt.Sprint(pos * 7 % (2 * maxCached))
		e.publish(store.AccountData{User: user, Type: "m.x", Pos: pos})
		last[user] = pos
		if len(e.latest) > maxCached {
			t.Fatalf("%d users in memory", len(e.latest))
		}
	}
	for user, pos := range last {
		if got := e.LastPos(user); got < pos {
			t.Fatalf("%s has nothing after %d, but the last entry is at %d", user, got, pos)
		}
	}
}

// TestEntriesAreBounded: who has as much account data as fits can still change
// it.
func TestEntriesAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range maxEntries {
				a := store.AccountData{User: "@alice:test", Type: fmt.Sprint("m.", i), Pos: tx.NextPos(), Content: []byte(`{}`)}
				if err := store.SetAccountData(tx, a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		e := New(d, notify.NewHub(d.Position()))
		set := func(user, typ string) error { return e.Put(t.Context(), user, 0, typ, []byte(`{"a":1}`)) }
		if err := set("@alice:test", "m.more"); err == nil || mxerr.From(err).Code != mxerr.TooLarge {
			t.Errorf("one more than fit: %v", err)
		}
		if err := set("@alice:test", "m.7"); err != nil {
			t.Errorf("another value for one that is there: %v", err)
		}
		if err := set("@bob:test", "m.more"); err != nil {
			t.Errorf("somebody else: %v", err)
		}
	})
}

// TestListsInMemory: whose ignored people and filters are forgotten when there are
// many finds them all the same.
func TestListsInMemory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := New(d, notify.NewHub(d.Position()))
		if err := e.Put(t.Context(), "@alice:test", 0, TypeIgnored, []byte(`{"ignored_users":{"@bob:test":{}}}`)); err != nil {
			t.Fatal(err)
		}
		id, err := e.AddFilter(t.Context(), "@alice:test", []byte(`{"room":{"timeline":{"limit":7}}}`))
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(maxCached) {
			e.ignored[fmt.Sprint(i)] = nil
			e.filters[filterKey{"@others:test", i}] = &Filter{}
		}
		for range 2 {
			if set, err := e.Ignored(t.Context(), "@alice:test"); err != nil || !set["@bob:test"] || len(e.ignored) != 1 {
				t.Errorf("she ignores %v, %d lists in memory, %v", set, len(e.ignored), err)
			}
			if f, err := e.Filter(t.Context(), "@alice:test", id); err != nil || f.Room.Timeline.LimitOr(1, 10) != 7 || len(e.filters) != 1 {
				t.Errorf("her filter is %+v, %d filters in memory, %v", f, len(e.filters), err)
			}
		}
	})
}

// TestTagsAreBounded: a room has as many tags as fit, and one that goes makes room.
func TestTagsAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := New(d, notify.NewHub(d.Position()))
		large := fmt.Appendf(nil, `{"x":%q}`, strings.Repeat("x", maxContent/2))
		if err := e.SetTag(t.Context(), "@alice:test", 1, "u.first", large); err != nil {
			t.Fatal(err)
		}
		if err := e.SetTag(t.Context(), "@alice:test", 1, "u.second", large); err == nil || mxerr.From(err).Code != mxerr.TooLarge {
			t.Errorf("one more than fits: %v", err)
		}
		if err := e.DeleteTag(t.Context(), "@alice:test", 1, "u.first"); err != nil {
			t.Error(err)
		}
		if err := e.SetTag(t.Context(), "@alice:test", 1, "u.second", large); err != nil {
			t.Error(err)
		}
	})
}
