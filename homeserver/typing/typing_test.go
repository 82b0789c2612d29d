package typing_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
	"hearth/homeserver/typing"
	"hearth/matrix/mxerr"
)

const (
	alice = "@alice:test"
	bob   = "@bob:test"
)

type nobody struct{}

func (nobody) Profile(context.Context, string) (string, string, error) { return "", "", nil }

// house is a server with one room, in which alice and bob are.
type house struct {
	*testing.T
	hub    *notify.Hub
	rooms  *room.Engine
	typing *typing.Engine
	room   *room.Room
}

func newHouse(t *testing.T, d *db.DB) *house {
	h := &house{T: t, hub: notify.NewHub(d.Position())}
	d.OnCommit(h.hub.Advance)
	h.rooms = room.New(room.Config{
		DB: d, Hub: h.hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: nobody{},
	})
	h.typing = typing.New(h.rooms, h.hub)
	t.Cleanup(h.typing.Stop)
	var err error
	if h.room, err = h.rooms.Create(t.Context(), alice, room.CreateRequest{Preset: "public_chat"}); err != nil {
		t.Fatal(err)
	}
	if err := h.rooms.Join(t.Context(), bob, h.room.ID, room.JoinRequest{}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) types(user string, d time.Duration) {
	h.Helper()
	if err := h.typing.Set(h.Context(), h.room, user, d); err != nil {
		h.Fatal(err)
	}
}

// see checks who types, and whether that changed after live; it returns the
// number to go on from.
func (h *house) see(live int64, changed bool, want ...string) int64 {
	h.Helper()
	next := h.hub.Live()
	got, did := h.typing.Since(h.room.NID, live)
	if !slices.Equal(got, want) || did != changed {
		h.Errorf("%v type, changed %v; want %v, %v", got, did, want, changed)
	}
	return next
}

func TestTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, storetest.Open(t, dbtest.SQLite(t)))
		l := h.hub.Listen(bob)
		defer l.Close()
		l.Watch(h.room.NID)
		woken, cancel := l.Wait()
		defer cancel()

		live := h.see(0, false)
		h.types(alice, 10*time.Second)
		<-woken
		live = h.see(live, true, alice)
		live = h.see(live, false, alice)

		time.Sleep(6 * time.Second)
		h.types(alice, 10*time.Second) // she goes on: nothing new for the others
		h.types(bob, time.Hour)
		<-woken
		live = h.see(live, true, alice, bob)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		live = h.see(live, false, alice, bob)
		time.Sleep(2 * time.Second)
		<-woken
		live = h.see(live, true, bob)

		time.Sleep(2 * time.Minute) // longer than any client may ask for
		<-woken
		live = h.see(live, true)

		h.types(alice, time.Minute)
		<-woken
		h.types(alice, 0)
		<-woken
		live = h.see(live, true)
		h.types(alice, 0)
		h.see(live, false)
	})
}

func TestWhoIsNotInTheRoomDoesNotType(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		err := h.typing.Set(t.Context(), h.room, "@carol:test", time.Minute)
		if mxerr.From(err).Code != mxerr.Forbidden {
			t.Errorf("carol: %v", err)
		}
		h.types(bob, time.Minute)
		if err := h.rooms.Leave(t.Context(), bob, h.room.ID, ""); err != nil {
			t.Fatal(err)
		}
		h.see(0, true) // who has left has stopped
	})
}

func TestManyTypersAreBounded(t *testing.T) {
	h := newHouse(t, storetest.Open(t, dbtest.SQLite(t)))
	for i := range 150 {
		user := fmt.Sprintf("@user%d:test", i)
		if err := h.rooms.Join(t.Context(), user, h.room.ID, room.JoinRequest{}); err != nil {
			t.Fatal(err)
		}
		h.types(user, time.Minute)
	}
	if users, _ := h.typing.Since(h.room.NID, 0); len(users) != 100 {
		t.Errorf("%d people are shown typing", len(users))
	}
	h.typing.Stop()
	if users, _ := h.typing.Since(h.room.NID, 0); len(users) != 0 {
		t.Errorf("%d people type after the end", len(users))
	}
}
