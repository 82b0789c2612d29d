package pusher

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/personal"
	"hearth/homeserver/push"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
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

// TestRoomsInMemory: who has pushers in which room is forgotten when there are
// many rooms, and looked up again.
func TestRoomsInMemory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if err := store.SetMember(tx, store.Member{Room: 1, User: "@alice:test", Membership: store.Join}); err != nil {
				return err
			}
			return store.SetPusher(tx, store.Pusher{ID: 1, User: "@alice:test", App: "a", Key: "k", Kind: HTTP, Data: []byte(`{}`)})
		})
		if err != nil {
			t.Fatal(err)
		}
		e := &Engine{Config: Config{DB: d}, inRoom: map[int64][]store.Pusher{}}
		message := store.RawEvent{JSON: []byte(`{"type":"m.room.message"}`)}
		for i := range int64(maxRooms) {
			e.inRoom[i+2] = nil
		}
		for range 2 {
			all, err := e.pushersFor(t.Context(), &room.Room{NID: 1}, message)
			if err != nil || len(all) != 1 || len(e.inRoom) != 1 {
				t.Errorf("%d pushers, %d rooms in memory, %v", len(all), len(e.inRoom), err)
			}
		}
	})
}

type nameless struct{}

func (nameless) Profile(context.Context, string) (string, string, error) { return "", "", nil }

// TestMessageRightAfterJoin: who came in just before a message hears of it, also
// when both are looked at together.
func TestMessageRightAfterJoin(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		hub := notify.NewHub(d.Position())
		rooms := room.New(room.Config{DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: nameless{}})
		receipts, data := receipt.New(d, rooms, hub), personal.New(d, hub)
		e := New(Config{DB: d, Rooms: rooms, Receipts: receipts, Personal: data, Push: push.New(push.Config{DB: d, Rooms: rooms, Receipts: receipts, Personal: data})})
		const alice, bob = "@alice:test", "@bob:test"
		seen := int64(0)
		look := func() []store.Push {
			var events []store.RawEvent
			err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
				events, err = store.EventsFrom(tx, seen, batch)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			seen = events[len(events)-1].NID
			pushes, err := e.decide(t.Context(), events)
			if err != nil {
				t.Fatal(err)
			}
			return pushes
		}
		r, err := rooms.Create(t.Context(), alice, room.CreateRequest{Preset: "public_chat"})
		if err == nil {
			err = d.Write(t.Context(), func(tx *db.Tx) error {
				return store.SetPusher(tx, store.Pusher{ID: tx.NextPos(), User: bob, App: "a", Key: "k", Kind: HTTP, Data: []byte(`{}`)})
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		if pushes := look(); len(pushes) != 0 {
			t.Errorf("%d pushes of a room that bob is not in", len(pushes))
		}
		err = rooms.Join(t.Context(), bob, r.ID, room.JoinRequest{})
		if err == nil {
			_, err = rooms.Send(t.Context(), r.ID, room.Draft{Sender: alice, Type: "m.room.message", Content: []byte(`{"msgtype":"m.text","body":"Welcome"}`)})
		}
		if err != nil {
			t.Fatal(err)
		}
		if pushes := look(); len(pushes) != 1 {
			t.Errorf("%d pushes, want that of the message", len(pushes))
		}
	})
}

// TestBadgesInMemory: so are the numbers of unread messages.
func TestBadgesInMemory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		hub := notify.NewHub(d.Position())
		rooms := room.New(room.Config{DB: d, Hub: hub, Server: "test"})
		receipts, data := receipt.New(d, rooms, hub), personal.New(d, hub)
		e := New(Config{DB: d, Rooms: rooms, Receipts: receipts, Personal: data, Push: push.New(push.Config{DB: d, Rooms: rooms, Receipts: receipts, Personal: data})})
		for i := range maxBadges {
			e.badges[fmt.Sprint(i)] = &badge{}
		}
		if n, err := e.unread(t.Context(), "@alice:test", nil); n != 0 || err != nil || len(e.badges) != 1 {
			t.Errorf("%d unread, %d badges in memory, %v", n, len(e.badges), err)
		}
	})
}
