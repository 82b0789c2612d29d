package typing

import (
	"testing"
	"time"

	"hearth/base/notify"
)

// Rooms in which somebody typed once are forgotten, but not that they changed.
func TestMemoryIsBounded(t *testing.T) {
	e := &Engine{hub: notify.NewHub(0), byRoom: map[int64]*typers{}}
	t.Cleanup(e.Stop)
	e.add(1, "@long:test", time.Hour)
	for room := int64(2); room < 3*maxQuiet; room++ {
		e.add(room, "@a:test", time.Hour)
		e.end(room, "@a:test", nil)
		if len(e.byRoom) > maxQuiet {
			t.Fatalf("%d rooms in memory", len(e.byRoom))
		}
	}
	if users, _ := e.Since(1, 0); len(users) != 1 {
		t.Error("who still types was forgotten")
	}
	if users, changed := e.Since(2, 3); len(users) != 0 || !changed {
		t.Errorf("of a forgotten room is known: %v, changed %v", users, changed)
	}
}
