package clientapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
)

// searched is the part of an answer to a search about rooms.
type searched struct {
	Count      int
	Highlights []string
	Results    []struct {
		Rank    float64
		Result  event
		Context *struct {
			Start   string
			Before  []event                      `json:"events_before"`
			After   []event                      `json:"events_after"`
			Profile map[string]map[string]string `json:"profile_info"`
		}
	}
	State  map[string][]event
	Groups map[string]map[string]struct {
		Results []string
		Next    string `json:"next_batch"`
	}
	Next string `json:"next_batch"`
}

func (s searched) texts() string {
	var all []string
	for _, r := range s.Results {
		all = append(all, r.Result.text())
	}
	return strings.Join(all, "|")
}

func (w *town) search(who, criteria, next string) searched {
	w.t.Helper()
	var a struct {
		Categories struct {
			RoomEvents searched `json:"room_events"`
		} `json:"search_categories"`
	}
	path := "/search"
	if next != "" {
		path += "?next_batch=" + url.QueryEscape(next)
	}
	w.post(who, `{"search_categories":{"room_events":`+criteria+`}}`, path).into(&a)
	return a.Categories.RoomEvents
}

func TestSearch(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{"preset":"private_chat","name":"Message board"}`)
		for i := range 20 {
			w.say("alice", id, fmt.Sprint("Message number ", i))
		}
		s := w.search("alice", `{"search_term":"message 4","keys":["content.body"],"order_by":"recent","filter":{"limit":1,"rooms":["`+id+`"]},
			"event_context":{"before_limit":2,"after_limit":2,"include_profile":true},"include_state":true}`, "")
		if s.Count != 1 || s.texts() != "Message number 4" || s.Next == "" || strings.Join(s.Highlights, " ") != "message 4" {
			t.Fatalf("found %+v", s)
		}
		c := s.Results[0].Context
		if texts(c.Before) != "Message number 3 Message number 2" || texts(c.After) != "Message number 5 Message number 6" {
			t.Errorf("around it: %s / %s", texts(c.Before), texts(c.After))
		}
		if c.Profile["@alice:test"]["displayname"] != "Alice" || len(s.State[id]) < 5 {
			t.Errorf("profiles %v, %d pieces of state", c.Profile, len(s.State[id]))
		}
		// Page by page.
		criteria := `{"search_term":"Message","keys":["content.body"],"order_by":"recent","filter":{"limit":10},"groupings":{"group_by":[{"key":"room_id"},{"key":"sender"}]}}`
		var seen []string
		next := ""
		for range 3 {
			s = w.search("alice", criteria, next)
			if s.Count != 20 {
				t.Errorf("count = %d", s.Count)
			}
			for _, r := range s.Results {
				seen = append(seen, r.Result.text())
			}
			if next = s.Next; len(seen) == 10 && len(s.Groups["room_id"][id].Results) != 10 {
				t.Errorf("groups = %+v", s.Groups)
			}
			if len(seen) == 10 {
				more := w.search("alice", criteria, s.Groups["sender"]["@alice:test"].Next)
				if !strings.HasPrefix(more.texts(), "Message number 9|Message number 8|") {
					t.Errorf("the group goes on with %s", more.texts())
				}
			}
		}
		if len(seen) != 20 || seen[0] != "Message number 19" || seen[19] != "Message number 0" || next != "" || len(s.Results) != 0 {
			t.Errorf("pages: %v, then %q", seen, next)
		}
		if s = w.search("alice", `{"search_term":"board"}`, ""); s.Count != 1 || s.Results[0].Result.Type != "m.room.name" {
			t.Errorf("the room's name finds %+v", s)
		}
		if s = w.search("alice", `{"search_term":"message","filter":{"not_types":["m.room.message"]}}`, ""); s.Count != 1 {
			t.Errorf("a filter leaves %d", s.Count)
		}
		if s = w.search("alice", `{"search_term":"?!"}`, ""); s.Count != 0 {
			t.Errorf("no word finds %d", s.Count)
		}
		if s = w.search("bob", `{"search_term":"message"}`, ""); s.Count != 0 {
			t.Errorf("a stranger finds %d", s.Count)
		}
		for body, code := range map[string]mxerr.Code{
			`{}`: mxerr.MissingParam,
			`{"search_categories":{"room_events":{}}}`:                                                           mxerr.MissingParam,
			`{"search_categories":{"room_events":{"search_term":"x","order_by":"odd"}}}`:                         mxerr.InvalidParam,
			`{"search_categories":{"room_events":{"search_term":"x","keys":["content.odd"]}}}`:                   mxerr.InvalidParam,
			`{"search_categories":{"room_events":{"search_term":"x","filter":3}}}`:                               mxerr.BadJSON,
			`{"search_categories":{"room_events":{"search_term":"x","groupings":{"group_by":[{"key":"age"}]}}}}`: mxerr.InvalidParam,
		} {
			w.post("alice", body, "/search").fails(400, code)
		}
		w.post("alice", `{"search_categories":{"room_events":{"search_term":"x"}}}`, "/search?next_batch=odd").fails(400, mxerr.InvalidParam)
		w.post("alice", `{"search_categories":{}}`, "/search").ok()
	})
}

// Who searches finds what they may see, and nothing else.
func TestSearchShowsWhatOneMaySee(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{"preset":"public_chat","initial_state":[{"type":"m.room.history_visibility","content":{"history_visibility":"joined"}}]}`)
		w.say("alice", id, "secret before")
		w.post("bob", "", "/rooms/%s/join", id).ok()
		w.say("alice", id, "secret during")
		gone := w.say("alice", id, "secret redacted")
		w.say("carol", w.public("carol", "bob"), "secret elsewhere")
		w.put("alice", `{}`, "/rooms/%s/redact/%s/r", id, gone).ok()
		w.post("bob", "", "/rooms/%s/leave", id).ok()
		w.say("alice", id, "secret after")
		locked := w.public("bob")
		w.say("alice", locked, "secret plain")
		w.put("alice", `{"algorithm":"m.megolm.v1.aes-sha2"}`, "/rooms/%s/state/m.room.encryption", locked).ok()
		for _, order := range []string{"recent", "rank"} {
			s := w.search("bob", `{"search_term":"secret","order_by":"`+order+`"}`, "")
			if s.Count != 2 || !strings.Contains(s.texts(), "secret during") || !strings.Contains(s.texts(), "secret elsewhere") {
				t.Errorf("bob finds %d by %s: %s", s.Count, order, s.texts())
			}
		}
		if err := w.doors.Personal.Put(context.Background(), "@bob:test", 0, "m.ignored_user_list", []byte(`{"ignored_users":{"@carol:test":{}}}`)); err != nil {
			t.Fatal(err)
		}
		if s := w.search("bob", `{"search_term":"secret"}`, ""); s.texts() != "secret during" {
			t.Errorf("bob, who ignores carol, finds %s", s.texts())
		}
		w.post("bob", "", "/rooms/%s/forget", id).ok()
		if s := w.search("bob", `{"search_term":"secret"}`, ""); s.Count != 0 {
			t.Errorf("of a forgotten room bob finds %s", s.texts())
		}
	})
}

func TestEventByTimestamp(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		var ids []string
		var at []int64
		for i := range 3 {
			ids = append(ids, w.say("alice", id, fmt.Sprint("m", i)))
			var ev event
			w.get("alice", "/rooms/%s/event/%s", id, ids[i]).into(&ev)
			var ts int64
			if err := json.Unmarshal(ev.TS, &ts); err != nil {
				t.Fatal(err)
			}
			at = append(at, ts)
		}
		path := "/_matrix/client/v1/rooms/" + id + "/timestamp_to_event"
		find := func(ts int64, dir string) any {
			return w.get("bob", fmt.Sprintf("%s?ts=%d&dir=%s", path, ts, dir)).ok()["event_id"]
		}
		if got := find(at[2]+5000, "b"); got != ids[2] {
			t.Errorf("the last event is %v", got)
		}
		var first chunk
		w.get("bob", "/rooms/%s/messages?dir=f&limit=1", id).into(&first)
		if got := find(0, "f"); got != first.Chunk[0].ID {
			t.Errorf("the first event is %v", got)
		}
		w.get("bob", fmt.Sprintf("%s?ts=%d&dir=f", path, at[2]+5000)).fails(404, mxerr.NotFound)
		w.get("bob", path+"?ts=5&dir=b").fails(404, mxerr.NotFound)
		w.get("bob", path+"?ts=x&dir=b").fails(400, mxerr.InvalidParam)
		w.get("bob", path+"?ts=5").fails(400, mxerr.MissingParam)
		w.get("bob", path+"?dir=b").fails(400, mxerr.MissingParam)
		w.get("bob", path+"?ts=5&dir=x").fails(400, mxerr.InvalidParam)
		w.get("carol", path+"?ts=5&dir=f").fails(403, mxerr.Forbidden)
	})
}
