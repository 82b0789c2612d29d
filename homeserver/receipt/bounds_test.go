package receipt

import (
	"testing"

	"hearth/base/store"
)

// More rooms get receipts than are kept in memory: what is forgotten is looked
// up in the store, never taken for nothing.
func TestMemoryIsBounded(t *testing.T) {
	e := &Engine{latest: map[int64]*recent{}, floor: 10}
	last := map[int64]int64{}
	for pos := int64(11); pos < 11+3*maxRooms; pos++ {
		room := pos * 7 % (2 * maxRooms)
		e.remember(store.Receipt{Room: room, Kind: Read, User: "@a:test", Pos: pos})
		last[room] = pos
		if len(e.latest) > maxRooms {
			t.Fatalf("%d rooms in memory", len(e.latest))
		}
	}
	for room, pos := range last {
		if got := e.LastPos(room); got < pos {
			t.Fatalf("room %d has nothing after %d, but its last receipt is at %d", room, got, pos)
		}
		rows, known := e.atHand(room, pos-1, pos, "@b:test")
		if known && (len(rows) != 1 || rows[0].Pos != pos) {
			t.Fatalf("room %d is said to have %v", room, rows)
		}
	}
	for range 10 * maxRecent {
		last[1]++
		e.remember(store.Receipt{Room: 1, Kind: Read, User: "@a:test", Pos: 100_000 + last[1]})
	}
	if n := len(e.latest[1].list); n > maxRecent {
		t.Errorf("%d receipts of a room in memory", n)
	}
}
