package sticky_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"math"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
	"hearth/homeserver/sticky"
)

type noNames struct{}

func (noNames) Profile(context.Context, string) (string, string, error) { return "", "", nil }

type world struct {
	t     *testing.T
	db    *db.DB
	rooms *room.Engine
	*sticky.Engine
}

func newWorld(t *testing.T, d *db.DB) *world {
	hub := notify.NewHub(d.Position())
	d.OnCommit(hub.Advance)
	rooms := room.New(room.Config{DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: noNames{}})
	return &world{t: t, db: d, rooms: rooms, Engine: sticky.New(sticky.Config{DB: d, Rooms: rooms})}
}

func (w *world) create(user string) *room.Room {
	w.t.Helper()
	r, err := w.rooms.Create(w.t.Context(), user, room.CreateRequest{Preset: "public_chat"})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) stick(user string, r *room.Room, d time.Duration) *room.Event {
	w.t.Helper()
	ev, err := w.rooms.Send(w.t.Context(), r.ID, room.Draft{Sender: user, Type: "m.rtc.member", Content: json.RawMessage(`{}`), Sticky: d.Milliseconds()})
	if err != nil {
		w.t.Fatal(err)
	}
	return ev
}

func (w *world) in(r *room.Room) []store.StickyEvent {
	w.t.Helper()
	list, err := w.In(w.t.Context(), r.NID, 0, math.MaxInt64)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// stored is what the database still has.
func (w *world) stored() (all []store.StickyEvent) {
	w.t.Helper()
	if err := w.db.Read(w.t.Context(), func(tx *db.Tx) (err error) {
		all, err = store.StickyEvents(tx, 0)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// TestOldestStickyEventsGiveWay: nobody makes a room show more than its bounds.
func TestOldestStickyEventsGiveWay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		r := w.create("@alice:test")
		if err := w.rooms.Join(t.Context(), "@bob:test", r.ID, room.JoinRequest{}); err != nil {
			t.Fatal(err)
		}
		bobs := w.stick("@bob:test", r, time.Hour)
		var second *room.Event
		for i := range room.MaxStickyOfUser + 1 {
			if ev := w.stick("@alice:test", r, time.Hour); i == 1 {
				second = ev
			}
		}
		want := func(where string, list []store.StickyEvent) {
			t.Helper()
			if n := len(list); n != room.MaxStickyOfUser+1 || list[0].NID != bobs.NID || list[1].NID != second.NID {
				t.Errorf("%s there are %d, from %+v", where, n, list[:min(n, 2)])
			}
		}
		want("in memory", w.in(r))
		want("in the store", w.stored())
		want("after a restart", newWorld(t, d).in(r))
	})
}

// TestARoomIsBounded: though each sender keeps within their own bound.
func TestARoomIsBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		hour := time.Now().Add(time.Hour).UnixMilli()
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range 7 {
				s := store.StickyEvent{NID: int64(i + 1), Room: 1, User: string(rune('a' + i%4)), Until: hour}
				if err := store.InsertStickyEvent(tx, s, 5, 2); err != nil {
					return err
				}
			}
			return store.InsertStickyEvent(tx, store.StickyEvent{NID: 8, Room: 2, User: "a", Until: hour}, 5, 2)
		})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, d)
		var got []int64
		for _, s := range w.stored() {
			got = append(got, s.NID)
		}
		if len(got) != 6 || got[0] != 3 || got[5] != 8 {
			t.Errorf("left are %v, want 3 to 8", got)
		}
	})
}

func TestStickyEventsEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		r := w.create("@alice:test")
		w.stick("@alice:test", r, time.Second)
		stays := w.stick("@alice:test", r, time.Hour)
		if n := len(w.in(r)); n != 2 {
			t.Fatalf("%d events are sticky, want 2", n)
		}
		tick := time.Tick(5 * time.Millisecond)
		for len(w.in(r)) == 2 { // until the second is over
			<-tick
		}
		if got := w.in(r); len(got) != 1 || got[0].NID != stays.NID {
			t.Errorf("left is %+v", got)
		}
		w.Start(t.Context())
		defer w.Stop()
		for len(w.stored()) == 2 { // until it is forgotten
			<-tick
		}
	})
}

// TestPurgedRoomsHaveNone.
func TestPurgedRoomsHaveNone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		r := w.create("@alice:test")
		w.stick("@alice:test", r, time.Hour)
		if err := w.rooms.Purge(t.Context(), r.ID, r.NID); err != nil {
			t.Fatal(err)
		}
		if n, m := len(w.in(r)), len(w.stored()); n != 0 || m != 0 {
			t.Errorf("%d and %d are left", n, m)
		}
	})
}
