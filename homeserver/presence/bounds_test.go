package presence

import (
	"container/list"
	"fmt"
	"testing"
	"time"

	"hearth/base/notify"
)

// Users who are gone are forgotten when there are many; who is there stays.
func TestMemoryIsBounded(t *testing.T) {
	e := &Engine{
		Config: Config{Hub: notify.NewHub(0)}, users: map[string]*user{}, recent: list.New(),
		awake: map[string]bool{}, tell: map[string]bool{}, dirty: map[string]bool{}, telling: make(chan struct{}, 1),
	}
	here := e.userLocked("@here:test", nil)
	here.syncing, here.activeAt = 1, time.Now()
	e.updateLocked(here)
	for i := range maxKept + 500 {
		e.userLocked(fmt.Sprintf("@user%d:test", i), nil)
	}
	if n := len(e.users); n > maxKept+1 || n != e.recent.Len() {
		t.Errorf("%d users in memory", n)
	}
	if e.users["@here:test"] != here {
		t.Error("who is there was forgotten")
	}
}
