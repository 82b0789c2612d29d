package feed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"hearth/homeserver/feed"
	"hearth/homeserver/personal"
	"hearth/homeserver/room"
)

// answer is a /sync response as a client reads it.
type answer struct {
	NextBatch string `json:"next_batch"`
	Rooms     struct {
		Join   map[string]joined `json:"join"`
		Leave  map[string]joined `json:"leave"`
		Invite map[string]struct {
			State list `json:"invite_state"`
		} `json:"invite"`
		Knock map[string]struct {
			State list `json:"knock_state"`
		} `json:"knock"`
	} `json:"rooms"`
	AccountData list `json:"account_data"`
}

type joined struct {
	Timeline struct {
		Events    []event `json:"events"`
		Limited   bool    `json:"limited"`
		PrevBatch string  `json:"prev_batch"`
	} `json:"timeline"`
	State      list `json:"state"`
	StateAfter list `json:"state_after"`
	Ephemeral  list `json:"ephemeral"`
	Summary    struct {
		Heroes []string `json:"m.heroes"`
		Joined *int     `json:"m.joined_member_count"`
	} `json:"summary"`
	Unread struct {
		Notify    int `json:"notification_count"`
		Highlight int `json:"highlight_count"`
	} `json:"unread_notifications"`
}

type list struct {
	Events []event `json:"events"`
}

type event struct {
	Type     string         `json:"type"`
	StateKey *string        `json:"state_key"`
	Sender   string         `json:"sender"`
	Content  map[string]any `json:"content"`
	Unsigned map[string]any `json:"unsigned"`
}

func (l list) has(typ, key string) bool {
	for _, ev := range l.Events {
		if ev.Type == typ && ev.StateKey != nil && *ev.StateKey == key {
			return true
		}
	}
	return false
}

func bodies(events []event) (out []string) {
	for _, ev := range events {
		if ev.Type == "m.room.message" {
			out = append(out, fmt.Sprint(ev.Content["body"]))
		}
	}
	return out
}

// client is a device that syncs.
type client struct {
	t      *testing.T
	w      *world
	user   string
	device string
	since  string
	filter string
	after  bool
}

func (c *client) sync() answer {
	c.t.Helper()
	return c.wait(c.t.Context(), 0)
}

func (c *client) wait(ctx context.Context, timeout time.Duration) answer {
	c.t.Helper()
	filter := new(personal.Filter)
	if c.filter != "" {
		var err error
		if filter, err = personal.ParseFilter([]byte(c.filter)); err != nil {
			c.t.Fatal(err)
		}
	}
	req := feed.SyncRequest{User: c.user, Device: c.device, Since: c.since, Filter: filter, Timeout: timeout}
	if c.after {
		req.StateAfter = "state_after"
	}
	body, err := c.w.feed.Sync(ctx, req)
	if err != nil {
		c.t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		c.t.Fatalf("%v in %s", err, body)
	}
	c.since = a.NextBatch
	return a
}

func TestAliceSeesWhatBobSays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create(alice, room.CreateRequest{Preset: "public_chat", Name: "Kitchen"})
		a := &client{t: t, w: w, user: alice, device: "A"}
		first := a.sync()
		got := first.Rooms.Join[r.ID]
		if len(got.Timeline.Events) == 0 || got.Timeline.Events[0].Type != "m.room.create" {
			t.Fatalf("initial sync: %+v", got)
		}
		if again := a.sync(); len(again.Rooms.Join) != 0 {
			t.Errorf("nothing happened, but: %+v", again.Rooms)
		}
		w.join(bob, r)
		w.say(bob, r, "hello", "B", "txn1")
		got = a.sync().Rooms.Join[r.ID]
		if b := bodies(got.Timeline.Events); len(b) != 1 || b[0] != "hello" {
			t.Errorf("timeline = %v", b)
		}
		if got.Summary.Joined == nil || *got.Summary.Joined != 2 || len(got.Summary.Heroes) != 1 || got.Summary.Heroes[0] != bob {
			t.Errorf("summary = %+v", got.Summary)
		}
		if got.Timeline.Limited {
			t.Error("limited without a gap")
		}
		if got.Unread.Notify == 0 {
			t.Error("alice is not told that there is something unread")
		}
		last := got.Timeline.Events[len(got.Timeline.Events)-1]
		if last.Unsigned["transaction_id"] != nil {
			t.Error("alice sees the transaction id of bob's device")
		}
		b := &client{t: t, w: w, user: bob, device: "B"}
		events := b.sync().Rooms.Join[r.ID].Timeline.Events
		if events[len(events)-1].Unsigned["transaction_id"] != "txn1" {
			t.Error("bob's device does not see its transaction id")
		}
	})
}

func TestGapHasStateOfTheGap(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create(alice, room.CreateRequest{Preset: "public_chat", Name: "old"})
		for _, after := range []bool{false, true} {
			a := &client{t: t, w: w, user: alice, device: fmt.Sprint("A", after), filter: `{"room":{"timeline":{"limit":3}}}`, after: after}
			a.sync()
			w.set(alice, r, "m.room.name", "", `{"name":"in the gap"}`)
			for i := range 5 {
				w.say(alice, r, fmt.Sprint(i), "X", "")
			}
			w.set(alice, r, "m.room.topic", "", fmt.Sprintf(`{"topic":"at the end %v"}`, after))
			got := a.sync().Rooms.Join[r.ID]
			if !got.Timeline.Limited || len(got.Timeline.Events) != 3 {
				t.Fatalf("limited = %v, %d events", got.Timeline.Limited, len(got.Timeline.Events))
			}
			state, topic := got.State, false
			if after {
				state, topic = got.StateAfter, true
			}
			if !state.has("m.room.name", "") || state.has("m.room.topic", "") != topic || state.has("m.room.create", "") {
				t.Errorf("state_after = %v: state = %+v", after, state)
			}
			w.set(alice, r, "m.room.name", "", fmt.Sprintf(`{"name":"old %v"}`, after))
		}
	})
}

func TestInviteJoinLeave(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create(alice, room.CreateRequest{Name: "Secret"})
		w.say(alice, r, "before bob", "A", "")
		b := &client{t: t, w: w, user: bob, device: "B"}
		b.sync()
		if err := w.rooms.Invite(t.Context(), alice, r.ID, bob, ""); err != nil {
			t.Fatal(err)
		}
		inv, ok := b.sync().Rooms.Invite[r.ID]
		if !ok || !inv.State.has("m.room.name", "") || !inv.State.has("m.room.member", bob) {
			t.Fatalf("invite = %+v", inv)
		}
		w.join(bob, r)
		got := b.sync().Rooms.Join[r.ID]
		if b := bodies(got.Timeline.Events); len(b) != 1 || b[0] != "before bob" {
			t.Errorf("after the join: %v", b)
		}
		w.say(alice, r, "hi bob", "A", "")
		if err := w.rooms.Kick(t.Context(), alice, r.ID, bob, "bye"); err != nil {
			t.Fatal(err)
		}
		w.say(alice, r, "he is gone", "A", "")
		ans := b.sync()
		left, ok := ans.Rooms.Leave[r.ID]
		if !ok || len(ans.Rooms.Join) != 0 {
			t.Fatalf("after the kick: %+v", ans.Rooms)
		}
		if b := bodies(left.Timeline.Events); len(b) != 1 || b[0] != "hi bob" {
			t.Errorf("bob sees %v after being kicked", b)
		}
		if last := left.Timeline.Events[len(left.Timeline.Events)-1]; last.Content["membership"] != "leave" {
			t.Errorf("the last event is %+v", last)
		}
		if again := b.sync(); len(again.Rooms.Leave) != 0 {
			t.Error("the room is left again and again")
		}
		// To be banned and unbanned tells him no more of a room that he was out of.
		for _, change := range []func() error{
			func() error { return w.rooms.Ban(t.Context(), alice, r.ID, bob, "") },
			func() error { return w.rooms.Unban(t.Context(), alice, r.ID, bob, "") },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			if left := b.sync().Rooms.Leave[r.ID]; len(left.Timeline.Events) != 1 || left.Timeline.Limited || len(left.State.Events) != 0 {
				t.Errorf("after he was gone: %+v", left)
			}
		}
		if fresh := (&client{t: t, w: w, user: bob, device: "C"}).sync(); len(fresh.Rooms.Leave) != 0 {
			t.Error("an initial sync shows rooms that were left")
		}
		fresh := (&client{t: t, w: w, user: bob, device: "D", filter: `{"room":{"include_leave":true}}`}).sync()
		if _, ok := fresh.Rooms.Leave[r.ID]; !ok {
			t.Error("include_leave shows nothing")
		}
	})
}

func TestLazyMembers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create(alice, room.CreateRequest{Preset: "public_chat"})
		for i := range 5 {
			w.join(fmt.Sprintf("@u%d:test", i), r)
		}
		w.join(bob, r)
		for i := range 12 {
			w.say(bob, r, fmt.Sprint(i), "B", "")
		}
		a := &client{t: t, w: w, user: alice, device: "A", filter: `{"room":{"state":{"lazy_load_members":true}}}`}
		state := a.sync().Rooms.Join[r.ID].State
		if !state.has("m.room.member", bob) || !state.has("m.room.member", alice) || state.has("m.room.member", "@u1:test") {
			t.Errorf("initial state = %+v", state)
		}
		w.say(bob, r, "more", "B", "")
		if s := a.sync().Rooms.Join[r.ID].State; s.has("m.room.member", bob) {
			t.Error("bob is sent again")
		}
		w.say("@u1:test", r, "me too", "U", "")
		if s := a.sync().Rooms.Join[r.ID].State; !s.has("m.room.member", "@u1:test") {
			t.Error("the new speaker is missing")
		}
	})
}

// A parked request is answered by what happens, and by nothing else.
func TestParkedRequestWakes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create(alice, room.CreateRequest{Preset: "public_chat"})
		other := w.create(bob, room.CreateRequest{})
		a := &client{t: t, w: w, user: alice, device: "A"}
		a.sync()
		done := make(chan answer)
		go func() { done <- a.wait(t.Context(), time.Minute) }()
		w.say(bob, other, "alice is not here", "B", "")
		w.say(alice, r, "wake up", "A2", "")
		got := <-done
		if b := bodies(got.Rooms.Join[r.ID].Timeline.Events); len(b) != 1 || b[0] != "wake up" {
			t.Errorf("woken by %+v", got.Rooms)
		}
		go func() { done <- a.wait(t.Context(), time.Minute) }()
		if err := w.rooms.Invite(t.Context(), bob, other.ID, alice, ""); err != nil {
			t.Fatal(err)
		}
		if got := <-done; len(got.Rooms.Invite) != 1 {
			t.Errorf("woken by %+v, want an invite", got.Rooms)
		}
	})
}
