package room_test

import (
	"testing"

	"hearth/base/db/dbtest"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
)

// copyRoom builds the room anew on an empty database from its events.
func copyRoom(t *testing.T, r *room.Room, events []*room.Event) *room.Engine {
	t.Helper()
	e := newEngine(storetest.Open(t, dbtest.SQLite(t)))
	if err := e.Import(t.Context(), r.ID, r.Version, events[0].Event); err != nil {
		t.Fatal(err)
	}
	for _, ev := range events[1:] {
		got, err := e.Receive(t.Context(), r.ID, ev.Event)
		if err != nil {
			t.Fatal(err)
		}
		if got.Flags != 0 {
			t.Fatalf("%s was refused: %v", ev.Type, got.Flags)
		}
	}
	return e
}
