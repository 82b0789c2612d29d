package receipt_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

const (
	alice = "@alice:test"
	bob   = "@bob:test"
	carol = "@carol:test"
)

type nobody struct{}

func (nobody) Profile(context.Context, string) (string, string, error) { return "", "", nil }

// house is a server with one room, in which alice and bob are.
type house struct {
	*testing.T
	db       *db.DB
	hub      *notify.Hub
	rooms    *room.Engine
	receipts *receipt.Engine
	room     *room.Room
}

func each(t *testing.T, f func(h *house)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		h := &house{T: t, db: d, hub: notify.NewHub(d.Position())}
		d.OnCommit(h.hub.Advance)
		h.start()
		var err error
		if h.room, err = h.rooms.Create(t.Context(), alice, room.CreateRequest{Preset: "public_chat"}); err != nil {
			t.Fatal(err)
		}
		if err := h.rooms.Join(t.Context(), bob, h.room.ID, room.JoinRequest{}); err != nil {
			t.Fatal(err)
		}
		f(h)
	})
}

// start makes the engines, as after a restart.
func (h *house) start() {
	h.rooms = room.New(room.Config{
		DB: h.db, Hub: h.hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: nobody{},
	})
	h.receipts = receipt.New(h.db, h.rooms, h.hub)
}

func (h *house) say(text string) string { return h.send(`{"body":"` + text + `"}`) }

func (h *house) send(content string) string {
	h.Helper()
	ev, err := h.rooms.Send(h.Context(), h.room.ID, room.Draft{Sender: alice, Type: "m.room.message", Content: json.RawMessage(content)})
	if err != nil {
		h.Fatal(err)
	}
	return ev.ID
}

func (h *house) reply(rel, to string) string {
	h.Helper()
	content, err := json.Marshal(map[string]any{"m.relates_to": map[string]string{"rel_type": rel, "event_id": to}})
	if err != nil {
		h.Fatal(err)
	}
	return h.send(string(content))
}

func (h *house) read(user, kind, thread, event string) {
	h.Helper()
	if err := h.receipts.Set(h.Context(), h.room, user, kind, thread, event); err != nil {
		h.Fatal(err)
	}
}

// since lists "user kind thread event" of the receipts that user sees.
func (h *house) since(after int64, user string) []string {
	h.Helper()
	rows, err := h.receipts.Since(h.Context(), h.room.NID, after, h.hub.Pos(), user)
	if err != nil {
		h.Fatal(err)
	}
	return describe(rows)
}

func describe(rows []store.Receipt) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%s %s %q %s", r.User, r.Kind, r.Thread, r.EventID))
	}
	return out
}

func (h *house) want(got []string, want ...string) {
	h.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Errorf("receipts are\n%v, want\n%v", got, want)
	}
}

func TestReceipts(t *testing.T) {
	each(t, func(h *house) {
		one, two := h.say("one"), h.say("two")
		start := h.hub.Pos()
		if last := h.receipts.LastPos(h.room.NID); last > start {
			h.Errorf("a room without receipts has one at %d", last)
		}
		h.read(bob, receipt.Read, "", one)
		h.read(alice, receipt.Private, "", two)
		first, private := bob+` m.read "" `+one, alice+` m.read.private "" `+two
		h.want(h.since(start, alice), first, private)
		h.want(h.since(start, bob), first) // alice's is nobody else's business

		middle := h.hub.Pos()
		if last := h.receipts.LastPos(h.room.NID); last != middle {
			h.Errorf("last position %d, want %d", last, middle)
		}
		h.read(bob, receipt.Read, "", two)
		h.read(bob, receipt.Read, "", one) // a client that lags behind takes nothing back
		second := bob + ` m.read "" ` + two
		h.want(h.since(middle, carol), second)
		h.want(h.since(start, alice), private, second)

		h.start() // the store says the same
		h.want(h.since(start, alice), private, second)
		h.want(h.since(start, bob), second)
		if last := h.receipts.LastPos(h.room.NID); last < h.hub.Pos()-1 {
			h.Errorf("after a restart the last position is %d, below what is stored", last)
		}
		own, err := h.receipts.Own(h.Context(), bob, h.room.NID)
		h.want(describe(own), second)
		all, err2 := h.receipts.All(h.Context(), h.room.NID, h.hub.Pos(), bob)
		h.want(describe(all), second)
		if err != nil || err2 != nil {
			h.Error(err, err2)
		}
	})
}

// More receipts than are kept at hand arrive: memory and store agree.
func TestManyReceipts(t *testing.T) {
	each(t, func(h *house) {
		start := h.hub.Pos()
		var last string
		for i := range 100 {
			last = h.say(fmt.Sprint(i))
			h.read(bob, receipt.Read, "", last)
		}
		h.read(alice, receipt.Read, "main", last)
		want := []string{bob + ` m.read "" ` + last, alice + ` m.read "main" ` + last}
		h.want(h.since(start, carol), want...)
		h.want(h.since(h.hub.Pos()-4, carol), want...)
		h.want(h.since(h.hub.Pos(), carol))
	})
}

func TestThreads(t *testing.T) {
	each(t, func(h *house) {
		root := h.say("root")
		inside := h.reply("m.thread", root)
		reaction := h.reply("m.annotation", inside)
		onReaction := h.reply("m.reference", reaction)
		tooFar := h.reply("m.reference", h.reply("m.reference", onReaction))
		onRoot := h.reply("m.annotation", root)
		for _, tc := range []struct {
			name, event, thread string
			ok                  bool
		}{
			{"in the thread", inside, root, true},
			{"a reaction in the thread", reaction, root, true},
			{"two hops away", onReaction, root, true},
			{"more hops than are followed", tooFar, receipt.Main, true},
			{"the root itself", root, root, true},
			{"the root in the main timeline", root, receipt.Main, true},
			{"a reaction to the root", onRoot, receipt.Main, true},
			{"no thread", inside, "", true},
			{"a thread event in the main timeline", inside, receipt.Main, false},
			{"a reaction to the root in the thread", onRoot, root, false},
			{"an event that is no root", inside, reaction, false},
			{"nonsense", inside, "nonsense", false},
			{"a root that is no event id", h.reply("m.thread", "a\x00b"), receipt.Main, true},
			{"a root that nobody knows", h.reply("m.thread", "$unknown"), "$unknown", true},
		} {
			err := h.receipts.Set(h.Context(), h.room, bob, receipt.Read, tc.thread, tc.event)
			if tc.ok && err != nil || !tc.ok && mxerr.From(err).Code != mxerr.InvalidParam {
				h.Errorf("%s: %v", tc.name, err)
			}
		}
	})
}

func TestReceiptsThatAreRefused(t *testing.T) {
	each(t, func(h *house) {
		one := h.say("one")
		other, err := h.rooms.Create(h.Context(), bob, room.CreateRequest{})
		if err != nil {
			h.Fatal(err)
		}
		for _, tc := range []struct {
			name              string
			room              *room.Room
			user, kind, event string
			want              mxerr.Code
		}{
			{"a stranger", h.room, carol, receipt.Read, one, mxerr.Forbidden},
			{"an unknown kind", h.room, bob, "m.seen", one, mxerr.InvalidParam},
			{"an event of another room", other, bob, receipt.Read, one, mxerr.NotFound},
			{"an event that is not there", h.room, bob, receipt.Read, "$nothing", mxerr.NotFound},
			{"no event id", h.room, bob, receipt.Read, "one", mxerr.InvalidParam},
			{"no text", h.room, bob, receipt.Read, "$\xff", mxerr.InvalidParam},
		} {
			err := h.receipts.Set(h.Context(), tc.room, tc.user, tc.kind, "", tc.event)
			if mxerr.From(err).Code != tc.want {
				h.Errorf("%s: %v, want %s", tc.name, err, tc.want)
			}
		}
	})
}

// A public receipt wakes the room, a private one only its owner.
func TestWhoIsWoken(t *testing.T) {
	each(t, func(h *house) {
		one := h.say("one")
		l := h.hub.Listen(alice)
		defer l.Close()
		l.Watch(h.room.NID)
		woken, cancel := l.Wait()
		defer cancel()
		h.read(bob, receipt.Private, "", one)
		select {
		case <-woken:
			h.Error("alice was woken by bob's private receipt")
		default:
		}
		h.read(bob, receipt.Read, "", one)
		<-woken
		h.read(alice, receipt.Private, "", one)
		<-woken
	})
}
