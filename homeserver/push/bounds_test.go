package push

import (
	"container/list"
	"encoding/json"
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/pdu"
	"hearth/matrix/pushrule"
)

func TestMemoryIsBounded(t *testing.T) {
	c := &Counter{tallies: map[key]*list.Element{}, order: list.New(), dirty: map[*tally]struct{}{}}
	kept := c.tally(key{"@often:test", 1})
	for i := range maxTallies + 100 {
		tl := c.tally(key{"@user:test", int64(i)})
		c.saveLater(tl)
		if i%1000 == 0 && c.tally(kept.key) != kept {
			t.Fatal("who is often here was forgotten")
		}
	}
	if len(c.tallies) != maxTallies || c.order.Len() != maxTallies || len(c.dirty) > maxDirty {
		t.Errorf("%d counts in memory, %d to be saved", len(c.tallies), len(c.dirty))
	}
	for range 100 {
		c.note(store.Receipt{Room: 1, User: "@often:test"})
	}
	if news, missed := c.takeNews(kept); len(news) > maxNews || !missed {
		t.Errorf("%d receipts wait, missed: %v", len(news), missed)
	}
	for i := range maxThreads + 100 {
		kept.add(fmt.Sprint("$", i), true)
	}
	kept.add(receipt.Main, false)
	if len(kept.counts.Threads) != maxThreads || kept.counts.Notify != 1 {
		t.Errorf("%d threads", len(kept.counts.Threads))
	}
}

func TestCompiledRulesAreBounded(t *testing.T) {
	rc := newRuleCache()
	for i := range maxRules + 100 {
		rc.put(fmt.Sprint(i), compiled{}, 0)
		if _, _, ok := rc.get(fmt.Sprint(i)); !ok || len(rc.byUser) > maxRules {
			t.Fatalf("the rules of %d users are in memory, those of the last: %v", len(rc.byUser), ok)
		}
	}
}

// TestFollowedThreadsAreBounded: who follows as many threads as fit can still
// leave one and come back to it.
func TestFollowedThreadsAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range maxSubscriptions {
				s := store.ThreadSubscription{User: "@alice:test", Room: 1, Root: fmt.Sprint("$", i), Pos: tx.NextPos(), Subscribed: true}
				if err := store.SetThreadSubscription(tx, s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c, r := &Counter{Config: Config{DB: d}}, &room.Room{NID: 1}
		if err := c.Subscribe(t.Context(), r, "@alice:test", "$new", nil); err == nil || mxerr.From(err).Code != mxerr.TooLarge {
			t.Errorf("one more than fit: %v", err)
		}
		if err := c.Unsubscribe(t.Context(), r, "@alice:test", "$7"); err != nil {
			t.Error(err)
		}
		if err := c.Subscribe(t.Context(), r, "@alice:test", "$7", nil); err != nil {
			t.Error(err)
		}
		if err := c.Subscribe(t.Context(), r, "@bob:test", "$new", nil); err != nil {
			t.Errorf("somebody else: %v", err)
		}
	})
}

// TestLedgersAreBounded: of a room in which much is said by many the newest is
// remembered.
func TestLedgersAreBounded(t *testing.T) {
	ls := ledgers{all: map[ledgerKey]*ledger{}}
	for i := range maxLedgers + 10 {
		ls.of(ledgerKey{room: int64(i)})
	}
	if len(ls.all) > maxLedgers {
		t.Errorf("%d ledgers", len(ls.all))
	}
	c, l := &Counter{facts: newFactCache(), Config: Config{Receipts: new(receipt.Engine)}}, &ledger{}
	l.begin(1)
	anybody := member{rules: pushrule.Compile(pushrule.Defaults("@a:test"), "").For("")}
	for i := range int64(maxMarks + maxMarks/2) {
		pe := &pdu.Event{ID: fmt.Sprint("$", i), Type: "m.room.message", Sender: fmt.Sprint("@user", i%(maxPersonal/2), ":test"), Content: []byte(`{}`)}
		ev := &room.Event{Event: pe, NID: i + 2, Ord: i + 2}
		if err := c.enter(t.Context(), &room.Room{}, l, anybody, ev); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.marks); n > maxMarks || n < maxMarks/2 || len(l.personal) > maxPersonal {
		t.Errorf("%d marks, %d users", n, len(l.personal))
	}
	if i := l.at(1 << 40); l.at(l.marks[0].place) != 0 || i != len(l.marks)-1 {
		t.Errorf("the last mark is %d of %d", i, len(l.marks))
	}
	talkative := &room.Event{Event: &pdu.Event{Type: "m.room.message", Content: mentions(maxPersonal + 1)}, NID: 9000, Ord: 9000}
	if err := c.enter(t.Context(), &room.Room{}, l, anybody, talkative); err != nil || len(l.marks) != 1 || l.marks[0].place != 9000 {
		t.Errorf("after a message that mentions everybody there are %d marks, %v", len(l.marks), err)
	}
}

func mentions(n int) []byte {
	var users []string
	for i := range n {
		users = append(users, fmt.Sprint("@mentioned", i, ":test"))
	}
	b, _ := json.Marshal(map[string]any{"m.mentions": map[string]any{"user_ids": users}})
	return b
}
