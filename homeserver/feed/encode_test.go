package feed_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
)

const (
	alice = "@alice:test"
	bob   = "@bob:test"
)

type noNames struct{}

func (noNames) Profile(context.Context, string) (string, string, error) { return "", "", nil }

func roomEngine(d *db.DB) *room.Engine {
	hub := notify.NewHub(d.Position())
	d.OnCommit(hub.Advance)
	return room.New(room.Config{
		DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: noNames{},
	})
}

func newRoom(t testing.TB, e *room.Engine, req room.CreateRequest) *room.Room {
	t.Helper()
	r, err := e.Create(context.Background(), alice, req)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func send(t testing.TB, e *room.Engine, r *room.Room, d room.Draft) *room.Event {
	t.Helper()
	if d.Content == nil {
		d.Content = []byte(`{}`)
	}
	ev, err := e.Send(context.Background(), r.ID, d)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// shown is an event as a client reads it.
type shown struct {
	Type     string `json:"type"`
	EventID  string `json:"event_id"`
	Unsigned struct {
		Age           *int64            `json:"age"`
		Membership    string            `json:"membership"`
		TxnID         string            `json:"transaction_id"`
		PrevContent   map[string]string `json:"prev_content"`
		PrevSender    string            `json:"prev_sender"`
		ReplacesState string            `json:"replaces_state"`
		Because       *shown            `json:"redacted_because"`
	} `json:"unsigned"`
}

func show(t *testing.T, e *room.Engine, r *room.Room, user, device string, events ...*room.Event) []shown {
	t.Helper()
	v, err := e.Viewer(t.Context(), r, user)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := feed.NewEncoder(e, user, device).AppendArray(t.Context(), nil, r, v, events)
	if err != nil {
		t.Fatal(err)
	}
	var out []shown
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return out
}

// What stands beside an event depends on who looks.
func TestUnsigned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := roomEngine(d)
		r := newRoom(t, e, room.CreateRequest{Preset: "public_chat"})
		key := ""
		first := send(t, e, r, room.Draft{Sender: alice, Type: "m.room.name", StateKey: &key, Content: []byte(`{"name":"Kitchen"}`)})
		second := send(t, e, r, room.Draft{Sender: alice, Type: "m.room.name", StateKey: &key, Content: []byte(`{"name":"Cellar"}`), Device: "PHONE", TxnID: `t"1`})
		if err := e.Join(t.Context(), bob, r.ID, room.JoinRequest{}); err != nil {
			t.Fatal(err)
		}

		got := show(t, e, r, alice, "PHONE", first, second)
		if u := got[0].Unsigned; u.ReplacesState != "" || u.PrevContent != nil || u.Membership != "join" || u.Age == nil || *u.Age < 0 {
			t.Errorf("a first name has %+v", u)
		}
		if u := got[1].Unsigned; u.ReplacesState != first.ID || u.PrevContent["name"] != "Kitchen" || u.PrevSender != alice || u.TxnID != `t"1` {
			t.Errorf("a second name has %+v", u)
		}
		if u := show(t, e, r, alice, "LAPTOP", second)[0].Unsigned; u.TxnID != "" {
			t.Error("another device of the sender is told the transaction id")
		}
		if u := show(t, e, r, bob, "PHONE", second)[0].Unsigned; u.TxnID != "" || u.Membership != "leave" {
			t.Errorf("bob, who joined later, is told %+v", u)
		}

		send(t, e, r, room.Draft{Sender: alice, Type: "m.room.redaction", Redacts: first.ID, Content: []byte(`{"redacts":"` + first.ID + `"}`)})
		gone, err := e.EventByID(t.Context(), first.ID)
		if err != nil {
			t.Fatal(err)
		}
		got = show(t, e, r, alice, "PHONE", gone, second)
		if b := got[0].Unsigned.Because; b == nil || b.Type != "m.room.redaction" || b.Unsigned.Age == nil {
			t.Errorf("redacted_because = %+v", b)
		}
		if u := got[1].Unsigned; len(u.PrevContent) != 0 || u.ReplacesState != first.ID {
			t.Errorf("what was redacted still shows as prev_content: %+v", u)
		}
	})
}

// Of state that a person may not see, only that it was there is told.
func TestHiddenPrevContent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := roomEngine(d)
		r := newRoom(t, e, room.CreateRequest{Preset: "public_chat", InitialState: []room.InitialState{
			{Type: "m.room.history_visibility", Content: []byte(`{"history_visibility":"joined"}`)},
		}})
		key := ""
		first := send(t, e, r, room.Draft{Sender: alice, Type: "m.room.name", StateKey: &key, Content: []byte(`{"name":"Secret"}`)})
		if err := e.Join(t.Context(), bob, r.ID, room.JoinRequest{}); err != nil {
			t.Fatal(err)
		}
		second := send(t, e, r, room.Draft{Sender: alice, Type: "m.room.name", StateKey: &key, Content: []byte(`{"name":"Open"}`)})
		if u := show(t, e, r, bob, "", second)[0].Unsigned; u.PrevContent != nil || u.ReplacesState != first.ID {
			t.Errorf("bob is told %+v", u)
		}
		if u := show(t, e, r, alice, "", second)[0].Unsigned; u.PrevContent["name"] != "Secret" {
			t.Errorf("alice is told %+v", u)
		}
	})
}

func TestStrippedState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := roomEngine(d)
		r := newRoom(t, e, room.CreateRequest{Name: "Kitchen", Topic: "Food", Invite: []string{bob}, InitialState: []room.InitialState{
			{Type: "org.example.secret", Content: []byte(`{"code":"1234"}`)},
		}})
		raw, err := feed.StrippedState(t.Context(), e, r, r.Current().State, bob)
		if err != nil {
			t.Fatal(err)
		}
		var got []map[string]any
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		var types []string
		for _, ev := range got {
			if len(ev) != 4 {
				t.Errorf("a stripped event has more than four fields: %v", ev)
			}
			types = append(types, ev["type"].(string))
		}
		if s := strings.Join(types, " "); s != "m.room.create m.room.join_rules m.room.name m.room.topic m.room.member m.room.member" {
			t.Errorf("bob is shown %s", s)
		}
	})
}

func BenchmarkAppendMessage(b *testing.B) {
	d := storetest.Open(b, dbtest.SQLite(b))
	e := roomEngine(d)
	r := newRoom(b, e, room.CreateRequest{})
	ev := send(b, e, r, room.Draft{Sender: alice, Type: "m.room.message", Content: []byte(`{"body":"Tea at five?","msgtype":"m.text"}`)})
	v, err := e.Viewer(context.Background(), r, alice)
	if err != nil {
		b.Fatal(err)
	}
	x, page := feed.NewEncoder(e, alice, "PHONE"), []*room.Event{ev}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		if dst, err = x.AppendArray(context.Background(), dst[:0], r, v, page); err != nil {
			b.Fatal(err)
		}
	}
}
