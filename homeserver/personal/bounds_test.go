package personal

import (
	"fmt"
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
