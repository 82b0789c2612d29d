package feed_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"hearth/homeserver/feed"
	"hearth/homeserver/personal"
	"hearth/homeserver/room"
)

// A bot that wants a few kinds of events gets as many as it asked for, however
// much else was said since.
func TestFilteredTimelineReachesItsLimit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create(alice, room.CreateRequest{Preset: "public_chat"})
		bot := &client{t: t, w: w, user: alice, device: "BOT", filter: `{"room":{"timeline":{"types":["m.room.message"],"limit":2}}}`}
		w.say(alice, r, "one", "A", "")
		for i := range 25 {
			w.set(alice, r, "a.filler", "", `{"n":`+strconv.Itoa(i)+`}`)
		}
		got := bot.sync().Rooms.Join[r.ID]
		if b := bodies(got.Timeline.Events); !slices.Equal(b, []string{"one"}) || got.Timeline.Limited {
			t.Errorf("at first: %v, limited: %v", b, got.Timeline.Limited)
		}

		for i := range 4 {
			w.say(alice, r, fmt.Sprint("more ", i), "A", "")
			w.set(alice, r, "a.filler", "", `{"m":`+strconv.Itoa(i)+`}`)
		}
		got = bot.sync().Rooms.Join[r.ID]
		if b := bodies(got.Timeline.Events); !slices.Equal(b, []string{"more 2", "more 3"}) || !got.Timeline.Limited {
			t.Errorf("later: %v, limited: %v", b, got.Timeline.Limited)
		}

		for i := range 20 {
			w.set(alice, r, "a.filler", "", `{"o":`+strconv.Itoa(i)+`}`)
		}
		w.say(alice, r, "last", "A", "")
		got = bot.sync().Rooms.Join[r.ID]
		if b := bodies(got.Timeline.Events); !slices.Equal(b, []string{"last"}) || got.Timeline.Limited {
			t.Errorf("in the end: %v, limited: %v", b, got.Timeline.Limited)
		}
	})
}

// How far back a filter is satisfied has a bound; what was not looked at is
// there in the history.
func TestFilteredTimelineIsBounded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create(alice, room.CreateRequest{Preset: "public_chat"})
		w.set(alice, r, "a.rare", "", `{}`)
		for i := range 1000 {
			w.say(alice, r, strconv.Itoa(i), "A", "")
		}
		bot := &client{t: t, w: w, user: alice, device: "BOT", filter: `{"room":{"timeline":{"types":["a.rare"]}}}`}
		got := bot.sync().Rooms.Join[r.ID]
		if len(got.Timeline.Events) != 0 || !got.Timeline.Limited || !got.State.has("a.rare", "") {
			t.Errorf("%+v", got)
		}
	})
}

// State that the filter keeps out of the timeline still reaches the client.
func TestFilteredTimelineLosesNoState(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create(alice, room.CreateRequest{Preset: "public_chat"})
		bot := &client{t: t, w: w, user: alice, device: "BOT", filter: `{"room":{"timeline":{"types":["m.room.message","m.room.name"]}}}`}
		topic := func(l list) any {
			for _, ev := range l.Events {
				if ev.Type == "m.room.topic" {
					return ev.Content["topic"]
				}
			}
			return nil
		}
		w.set(alice, r, "m.room.topic", "", `{"topic":"one"}`)
		w.say(alice, r, "hello", "A", "")
		if got := bot.sync().Rooms.Join[r.ID]; topic(got.State) != "one" || !got.State.has("m.room.create", "") {
			t.Errorf("at first: %+v", got.State)
		}
		w.set(alice, r, "m.room.topic", "", `{"topic":"two"}`)
		w.set(alice, r, "m.room.topic", "", `{"topic":"three"}`)
		w.set(alice, r, "m.room.name", "", `{"name":"Kitchen"}`)
		got := bot.sync().Rooms.Join[r.ID]
		if topic(got.State) != "three" || got.State.has("m.room.name", "") || len(got.Timeline.Events) != 1 {
			t.Errorf("later: %+v", got)
		}
	})
}

// A filter may ask for events as other servers see them, or for some of their
// fields.
func TestFormatOfEvents(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create(alice, room.CreateRequest{Preset: "public_chat"})
		w.say(alice, r, "hello", "A", "txn")
		last := func(text string) map[string]any {
			filter, err := personal.ParseFilter([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			body, err := w.feed.Sync(t.Context(), feed.SyncRequest{User: alice, Device: "A", Filter: filter})
			if err != nil {
				t.Fatal(err)
			}
			var a struct {
				Rooms struct {
					Join map[string]struct {
						Timeline struct {
							Events []map[string]any `json:"events"`
						} `json:"timeline"`
					} `json:"join"`
				} `json:"rooms"`
			}
			if err := json.Unmarshal(body, &a); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			events := a.Rooms.Join[r.ID].Timeline.Events
			return events[len(events)-1]
		}

		ev := last(`{"event_format":"federation"}`)
		for _, field := range []string{"prev_events", "auth_events", "depth", "hashes", "signatures", "content", "unsigned"} {
			if ev[field] == nil {
				t.Errorf("an event as servers see it has no %s: %v", field, ev)
			}
		}
		if u, _ := ev["unsigned"].(map[string]any); u["transaction_id"] != "txn" {
			t.Errorf("unsigned: %v", ev["unsigned"])
		}

		ev = last(`{"event_fields":["type","content.body","content.no.such","unsigned.transaction_id","sender.x"]}`)
		if fields := slices.Sorted(maps.Keys(ev)); !slices.Equal(fields, []string{"content", "type", "unsigned"}) {
			t.Errorf("some fields: %v", ev)
		}
		if c, _ := ev["content"].(map[string]any); len(c) != 1 || c["body"] != "hello" {
			t.Errorf("some of the content: %v", ev["content"])
		}
		if ev = last(`{"event_fields":[]}`); len(ev) != 0 {
			t.Errorf("no fields: %v", ev)
		}
	})
}
