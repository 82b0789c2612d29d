package relation_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/relation"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

const alice = "@alice:test"

// nobody has a display name.
type nobody struct{}

func (nobody) Profile(context.Context, string) (string, string, error) { return "", "", nil }

// world is a room of alice's with what its events say of each other.
type world struct {
	t     *testing.T
	rooms *room.Engine
	room  *room.Room
	read  *relation.Reader
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		hub := notify.NewHub(d.Position())
		d.OnCommit(hub.Advance)
		e := room.New(room.Config{DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: nobody{}})
		r, err := e.Create(t.Context(), alice, room.CreateRequest{Preset: "public_chat"})
		if err != nil {
			t.Fatal(err)
		}
		f(t, &world{t, e, r, &relation.Reader{Rooms: e, Room: r, User: alice}})
	})
}

func (w *world) send(typ, relType, parent, key, device string) (*room.Event, error) {
	content := map[string]any{"body": key}
	if relType != "" {
		content["m.relates_to"] = map[string]string{"rel_type": relType, "event_id": parent, "key": key}
	}
	raw, _ := json.Marshal(content)
	return w.rooms.Send(w.t.Context(), w.room.ID, room.Draft{Sender: alice, Type: typ, Content: raw, Device: device, TxnID: key})
}

func (w *world) say(relType, parent, text string) *room.Event {
	w.t.Helper()
	ev, err := w.send("m.room.message", relType, parent, text, "HOME")
	if err != nil {
		w.t.Fatal(err)
	}
	return ev
}

// Of two equal reactions only one is there, however close they come.
func TestReactAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.say("", "", "root")
		var wg sync.WaitGroup
		var there atomic.Int64
		for i := range 8 {
			wg.Go(func() {
				_, err := w.send("m.reaction", room.RelAnnotation, root.ID, "+1", fmt.Sprint("PHONE", i))
				switch {
				case err == nil:
					there.Add(1)
				case mxerr.From(err).Code != mxerr.DuplicateAnnotation:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := there.Load(); n != 1 {
			t.Errorf("%d of the reactions were taken", n)
		}
		found, err := w.read.Children(t.Context(), relation.Query{Parent: root.ID, From: math.MaxInt64, End: math.MinInt64, Backward: true, Limit: 50})
		if err != nil || len(found.Events) != 1 {
			t.Errorf("%d reactions are there (%v)", len(found.Events), err)
		}
		w.say("", "", "the room lives on")
	})
}

// What is served with an event is bounded, whatever refers to it.
func TestManyReferences(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.say("", "", "root")
		var wg sync.WaitGroup
		for i := range 120 {
			wg.Go(func() {
				if _, err := w.send("m.x", room.RelReference, root.ID, fmt.Sprint(i), "HOME"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		all, err := w.read.Bundles(t.Context(), []*room.Event{root})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(all[root.NID].References); n != 100 {
			t.Errorf("%d references are served", n)
		}
	})
}

// A loop of events that belong to each other cannot be made, but what belongs to
// what belongs to … is followed only so far.
func TestDepth(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		at := w.say("", "", "root")
		root := at
		for i := range 5 {
			at = w.say(room.RelReference, at.ID, fmt.Sprint(i))
		}
		found, err := w.read.Children(t.Context(), relation.Query{Parent: root.ID, From: math.MinInt64, End: math.MaxInt64, Limit: 50, Recurse: true})
		if err != nil || len(found.Events) != relation.Depth || found.More {
			t.Errorf("%d events, %t, %v", len(found.Events), found.More, err)
		}
	})
}

// Contents of odd shapes relate to nothing and hurt nobody.
func TestOddRelations(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i, odd := range []string{
			`3`, `{"rel_type":3,"event_id":"$a"}`, `{"rel_type":"m.thread","event_id":["$a"]}`, `{"rel_type":"m.thread","event_id":""}`,
			`{"rel_type":"m.thread","event_id":"x"}`, `{"rel_type":"a\u0000b","event_id":"$a"}`, `{"rel_type":"m.annotation","event_id":"$a","key":"a\u0000b"}`,
			fmt.Sprintf(`{"rel_type":"m.annotation","event_id":"$a","key":%q}`, make([]byte, 20_000)), fmt.Sprintf(`{"rel_type":"x","event_id":"$%0300d"}`, 1),
		} {
			d := room.Draft{Sender: alice, Type: "m.odd", Content: json.RawMessage(`{"m.relates_to":` + odd + `}`), Device: "HOME", TxnID: fmt.Sprint(i)}
			if _, err := w.rooms.Send(t.Context(), w.room.ID, d); err != nil && mxerr.From(err).HTTPStatus() >= 500 {
				t.Errorf("%.60s: %v", odd, err)
			}
		}
	})
}
