package room_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
)

// names gives every user a display name without an account.
type names map[string]string

func (n names) Profile(_ context.Context, user string) (string, string, error) {
	return n[user], "", nil
}

const (
	alice = "@alice:test"
	bob   = "@bob:test"
	carol = "@carol:test"
)

// each runs f against an engine on each database.
func each(t *testing.T, f func(t *testing.T, e *room.Engine)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) { f(t, newEngine(d)) })
}

func newEngine(d *db.DB) *room.Engine {
	hub := notify.NewHub(d.Position())
	d.OnCommit(hub.Advance)
	return room.New(room.Config{
		DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)),
		Profiles: names{alice: "Alice"},
	})
}

func create(t *testing.T, e *room.Engine, req room.CreateRequest) *room.Room {
	t.Helper()
	r, err := e.Create(t.Context(), alice, req)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func say(t *testing.T, e *room.Engine, r *room.Room, who, text string) *room.Event {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"msgtype": "m.text", "body": text})
	ev, err := e.Send(t.Context(), r.ID, room.Draft{Sender: who, Type: "m.room.message", Content: body})
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func join(t *testing.T, e *room.Engine, r *room.Room, who string) {
	t.Helper()
	if err := e.Join(t.Context(), who, r.ID, room.JoinRequest{}); err != nil {
		t.Fatal(err)
	}
}
