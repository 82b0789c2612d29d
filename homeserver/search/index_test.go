package search

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
)

type nobody struct{}

func (nobody) Profile(context.Context, string) (string, string, error) { return "", "", nil }

// chat is a room with somebody who talks.
func chat(t *testing.T, d *db.DB) (r *room.Room, say func(typ, content, redacts string) string) {
	t.Helper()
	hub := notify.NewHub(d.Position())
	d.OnCommit(hub.Advance)
	e := room.New(room.Config{DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: nobody{}})
	r, err := e.Create(t.Context(), "@alice:test", room.CreateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return r, func(typ, content, redacts string) string {
		t.Helper()
		ev, err := e.Send(t.Context(), r.ID, room.Draft{Sender: "@alice:test", Type: typ, Content: json.RawMessage(content), Redacts: redacts})
		if err != nil {
			t.Fatal(err)
		}
		return ev.ID
	}
}

func found(t *testing.T, e *Engine, r *room.Room, word string) int {
	t.Helper()
	hits, _, err := e.Find(t.Context(), Query{Words: []string{word}, Kinds: []int64{store.SearchBody}, Rooms: []int64{r.NID}, Upto: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	return len(hits)
}

// The index goes on where it was when the server is started anew, and forgets
// what was redacted.
func TestIndexAcrossRestarts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		r, say := chat(t, d)
		for i := range batch + 10 { // more than one step
			say("m.room.message", fmt.Sprintf(`{"body":"tea %d"}`, i), "")
		}
		secret := say("m.room.message", `{"body":"secret"}`, "")
		catchUp := func() *Engine {
			e := New(Config{DB: d})
			if err := e.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			return e
		}
		if n := found(t, catchUp(), r, "tea"); n != batch+10 {
			t.Errorf("%d messages are found", n)
		}
		say("m.room.message", `{"body":"more tea"}`, "")
		if n := found(t, catchUp(), r, "tea"); n != batch+11 {
			t.Errorf("after a restart %d messages are found", n)
		}
		e := catchUp()
		if n := found(t, e, r, "secret"); n != 1 {
			t.Errorf("the secret is found %d times", n)
		}
		say("m.room.redaction", `{}`, secret)
		if err := e.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := found(t, e, r, "secret"); n != 0 {
			t.Errorf("the redacted secret is found %d times", n)
		}
		// No search looks at more than it may.
		for i := range maxHits {
			say("m.room.message", fmt.Sprintf(`{"body":"tea again %d"}`, i), "")
		}
		if n := found(t, catchUp(), r, "tea"); n != maxHits {
			t.Errorf("a search looks at %d hits", n)
		}
	})
}

// Events come into the index on their own.
func TestIndexInTheBackground(t *testing.T) {
	d := storetest.Open(t, dbtest.SQLite(t))
	r, say := chat(t, d)
	say("m.room.message", `{"body":"tea"}`, "")
	e := New(Config{DB: d})
	e.Start(t.Context())
	for deadline := time.Now().Add(10 * time.Second); found(t, e, r, "tea") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the message did not come into the index")
		}
	}
	e.Stop()
	e.Stop()
}
