package sticky

import (
	"fmt"
	"testing"

	"hearth/base/store"
	"hearth/homeserver/room"
)

// TestMemoryIsBounded: of what many say at once the newest stays, of each person
// and of all.
func TestMemoryIsBounded(t *testing.T) {
	e := &Engine{rooms: map[int64][]store.StickyEvent{}}
	nid := int64(0)
	for i := range room.MaxSticky/room.MaxStickyOfUser + 1 {
		for range room.MaxStickyOfUser + 1 {
			nid++
			e.addLocked(store.StickyEvent{NID: nid, Room: 1, User: fmt.Sprint(i)})
		}
	}
	list, of := e.rooms[1], map[string]int{}
	for _, s := range list {
		of[s.User]++
	}
	if len(list) != room.MaxSticky || of["0"] != 0 || of["1"] != room.MaxStickyOfUser || list[len(list)-1].NID != nid {
		t.Errorf("%d events, %d and %d of the first, up to %d of %d", len(list), of["0"], of["1"], list[len(list)-1].NID, nid)
	}
}
