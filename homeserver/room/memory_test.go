package room

import (
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/base/trie"
)

// What is known of state keys is bounded; what was forgotten is looked up again.
func TestStateKeysAreBounded(t *testing.T) {
	k := newStateKeys()
	for i := range int64(maxStateKeys + 1) {
		key := Key{"m.x", fmt.Sprint(i)}
		k.put(key, i)
		k.putAbsent(key, i)
	}
	last := Key{"m.x", fmt.Sprint(maxStateKeys)}
	if len(k.nids) > maxStateKeys || len(k.names) > maxStateKeys || len(k.absent) > maxStateKeys || k.nid(last) != maxStateKeys || !k.isAbsent(last, maxStateKeys) {
		t.Errorf("%d and %d keys, %d absent", len(k.nids), len(k.names), len(k.absent))
	}
	if name, ok := k.name(maxStateKeys); !ok || name != last {
		t.Errorf("the last is called %v", name)
	}
}

// Events and packs of state that were not used for longest make room.
func TestCachesOfRoomsAreBounded(t *testing.T) {
	events := newEventCache(maxEvents)
	for i := range int64(maxEvents + 1) {
		events.put(&Event{NID: i})
		events.get(0)
	}
	if len(events.byNID) != maxEvents || events.order.Len() != maxEvents || events.get(0) == nil || events.get(1) != nil {
		t.Errorf("%d events are in memory", len(events.byNID))
	}

	_, made, err := trie.Apply(nil, trie.Empty, []trie.Entry{{Key: 1, Val: 1}}, func() int64 { return 1 })
	if err != nil {
		t.Fatal(err)
	}
	pack, err := trie.Decode(made[0])
	if err != nil {
		t.Fatal(err)
	}
	packs := newPackCache(10 * pack.Size())
	for i := range int64(11) {
		packs.put(i, pack)
		packs.get(0)
	}
	if len(packs.byID) != 10 || packs.size > packs.max || packs.get(0) == nil || packs.get(1) != nil {
		t.Errorf("%d packs of %d bytes are in memory", len(packs.byID), packs.size)
	}
}

// Of many users it is remembered in which rooms they are, but not of all.
func TestRoomListsAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := New(Config{DB: d, Hub: notify.NewHub(0), Server: "test"})
		users := make([]string, maxRoomLists+1)
		for i := range users {
			users[i] = fmt.Sprintf("@u%d:test", i)
		}
		if _, err := e.joinedRooms(t.Context(), users); err != nil {
			t.Fatal(err)
		}
		if n := len(e.lists.of); n == 0 || n > maxRoomLists {
			t.Errorf("the lists of %d users are in memory", n)
		}
	})
}
