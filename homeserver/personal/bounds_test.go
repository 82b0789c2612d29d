package personal

import (
	"fmt"
	"testing"

	"hearth/base/notify"
	"hearth/base/store"
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
