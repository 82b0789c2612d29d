package feed_test

import (
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/feed"
	"hearth/homeserver/personal"
	"hearth/homeserver/push"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/homeserver/typing"
)

// world is the engines that a feed shows.
type world struct {
	t     *testing.T
	rooms *room.Engine
	feed  *feed.Feed
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) { f(t, newWorld(t, d)) })
}

func newWorld(t *testing.T, d *db.DB) *world {
	hub := notify.NewHub(d.Position())
	d.OnCommit(hub.Advance)
	rooms := room.New(room.Config{DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: noNames{}})
	receipts, data := receipt.New(d, rooms, hub), personal.New(d, hub)
	types := typing.New(rooms, hub)
	t.Cleanup(types.Stop)
	return &world{t: t, rooms: rooms, feed: feed.New(feed.Config{
		DB: d, Rooms: rooms, Hub: hub, Keys: e2ee.New(e2ee.Config{DB: d, Hub: hub, Server: "test"}), Receipts: receipts, Personal: data, Typing: types,
		Push: push.New(push.Config{DB: d, Rooms: rooms, Receipts: receipts, Personal: data}),
	})}
}

func (w *world) create(user string, req room.CreateRequest) *room.Room {
	w.t.Helper()
	r, err := w.rooms.Create(w.t.Context(), user, req)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) join(user string, r *room.Room) {
	w.t.Helper()
	if err := w.rooms.Join(w.t.Context(), user, r.ID, room.JoinRequest{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) say(user string, r *room.Room, text, device, txn string) {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"msgtype": "m.text", "body": text})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.rooms.Send(w.t.Context(), r.ID, room.Draft{Sender: user, Type: "m.room.message", Content: body, Device: device, TxnID: txn}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) set(user string, r *room.Room, typ, key, content string) {
	w.t.Helper()
	if _, err := w.rooms.Send(w.t.Context(), r.ID, room.Draft{Sender: user, Type: typ, StateKey: &key, Content: json.RawMessage(content)}); err != nil {
		w.t.Fatal(err)
	}
}
