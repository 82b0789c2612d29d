package push_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/personal"
	"hearth/homeserver/push"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/matrix/pushrule"
)

const (
	alice = "@alice:test"
	bob   = "@bob:test"
	carol = "@carol:test"
)

type names struct{}

func (names) Profile(_ context.Context, user string) (string, string, error) {
	return "The " + user[1:4], "", nil
}

// house is a server with one room, in which alice, bob and carol are. bob
// counts.
type house struct {
	testing.TB
	db       *db.DB
	hub      *notify.Hub
	rooms    *room.Engine
	receipts *receipt.Engine
	data     *personal.Engine
	push     *push.Counter
	room     *room.Room
}

func each(t *testing.T, f func(h *house)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) { f(newHouse(t, d)) })
}

func newHouse(t testing.TB, d *db.DB) *house {
	h := &house{TB: t, db: d, hub: notify.NewHub(d.Position())}
	d.OnCommit(h.hub.Advance)
	h.start()
	var err error
	if h.room, err = h.rooms.Create(t.Context(), alice, room.CreateRequest{Preset: "public_chat"}); err != nil {
		t.Fatal(err)
	}
	h.join(bob)
	h.join(carol)
	return h
}

// start makes the engines, as after a restart.
func (h *house) start() {
	h.rooms = room.New(room.Config{
		DB: h.db, Hub: h.hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: names{},
	})
	h.receipts = receipt.New(h.db, h.rooms, h.hub)
	h.data = personal.New(h.db, h.hub)
	h.push = push.New(push.Config{DB: h.db, Rooms: h.rooms, Receipts: h.receipts, Personal: h.data})
	if h.room != nil {
		var err error
		if h.room, err = h.rooms.Room(h.Context(), h.room.ID); err != nil {
			h.Fatal(err)
		}
	}
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) join(user string) {
	h.Helper()
	h.must(h.rooms.Join(h.Context(), user, h.room.ID, room.JoinRequest{}))
}

func (h *house) send(user, typ, content string) string {
	h.Helper()
	ev, err := h.rooms.Send(h.Context(), h.room.ID, room.Draft{Sender: user, Type: typ, Content: json.RawMessage(content)})
	h.must(err)
	return ev.ID
}

func (h *house) say(user, text string) string {
	h.Helper()
	return h.send(user, "m.room.message", fmt.Sprintf(`{"msgtype":"m.text","body":%q}`, text))
}

func (h *house) inThread(user, root string) string {
	h.Helper()
	return h.send(user, "m.room.message", fmt.Sprintf(`{"msgtype":"m.text","body":"x","m.relates_to":{"rel_type":"m.thread","event_id":%q}}`, root))
}

// mention mentions bob.
func (h *house) mention() string {
	h.Helper()
	return h.send(alice, "m.room.message", `{"msgtype":"m.text","body":"bob!","m.mentions":{"user_ids":["@bob:test"]}}`)
}

func (h *house) read(user, kind, thread, event string) {
	h.Helper()
	h.must(h.receipts.Set(h.Context(), h.room, user, kind, thread, event))
}

// counts checks bob's counts, written "notify/highlight", and " thread:n/h" of
// the threads named.
func (h *house) counts(want string, threads ...string) {
	h.Helper()
	h.countsOf(bob, want, threads...)
}

func (h *house) countsOf(user, want string, threads ...string) {
	h.Helper()
	c, err := h.push.Counts(h.Context(), h.room, user, h.hub.Pos())
	h.must(err)
	got := fmt.Sprintf("%d/%d", c.Notify, c.Highlight)
	for _, root := range threads {
		got += fmt.Sprintf(" %d/%d", c.Threads[root].Notify, c.Threads[root].Highlight)
	}
	if got != want {
		h.Errorf("%s has %s unread, want %s", user, got, want)
	}
	if len(threads) > 0 && len(c.Threads) > len(threads) {
		h.Errorf("there are %d threads with unread events, want %d", len(c.Threads), len(threads))
	}
}

func TestUnread(t *testing.T) {
	each(t, func(h *house) {
		h.counts("0/0") // nothing happened since bob came
		one := h.say(alice, "one")
		h.counts("1/0")
		h.counts("1/0")
		two := h.mention()
		h.say(carol, "three")
		h.send(alice, "m.reaction", fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.annotation","event_id":%q,"key":"x"}}`, one))
		h.counts("3/1")
		h.read(bob, receipt.Read, "", one)
		h.counts("2/1")
		h.read(bob, receipt.Private, "", two)
		h.counts("1/0")
		h.read(bob, receipt.Read, "", two) // behind the private one
		h.counts("1/0")
		four := h.say(alice, "four")
		h.read(bob, receipt.Read, "main", four)
		h.counts("0/0")
		h.say(alice, "five")
		h.read(alice, receipt.Read, "", four) // of no use to bob
		h.counts("1/0")
		h.say(bob, "I am here") // who writes has read
		h.counts("0/0")
		h.countsOf(carol, "3/0") // since she wrote
		h.countsOf(alice, "1/0")
	})
}

func TestUnreadThreads(t *testing.T) {
	each(t, func(h *house) {
		root := h.say(alice, "root")
		other := h.say(alice, "other root")
		first := h.inThread(alice, root)
		h.inThread(carol, root)
		last := h.inThread(alice, other)
		h.counts("2/0 2/0 1/0", root, other)
		c, err := h.push.Counts(h.Context(), h.room, bob, h.hub.Pos())
		if sum := c.Total(); err != nil || sum.Notify != 5 {
			h.Errorf("the room has %+v unread, %v", sum, err)
		}
		h.read(bob, receipt.Read, root, first)
		h.counts("2/0 1/0 1/0", root, other)
		if c.Threads[root].Notify != 2 {
			h.Error("counts that were handed out have changed")
		}
		h.read(bob, receipt.Read, receipt.Main, other)
		h.counts("0/0 1/0 1/0", root, other)
		h.inThread(bob, root)
		h.counts("0/0 0/0 1/0", root, other)
		h.say(alice, "after")
		h.read(bob, receipt.Read, "", last)
		h.counts("1/0 0/0", root)
		h.start()
		h.counts("1/0 0/0", root)
	})
}

// What is counted is kept; what is read or said while nobody counts is found
// out later.
func TestUnreadAfterARestart(t *testing.T) {
	each(t, func(h *house) {
		var events []string
		root := h.say(alice, "root")
		for i := range 70 {
			events = append(events, h.say(alice, fmt.Sprint(i)))
		}
		inside := h.inThread(alice, root)
		h.inThread(alice, root)
		h.counts("71/0 2/0", root)
		h.push.Save(h.Context())
		h.say(alice, "more")
		h.start()
		h.counts("72/0 2/0", root)
		h.start()
		h.read(bob, receipt.Read, receipt.Main, events[60])
		h.read(bob, receipt.Read, root, inside)
		h.start()
		h.counts("10/0 1/0", root)
		h.push.Save(h.Context())
		h.start()
		h.counts("10/0 1/0", root)
		h.read(bob, receipt.Read, "", events[3])
		h.counts("10/0 1/0", root)
	})
}

// Counting is the same however often it is done.
func TestLaterIsTheSame(t *testing.T) {
	each(t, func(h *house) {
		root := h.say(alice, "root")
		ids, inside := []string{root}, []string{}
		for i := range 120 {
			switch i % 6 {
			case 1:
				ids = append(ids, h.mention())
			case 3:
				inside = append(inside, h.inThread(alice, root))
			case 5:
				h.send(alice, "m.reaction", `{}`)
			default:
				ids = append(ids, h.say(carol, "x"))
			}
			if i%50 == 20 {
				h.read(bob, receipt.Read, "", ids[len(ids)-7])
			}
			if i%50 == 30 {
				h.read(bob, receipt.Private, root, inside[len(inside)-2])
			}
			if i%7 == 0 {
				_, err := h.push.Counts(h.Context(), h.room, bob, h.hub.Pos())
				h.must(err)
			}
		}
		often, err := h.push.Counts(h.Context(), h.room, bob, h.hub.Pos())
		h.must(err)
		h.start()
		once, err := h.push.Counts(h.Context(), h.room, bob, h.hub.Pos())
		h.must(err)
		if fmt.Sprint(often) != fmt.Sprint(once) {
			h.Errorf("counted often: %v, counted once: %v", often, once)
		}
	})
}

func TestComingBack(t *testing.T) {
	each(t, func(h *house) {
		h.say(alice, "one")
		h.join(bob) // a changed profile would look like this: nothing new
		h.counts("1/0")
		h.must(h.rooms.Leave(h.Context(), bob, h.room.ID, ""))
		h.say(alice, "two")
		h.join(bob)
		h.say(alice, "three")
		h.counts("1/0")
		h.start()
		h.counts("1/0")
	})
}

func TestRulesDecide(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		h.send(alice, "m.room.message", `{"msgtype":"m.text","body":"all!","m.mentions":{"room":true}}`)
		h.send(carol, "m.room.message", `{"msgtype":"m.text","body":"all!","m.mentions":{"room":true}}`) // she may not
		h.counts("2/1")

		none := pushrule.Actions{}
		mute := func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
			return rs.Put(pushrule.Room, h.room.ID, pushrule.Draft{Actions: &none}, pushrule.Place{})
		}
		h.say(alice, "before")
		h.must(h.push.ChangeRules(ctx, bob, mute))
		h.say(alice, "after")
		h.counts("3/1") // what came before is counted by the old rules
		h.mention()
		h.counts("4/2") // mentions come through
		h.must(h.push.ChangeRules(ctx, bob, func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
			return rs.Delete(pushrule.Room, h.room.ID)
		}))
		h.say(alice, "again")
		h.counts("5/2")

		nosy := pushrule.Actions{{Notify: true}, {Tweak: "highlight"}}
		h.must(h.push.ChangeRules(ctx, bob, func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
			return rs.Put(pushrule.Override, "name", pushrule.Draft{
				Actions: &nosy, Conditions: []pushrule.Condition{{Kind: "contains_display_name"}},
			}, pushrule.Place{})
		}))
		h.say(alice, "hello The bob!")
		h.counts("6/3")

		wrong := errors.New("no such rule")
		err := h.push.ChangeRules(ctx, bob, func(rs pushrule.Ruleset) (pushrule.Ruleset, error) { return rs, wrong })
		if !errors.Is(err, wrong) {
			h.Errorf("error is %v", err)
		}
		rs, err := h.push.Rules(ctx, bob)
		if _, nameErr := rs.Get(pushrule.Override, "name"); err != nil || nameErr != nil {
			h.Error(err, nameErr)
		}
	})
}

func TestIgnoredPeopleDoNotCount(t *testing.T) {
	each(t, func(h *house) {
		h.must(h.data.Put(h.Context(), bob, 0, "m.ignored_user_list", json.RawMessage(`{"ignored_users":{"@carol:test":{}}}`)))
		h.say(carol, "one")
		h.say(alice, "two")
		h.counts("1/0")
	})
}

func TestRedactedEventsDoNotCount(t *testing.T) {
	each(t, func(h *house) {
		id := h.say(alice, "oops")
		_, err := h.rooms.Send(h.Context(), h.room.ID, room.Draft{Sender: alice, Type: "m.room.redaction", Redacts: id, Content: json.RawMessage(`{}`)})
		h.must(err)
		h.counts("0/0")

		// Nor do those that were counted before.
		root, mention := h.say(alice, "first"), h.mention()
		in := h.inThread(alice, root)
		h.inThread(alice, root)
		h.counts("2/1 2/0", root)
		for _, id := range []string{mention, in} {
			_, err := h.rooms.Send(h.Context(), h.room.ID, room.Draft{Sender: alice, Type: "m.room.redaction", Redacts: id, Content: json.RawMessage(`{}`)})
			h.must(err)
		}
		h.counts("1/0 1/0", root)
		h.start() // and a restart changes nothing
		h.counts("1/0 1/0", root)
	})
}

// Members read and write while their clients ask: in the end the counts are
// those of somebody who looks only then.
func TestAllAtOnce(t *testing.T) {
	each(t, func(h *house) {
		root := h.say(alice, "root")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 30 {
					if _, err := h.push.Counts(h.Context(), h.room, bob, h.hub.Pos()); err != nil {
						h.Error(err)
					}
				}
			})
		}
		for i := range 20 {
			id := h.say(carol, fmt.Sprint(i))
			in := h.inThread(alice, root)
			if i%4 == 0 {
				h.read(bob, receipt.Read, "main", id)
			}
			if i%7 == 0 {
				h.read(bob, receipt.Private, root, in)
			}
		}
		wg.Wait()
		h.counts("3/0 5/0", root)
		h.start()
		h.counts("3/0 5/0", root)
	})
}

func TestPreload(t *testing.T) {
	each(t, func(h *house) {
		one := h.say(alice, "one")
		h.say(alice, "two")
		h.read(bob, receipt.Read, "", one)
		h.counts("1/0")
		h.start()
		h.must(h.push.Preload(h.Context(), bob, []int64{h.room.NID, 999}))
		three := h.say(alice, "three")
		h.counts("2/0")
		h.must(h.push.Preload(h.Context(), bob, []int64{h.room.NID}))
		h.start()
		h.must(h.push.Preload(h.Context(), bob, []int64{h.room.NID}))
		h.read(bob, receipt.Read, "", three) // after the look into the store
		h.counts("0/0")
	})
}

func TestManyUnread(t *testing.T) {
	h := newHouse(t, storetest.Open(t, dbtest.SQLite(t)))
	for range 600 {
		h.say(alice, "x")
	}
	h.counts("600/0")
	for i := range 40 {
		h.read(bob, receipt.Read, []string{"", receipt.Main}[i%2], h.say(alice, "y"))
	}
	h.say(alice, "z")
	h.counts("1/0")
	h.push.Start(t.Context())
	h.push.Stop()
	h.start()
	h.counts("1/0")
}

// Each of 100 members hears of a message: what one of them costs.
func BenchmarkCounts(b *testing.B) {
	h := newHouse(b, storetest.Open(b, dbtest.SQLite(b)))
	users := make([]string, 100)
	for i := range users {
		users[i] = fmt.Sprintf("@user%d:test", i)
		h.join(users[i])
	}
	everybody := func() time.Duration {
		h.say(alice, "a message that is neither very short nor very long, as most of them are")
		start := time.Now()
		for _, u := range users {
			if _, err := h.push.Counts(b.Context(), h.room, u, h.hub.Pos()); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}
	everybody() // from now on they have been there before
	var spent time.Duration
	for b.Loop() {
		spent += everybody()
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N*len(users)), "ns/member")
}

// TestAwayForLong: for who was away for very long only the newest messages are
// counted, and what comes later is.
func TestAwayForLong(t *testing.T) {
	each(t, func(h *house) {
		h.push.MaxBack = 300
		for range 400 {
			h.say(alice, "x")
		}
		h.counts("300/0")
		h.mention()
		h.counts("301/1")
		h.read(bob, receipt.Read, "", h.say(alice, "y"))
		h.counts("0/0")
	})
}
