package pusher

import (
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
)

// TestQueuesAreBounded: for a phone that was away for long the newest
// notifications wait.
func TestQueuesAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		var left []store.Push
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if err := store.SetPusher(tx, store.Pusher{ID: 1, User: "@alice:test", App: "a", Key: "k", Kind: HTTP, Data: []byte(`{}`)}); err != nil {
				return err
			}
			for i := range int64(maxQueue + 50) {
				if err := store.AddPush(tx, store.Push{Pusher: 1, Event: i + 1, Tweaks: []byte{}}); err != nil {
					return err
				}
			}
			if err := store.TrimPushes(tx, 1, maxQueue); err != nil {
				return err
			}
			var err error
			left, err = store.Pushes(tx, 1, 10*maxQueue)
			return err
		})
		if err != nil || len(left) != maxQueue || left[0].Event != 51 {
			t.Errorf("%d wait, %v", len(left), err)
		}
	})
}

// TestMemoryIsBounded: of who has read something where, and who has no pushers.
func TestMemoryIsBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := &Engine{Config: Config{DB: d}, wake: make(chan struct{}, 1), users: map[string]int{}, reads: map[userRoom]struct{}{}}
		e.total.Store(1)
		for i := range maxBadges + 100 {
			e.noteRead(store.Receipt{User: "@alice:test", Room: int64(i)})
			if i < maxBadges-5 {
				e.users[fmt.Sprint(i)] = 0
			}
		}
		for i := range 20 {
			if some, err := e.hasPushers(t.Context(), fmt.Sprintf("@u%d:test", i)); some || err != nil {
				t.Fatal(some, err)
			}
		}
		if len(e.reads) > maxBadges || len(e.users) > maxBadges {
			t.Errorf("%d reads and %d users are in memory", len(e.reads), len(e.users))
		}
	})
}
