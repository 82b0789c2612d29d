package feed_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"hearth/homeserver/receipt"
)

const slideExt = `{"lists":{"all":{"range":[0,0],"timeline_limit":2}},"extensions":{
	"account_data":{"enabled":true},"receipts":{"enabled":true},"typing":{"enabled":true},
	"to_device":{"enabled":true},"e2ee":{"enabled":true}}}`

func TestSlideAccountData(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r, far := w.room("Kitchen"), w.room("Cellar")
		w.put(alice, nil, "org.example", `{"body":"global"}`)
		w.put(alice, r, "org.example", `{"body":"kitchen"}`)
		w.put(alice, far, "org.example", `{"body":"cellar"}`)
		p := w.phone(alice, slideExt)
		a := p.sync().Extensions.AccountData
		if got := slideSorted(a.Global); got != "global, m.push_rules" || len(a.Rooms) != 1 || slideTexts(a.Rooms[far.ID]) != "cellar" {
			t.Errorf("first: %s, %v", got, a.Rooms)
		}
		if a := p.sync(); a.Extensions.AccountData != nil || len(a.Extensions.E2EE) != 3 || string(a.Extensions.To["events"]) != "[]" || a.Extensions.To["next_batch"] == nil {
			t.Errorf("nothing new: %s", a.raw)
		}
		w.put(alice, nil, "org.example", `{"body":"global2"}`)
		w.put(alice, r, "org.example", `{"body":"kitchen2"}`)
		a = p.sync().Extensions.AccountData
		if got := slideTexts(a.Global); got != "global2" || len(a.Rooms) != 0 {
			t.Errorf("then: %s, %v", got, a.Rooms)
		}
		// The room comes into the window with all it has, and again with what
		// changed while it was out of it.
		w.say(r, alice, "up")
		a = p.sync().Extensions.AccountData
		if got := slideTexts(a.Rooms[r.ID]); got != "kitchen2" || len(a.Rooms) != 1 || len(a.Global) != 0 {
			t.Errorf("a new room: %v", a)
		}
		w.put(alice, far, "org.example", `{"body":"cellar2"}`)
		p.sync()
		w.say(far, alice, "up")
		a = p.sync().Extensions.AccountData
		if got := slideTexts(a.Rooms[far.ID]); got != "cellar2" || len(a.Rooms) != 1 {
			t.Errorf("a room that is back: %v", a)
		}
		w.put(alice, far, "org.example", `{}`)
		a = p.sync().Extensions.AccountData
		if got := slideTexts(a.Rooms[far.ID]); got != "org.example" {
			t.Errorf("deleted data: %v", a)
		}
	})
}

func TestSlideReceiptsAndTyping(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		ctx := t.Context()
		r := w.room("Kitchen", bob, carol)
		old := w.say(r, bob, "old")
		w.ok(w.receipts.Set(ctx, r, carol, receipt.Read, "", old.ID))
		w.ok(w.receipts.Set(ctx, r, alice, receipt.Private, "", old.ID))
		for range 2 {
			w.say(r, bob, "new")
		}
		last := w.say(r, bob, "last")
		w.ok(w.receipts.Set(ctx, r, bob, receipt.Read, "", last.ID))
		w.ok(w.typing.Set(ctx, r, carol, time.Minute))
		p := w.phone(alice, slideExt)
		a := p.sync()
		if *p.room(a, r).Notify != 3 {
			t.Errorf("unread: %d", *p.room(a, r).Notify)
		}
		if got := string(a.Extensions.Typing.Rooms[r.ID].Content); got != `{"user_ids":["@carol:test"]}` {
			t.Errorf("typing: %s", got)
		}
		ev := a.Extensions.Receipts.Rooms[r.ID]
		if got := string(ev.Content); ev.Type != "m.receipt" || !containsAll(got, last.ID, bob, old.ID, alice, "m.read.private") {
			t.Errorf("receipts: %s", got)
		}
		if a := p.sync(); a.Extensions.Typing != nil || a.Extensions.Receipts != nil {
			t.Errorf("nothing new: %s", a.raw)
		}
		// Reading it elsewhere changes the counts here.
		w.ok(w.receipts.Set(ctx, r, alice, receipt.Read, "", last.ID))
		w.ok(w.typing.Set(ctx, r, carol, 0))
		a = p.sync()
		if got := p.room(a, r); *got.Notify != 0 || got.Timeline != nil || got.Initial {
			t.Errorf("after reading: %s", a.raw)
		}
		if got := string(a.Extensions.Typing.Rooms[r.ID].Content); got != `{"user_ids":[]}` {
			t.Errorf("typing: %s", got)
		}
		if got := string(a.Extensions.Receipts.Rooms[r.ID].Content); !containsAll(got, last.ID, alice) {
			t.Errorf("receipts: %s", got)
		}
		// Somebody else's receipt changes no counts.
		w.ok(w.receipts.Set(ctx, r, carol, receipt.Read, "", last.ID))
		if a = p.sync(); len(a.Rooms) > 0 || a.Extensions.Receipts == nil {
			t.Errorf("carol's receipt: %s", a.raw)
		}
	})
}

// Extensions may be for some rooms only.
func TestSlideExtensionScope(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r, far := w.room("Kitchen", bob), w.room("Cellar", bob)
		p := w.phone(alice, `{"lists":{"top":{"range":[0,0],"timeline_limit":2},"all":{"timeline_limit":1}},
			"room_subscriptions":{"`+r.ID+`":{"timeline_limit":1}},
			"extensions":{"typing":{"enabled":true,"lists":["top"],"rooms":[]}}}`)
		p.sync()
		w.ok(w.typing.Set(t.Context(), r, bob, time.Minute))
		if a := p.sync(); a.Extensions.Typing != nil {
			t.Errorf("typing in a room out of scope: %s", a.raw)
		}
		w.ok(w.typing.Set(t.Context(), far, bob, time.Minute))
		if a := p.sync(); a.Extensions.Typing == nil || len(a.Extensions.Typing.Rooms) != 1 {
			t.Errorf("typing in scope: %s", a.raw)
		}
		p.query = `{"lists":{"all":{"timeline_limit":1}},"extensions":{"typing":{"enabled":true}}}`
		if a := p.sync(); a.Extensions.Typing == nil || len(a.Extensions.Typing.Rooms) != 2 {
			t.Errorf("typing in the larger scope: %s", a.raw)
		}
	})
}

// park starts a request that waits, and returns where its answer will come.
func (p *phone) park(ctx context.Context) <-chan slideAnswer {
	out := make(chan slideAnswer, 1)
	go func() {
		a, err := p.try(ctx, 60_000)
		if err != nil {
			a.raw = []byte(err.Error())
		}
		out <- a
	}()
	for !p.feed.Parked(p.user) {
		runtime.Gosched()
	}
	return out
}

func TestSlideWaits(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := w.room("Kitchen", bob)
		far := w.room("Cellar", bob)
		p := w.phone(alice, `{"lists":{"l":{"range":[0,9],"timeline_limit":2}},"extensions":{"typing":{"enabled":true}}}`)
		p.sync()

		got := p.park(t.Context())
		w.say(r, bob, "Tea?")
		a := <-got
		if slideTexts(p.room(a, r).Timeline) != "Tea?" {
			t.Errorf("a message wakes with %s", a.raw)
		}
		p.pos = a.Pos
		got = p.park(t.Context())
		w.ok(w.typing.Set(t.Context(), far, bob, time.Minute))
		if a = <-got; a.Extensions.Typing == nil {
			t.Errorf("typing wakes with %s", a.raw)
		}
		p.pos = a.Pos

		// The timeout ends with an answer that has nothing in it.
		a, err := p.try(t.Context(), 1)
		if err != nil || len(a.Rooms) > 0 || a.Pos == p.pos {
			t.Errorf("the timeout ends with %v, %s", err, a.raw)
		}
		p.pos = a.Pos

		// A client that asks again ends its earlier request.
		got = p.park(t.Context())
		again := p.ask()
		if a = <-got; a.Pos != p.pos || len(a.Rooms) > 0 {
			t.Errorf("the earlier request ends with %s", a.raw)
		}
		p.pos = again.Pos
		p.quiet()

		// One that hangs up leaves the connection as it was.
		ctx, cancel := context.WithCancel(t.Context())
		got = p.park(ctx)
		cancel()
		if a = <-got; string(a.raw) != context.Canceled.Error() {
			t.Errorf("a client that hung up gets %s", a.raw)
		}
		p.quiet()

		got = p.park(t.Context())
		w.feed.Stop()
		if a = <-got; a.Pos == "" || len(a.Rooms) > 0 {
			t.Errorf("the end of the server comes as %s", a.raw)
		}
	})
}

// A room in which only uninteresting things happen does not keep a client busy.
func TestSlideSleepsOn(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		far, r := w.room("Cellar", bob), w.room("Kitchen", bob)
		for range 3 {
			w.room("more")
		}
		p := w.phone(alice, `{"lists":{},"room_subscriptions":{"`+r.ID+`":{"timeline_limit":2}}}`)
		p.sync()
		got := p.park(t.Context())
		w.say(far, bob, "not for us")
		w.say(r, bob, "for us")
		if a := <-got; len(a.Rooms) != 1 || slideTexts(p.room(a, r).Timeline) != "for us" {
			t.Errorf("woken with %s", a.raw)
		}
	})
}
