package appservice_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/account"
	"hearth/homeserver/appservice"
	"hearth/homeserver/directory"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/presence"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/homeserver/typing"
	"hearth/matrix/mxerr"
)

const (
	alice = "@alice:test"
	bob   = "@bob:test"
	carol = "@irc_carol:test"
	dave  = "@irc_dave:test"
)

type names struct{}

func (names) Profile(context.Context, string) (string, string, error) { return "Somebody", "", nil }

// house is a server with a bridge.
type house struct {
	testing.TB
	db       *db.DB
	hub      *notify.Hub
	rooms    *room.Engine
	receipts *receipt.Engine
	keys     *e2ee.Engine
	engine   *appservice.Engine
	bridge   *bridge
	file     string
	patience time.Duration
}

func each(t *testing.T, more string, f func(h *house)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		h := &house{TB: t, db: d, hub: notify.NewHub(d.Position()), bridge: newBridge(t)}
		d.OnCommit(h.hub.Advance)
		h.file = write(t, fmt.Sprintf(`id: irc
url: %s
as_token: a
hs_token: h
sender_localpart: ircbot
namespaces:
  users: [{exclusive: true, regex: '@irc_.*'}]
%s`, h.bridge.URL, more))
		h.start()
		defer func() { h.engine.Stop() }()
		f(h)
	})
}

func write(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "irc.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// start makes the engines, as after a restart.
func (h *house) start() {
	h.Helper()
	list, err := appservice.Load([]string{h.file}, "test", nil)
	if err != nil {
		h.Fatal(err)
	}
	h.keys = e2ee.New(e2ee.Config{
		DB: h.db, Hub: h.hub, Server: "test",
		Copy:    func(tx *db.Tx, mail []store.DeviceMessage) error { return h.engine.Copy(tx, mail) },
		Claimed: func(user, device string) { h.engine.Claimed(user, device) },
	})
	nothing := func(*db.Tx, string, string) error { return nil }
	accounts := account.New(h.db, account.Options{ServerName: "test", DeviceRemoved: nothing, DeviceRenamed: nothing})
	h.rooms = room.New(room.Config{
		DB: h.db, Hub: h.hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: names{},
	})
	h.receipts = receipt.New(h.db, h.rooms, h.hub)
	h.engine = appservice.New(appservice.Config{
		DB: h.db, Server: "test", Registrations: list, Accounts: accounts, Rooms: h.rooms,
		Directory: directory.New(directory.Config{DB: h.db, Rooms: h.rooms, Server: "test"}),
		Typing:    typing.New(h.rooms, h.hub), Receipts: h.receipts,
		Presence: presence.New(presence.Config{DB: h.db, Rooms: h.rooms, Hub: h.hub}), Keys: h.keys, AskTimeout: h.patience,
	})
	h.engine.Start(h.Context())
}

func (h *house) restart() {
	h.engine.Stop()
	h.start()
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) room() *room.Room {
	h.Helper()
	r, err := h.rooms.Create(h.Context(), alice, room.CreateRequest{Preset: "public_chat", Name: "Kitchen"})
	h.ok(err)
	return r
}

func (h *house) join(r *room.Room, users ...string) {
	h.Helper()
	for _, user := range users {
		h.ok(h.rooms.Join(h.Context(), user, r.ID, room.JoinRequest{}))
	}
}

func (h *house) say(r *room.Room, text string) string {
	h.Helper()
	body, _ := json.Marshal(map[string]any{"msgtype": "m.text", "body": text})
	ev, err := h.rooms.Send(h.Context(), r.ID, room.Draft{Sender: alice, Type: "m.room.message", Content: body})
	h.ok(err)
	return ev.ID
}

// write stores messages to a device, as package e2ee does.
func (h *house) write(messages ...store.DeviceMessage) {
	h.Helper()
	h.ok(h.db.Write(h.Context(), func(tx *db.Tx) error {
		list := slices.Clone(messages)
		for i := range list {
			list[i].Pos = tx.NextPos()
		}
		return h.engine.Copy(tx, list)
	}))
}

// bridge is an application service that writes down what it is told.
type bridge struct {
	*httptest.Server
	mu     sync.Mutex
	status int           // what it answers, 0 for 200
	body   string        // with this
	old    bool          // knows the paths of old only
	stuck  chan struct{} // answers when it is closed; nil for at once
	all    []told        // attempts
	news   chan struct{}
}

type told struct {
	path, token string
	raw         []byte
	took        bool
	transaction
}

type event struct {
	Type, Sender string
	Content      struct{ Body, Membership string }
	Unsigned     struct {
		Prev struct{ Membership string } `json:"prev_content"`
		Room []json.RawMessage           `json:"invite_room_state"`
	}
}

type transaction struct {
	Events    []event
	Ephemeral []json.RawMessage
	ToDevice  []struct {
		User    string `json:"to_user_id"`
		Content struct{ N int }
	} `json:"to_device"`
	Lists struct {
		Changed, Left []string
	} `json:"device_lists"`
	Counts map[string]map[string]map[string]int `json:"device_one_time_keys_count"`
}

func newBridge(t testing.TB) *bridge {
	b := &bridge{news: make(chan struct{}, 10_000)}
	b.Server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.Close)
	return b
}

func (b *bridge) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	stuck := b.stuck
	b.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	now := told{path: r.URL.Path, token: r.URL.Query().Get("access_token"), raw: raw}
	_ = json.Unmarshal(raw, &now.transaction)
	status := max(b.status, 200)
	if b.old && strings.HasPrefix(r.URL.Path, "/_matrix/") {
		status = 404
	}
	now.took = status == 200 && strings.Contains(r.URL.Path, "/transactions/")
	b.all = append(b.all, now)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.body + "{}"))
	b.news <- struct{}{}
}

func (b *bridge) answer(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = status
}

// wait waits until f is true of all that the bridge was asked.
func (b *bridge) wait(t testing.TB, what string, f func(all []told) bool) []told {
	t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		b.mu.Lock()
		all := slices.Clone(b.all)
		b.mu.Unlock()
		if f(all) {
			return all
		}
		select {
		case <-b.news:
		case <-timeout:
			t.Fatalf("the bridge was never told %s; but %s", what, b.said(all))
		}
	}
}

func (b *bridge) said(all []told) (out []string) {
	for _, t := range all {
		for _, ev := range t.Events {
			if t.took && ev.Type == "m.room.message" {
				out = append(out, ev.Content.Body)
			}
		}
	}
	return out
}

func (b *bridge) waitSaid(t testing.TB, want ...string) {
	t.Helper()
	all := b.wait(t, fmt.Sprint(want), func(all []told) bool { return len(b.said(all)) >= len(want) })
	if got := b.said(all); !slices.Equal(got, want) {
		t.Errorf("the bridge heard %q, want %q", got, want)
	}
}

// TestTransactionsStayTheSame: what a bridge has not taken it is told again to the
// byte, whatever happens in between, for it may have worked on it already
// (application-service-api/#pushing-events).
func TestTransactionsStayTheSame(t *testing.T) {
	each(t, "receive_ephemeral: true", func(h *house) {
		r := h.room()
		h.join(r, carol)
		h.bridge.wait(h, "of carol", func(all []told) bool { return len(all) > 0 && all[len(all)-1].took })
		h.bridge.answer(500)
		id := h.say(r, "one")
		first := h.bridge.wait(h, "one", func(all []told) bool { return bytes.Contains(all[len(all)-1].raw, []byte(`"one"`)) })
		h.ok(h.receipts.Set(h.Context(), r, alice, receipt.Read, "", id))
		h.ok(h.rooms.Leave(h.Context(), carol, r.ID, ""))
		h.say(r, "nobody hears this")
		h.join(r, dave)
		h.say(r, "two")
		h.restart()
		h.bridge.answer(0)
		all := h.bridge.wait(h, "two", func(all []told) bool { return slices.Contains(h.bridge.said(all), "two") })
		h.bridge.waitSaid(h, "one", "two")
		numbers := map[string]bool{}
		for _, again := range all[len(first)-1:] {
			if again.path == first[len(first)-1].path && !bytes.Equal(again.raw, first[len(first)-1].raw) {
				h.Errorf("%s was %s and became %s", again.path, first[len(first)-1].raw, again.raw)
			}
			if again.took && numbers[again.path] {
				h.Errorf("%s was taken twice", again.path)
			}
			numbers[again.path] = numbers[again.path] || again.took
		}
	})
}

// TestAwayWhileItsUsersCameAndWent: a bridge hears of what was said while its users
// were there, no matter when it hears of it.
func TestAwayWhileItsUsersCameAndWent(t *testing.T) {
	each(t, "", func(h *house) {
		r := h.room()
		h.bridge.answer(502)
		h.join(r, dave)
		h.ok(h.rooms.Leave(h.Context(), dave, r.ID, ""))
		h.say(r, "before carol")
		h.join(r, carol, bob)
		h.say(r, "carol is there")
		h.join(r, dave)
		h.ok(h.rooms.Leave(h.Context(), carol, r.ID, ""))
		h.say(r, "dave is there")
		h.ok(h.rooms.Leave(h.Context(), dave, r.ID, ""))
		h.say(r, "nobody is there")
		h.restart() // with nothing known of the room
		h.bridge.answer(0)
		h.bridge.wait(h, "that dave left", func(all []told) bool {
			gone := 0
			for _, one := range all {
				for _, ev := range one.Events {
					if one.took && ev.Sender == dave && ev.Content.Membership == "leave" {
						gone++
					}
				}
			}
			return gone == 2
		})
		h.bridge.waitSaid(h, "carol is there", "dave is there")
	})
}

// TestInvitedHearNothing: before its user has joined, a bridge hears of the invite
// and nothing else of a room.
func TestInvitedHearNothing(t *testing.T) {
	each(t, "", func(h *house) {
		r := h.room()
		h.ok(h.rooms.Invite(h.Context(), alice, r.ID, carol, ""))
		h.say(r, "carol is not here yet")
		h.ok(h.rooms.Kick(h.Context(), alice, r.ID, carol, "changed my mind"))
		all := h.bridge.wait(h, "of the kick", func(all []told) bool {
			return bytes.Contains(bytes.Join(raws(all), nil), []byte("changed my mind"))
		})
		h.bridge.waitSaid(h)
		var events int
		for _, one := range all {
			for _, ev := range one.Events {
				switch events++; ev.Content.Membership {
				case "invite":
					if len(ev.Unsigned.Room) < 3 {
						h.Errorf("the invite says nothing of the room: %s", one.raw)
					}
				case "leave":
					if ev.Unsigned.Prev.Membership != "invite" {
						h.Errorf("the kick does not say what carol was: %s", one.raw)
					}
				}
			}
		}
		if events != 2 {
			h.Errorf("%d events", events)
		}
	})
}

func raws(all []told) (out [][]byte) {
	for _, one := range all {
		out = append(out, one.raw)
	}
	return out
}

// TestBridgeOfOld: a bridge that does not know paths with versions is told by
// those it knows.
func TestBridgeOfOld(t *testing.T) {
	each(t, "", func(h *house) {
		h.bridge.mu.Lock()
		h.bridge.old, h.bridge.body = true, "<html>404 "
		h.bridge.mu.Unlock()
		r := h.room()
		h.join(r, carol)
		h.say(r, "one")
		h.bridge.waitSaid(h, "one")
		h.say(r, "two")
		h.bridge.waitSaid(h, "one", "two")
		fresh := 0
		h.bridge.wait(h, "by old paths", func(all []told) bool {
			fresh = 0
			for _, one := range all {
				if strings.HasPrefix(one.path, "/_matrix/") {
					fresh++
				} else if !strings.HasPrefix(one.path, "/transactions/") || one.token != "h" {
					h.Errorf("%s with %q", one.path, one.token)
				}
			}
			return true
		})
		if fresh != 1 {
			h.Errorf("the new path was tried %d times", fresh)
		}
	})
}

// TestPrivateReceipts: a bridge hears of private receipts of its own users only
// (application-service-api/#pushing-ephemeral-data).
func TestPrivateReceipts(t *testing.T) {
	each(t, "receive_ephemeral: true", func(h *house) {
		r := h.room()
		h.join(r, carol)
		id := h.say(r, "one")
		h.ok(h.receipts.Set(h.Context(), r, alice, receipt.Private, "", id))
		h.ok(h.receipts.Set(h.Context(), r, carol, receipt.Private, "", id))
		all := h.bridge.wait(h, "of carol's receipt", func(all []told) bool {
			return bytes.Contains(bytes.Join(raws(all), nil), []byte("m.read.private"))
		})
		for _, one := range all {
			for _, ev := range one.Ephemeral {
				if bytes.Contains(ev, []byte(alice)) {
					h.Errorf("the bridge is told %s", ev)
				}
			}
		}
	})
}

// TestMailWhileAway: messages to devices wait for a bridge in their order, the
// newest of them if they are too many.
func TestMailWhileAway(t *testing.T) {
	const kept, sent = 20_000, 20_400
	each(t, "receive_ephemeral: true", func(h *house) {
		h.bridge.answer(502)
		var list []store.DeviceMessage
		for i := range sent {
			list = append(list, store.DeviceMessage{User: carol, Device: "D", Message: fmt.Appendf(nil, `{"content":{"n":%d},"sender":"@alice:test","type":"t"}`, i)})
		}
		h.engine.Stop() // so that nothing is on its way
		for some := range slices.Chunk(list, 1000) {
			h.write(some...)
		}
		h.bridge.answer(0)
		h.start()
		var got []int
		h.bridge.wait(h, "the last message", func(all []told) bool {
			got = got[:0]
			for _, one := range all {
				if len(one.ToDevice) > 200 {
					h.Fatalf("a transaction has %d messages", len(one.ToDevice))
				}
				for _, m := range one.ToDevice {
					got = append(got, m.Content.N)
				}
			}
			return len(got) > 0 && got[len(got)-1] == sent-1
		})
		if len(got) < kept || len(got) > kept+500 || !slices.IsSorted(got) || got[0] != sent-len(got) {
			h.Errorf("%d messages, the first is %d", len(got), got[0])
		}
		var left []store.DeviceMessage
		h.ok(h.db.Read(h.Context(), func(tx *db.Tx) (err error) {
			left, err = store.AppserviceMail(tx, "irc", 1<<60, 10)
			return err
		}))
		if len(left) != 0 {
			h.Errorf("%d messages are kept after they arrived", len(left))
		}
	})
}

// TestKeysAreTold: a bridge that encrypts hears when somebody has taken a key of its
// device, who is new to its rooms, and with whom it has nothing to do any more
// (MSC3202).
func TestKeysAreTold(t *testing.T) {
	each(t, "receive_ephemeral: true\norg.matrix.msc3202: true", func(h *house) {
		h.ok(h.db.Write(h.Context(), func(tx *db.Tx) error {
			_, err := store.AddDevice(tx, store.Device{User: carol, ID: "D"})
			return err
		}))
		h.ok(h.keys.Upload(h.Context(), carol, "D", e2ee.Upload{OneTimeKeys: map[string]json.RawMessage{
			"curve25519:AAA": json.RawMessage(`"a"`), "curve25519:AAB": json.RawMessage(`"b"`),
		}}))
		if _, err := h.keys.Claim(h.Context(), map[string]map[string]string{carol: {"D": "curve25519"}}); err != nil {
			h.Fatal(err)
		}
		h.bridge.wait(h, "that a key is gone", func(all []told) bool {
			return slices.ContainsFunc(all, func(one told) bool { return one.Counts[carol]["D"]["curve25519"] == 1 })
		})
		r := h.room()
		h.join(r, carol, bob)
		h.bridge.wait(h, "of bob", func(all []told) bool {
			return slices.ContainsFunc(all, func(one told) bool { return slices.Contains(one.Lists.Changed, bob) })
		})
		h.ok(h.rooms.Leave(h.Context(), bob, r.ID, ""))
		h.bridge.wait(h, "that bob is gone", func(all []told) bool {
			return slices.ContainsFunc(all, func(one told) bool { return slices.Contains(one.Lists.Left, bob) })
		})
	})
}

// TestPingOfWhoDoesNotAnswer: a service is told why it cannot be reached
// (client-server-api/#post_matrixclientv1appserviceappserviceidping).
func TestPingOfWhoDoesNotAnswer(t *testing.T) {
	each(t, "", func(h *house) {
		h.patience = 50 * time.Millisecond
		h.restart()
		if _, err := h.engine.ByID("irc").Ping(h.Context(), "x"); err != nil {
			h.Error(err)
		}
		stuck := make(chan struct{})
		h.bridge.mu.Lock()
		h.bridge.stuck = stuck
		h.bridge.mu.Unlock()
		_, err := h.engine.ByID("irc").Ping(h.Context(), "x")
		if e := mxerr.From(err); e.Code != "M_CONNECTION_TIMEOUT" || e.HTTPStatus() != 504 {
			h.Errorf("a bridge that is stuck: %v", err)
		}
		close(stuck)
		h.engine.Stop()
		h.file = write(h, "id: irc\nurl: null\nas_token: a\nhs_token: h\nsender_localpart: ircbot\nnamespaces: {}\n")
		h.start()
		_, err = h.engine.ByID("irc").Ping(h.Context(), "x")
		if e := mxerr.From(err); e.Code != "M_URL_NOT_SET" || e.HTTPStatus() != 400 {
			h.Errorf("a service that is told nothing: %v", err)
		}
	})
}

// TestStrangersDoNotDrownABridge: as many questions as there may be are asked of a
// bridge at a time. Who comes then finds nothing.
func TestStrangersDoNotDrownABridge(t *testing.T) {
	const most = 64
	each(t, "  aliases: [{exclusive: true, regex: '#irc_.*'}]\n", func(h *house) {
		stuck := make(chan struct{})
		h.bridge.mu.Lock()
		h.bridge.stuck = stuck
		h.bridge.mu.Unlock()
		found := make(chan bool, 3*most)
		for i := range 3 * most {
			go func() { found <- h.engine.WantAlias(h.Context(), "", fmt.Sprintf("#irc_%d:test", i)) }()
		}
		for range 2 * most {
			if <-found {
				h.Error("a question was answered")
			}
		}
		close(stuck)
		for range most {
			if !<-found {
				h.Error("a question was not answered")
			}
		}
	})
}

// TestLargeMail: messages to devices come in transactions of a size that bridges
// take, none lost.
func TestLargeMail(t *testing.T) {
	each(t, "receive_ephemeral: true", func(h *house) {
		const sent, size = 60, 100 << 10
		h.engine.Stop()
		var list []store.DeviceMessage
		for i := range sent {
			list = append(list, store.DeviceMessage{User: carol, Device: "D", Message: fmt.Appendf(nil, `{"content":{"n":%d,"x":%q},"sender":"@alice:test","type":"t"}`, i, strings.Repeat("x", size))})
		}
		h.write(list...)
		h.start()
		var got []int
		h.bridge.wait(h, "the last message", func(all []told) bool {
			got = got[:0]
			for _, one := range all {
				if n := len(one.ToDevice); n > 2<<20/size+1 {
					h.Fatalf("a transaction has %d messages of 100 kB", n)
				}
				for _, m := range one.ToDevice {
					got = append(got, m.Content.N)
				}
			}
			return len(got) > 0 && got[len(got)-1] == sent-1
		})
		if len(got) != sent || !slices.IsSorted(got) {
			h.Errorf("got %v", got)
		}
	})
}
