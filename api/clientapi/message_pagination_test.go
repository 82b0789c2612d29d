package clientapi

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"hearth/base/db/dbtest"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// pages reads a room's history page by page until there is no more.
func (w *town) pages(who, room, query string) [][]event {
	w.t.Helper()
	var out [][]event
	from := ""
	for range 10_000 {
		var page chunk
		w.get(who, "/rooms/"+url.PathEscape(room)+"/messages?"+query+from).into(&page)
		out = append(out, page.Chunk)
		if page.End == "" {
			return out
		}
		from = "&from=" + page.End
	}
	w.t.Fatal("history has no end")
	return nil
}

// What many people write at once is all there, once, in both directions and in
// pages of any size, while they are still writing.
func TestPagingLosesNothing(t *testing.T) {
	const senders, each = 16, 313
	inTown(t, func(t *testing.T, w *town) {
		id := w.public()
		var wg sync.WaitGroup
		defer wg.Wait()
		for i := range senders {
			who := fmt.Sprintf("u%d", i)
			w.post(who, "", "/rooms/%s/join", id).ok()
			wg.Go(func() {
				for n := range each {
					body := fmt.Appendf(nil, `{"body":"%d-%d","msgtype":"m.text"}`, i, n)
					if _, err := w.doors.Engine.Send(context.Background(), id, room.Draft{Sender: "@" + who + ":test", Type: "m.room.message", Content: body}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		// Somebody reads meanwhile: what there is, is there once.
		for range 3 {
			once(t, slices.Concat(w.pages("alice", id, "dir=f&limit=200")...))
		}
		wg.Wait()
		forward := slices.Concat(w.pages("alice", id, "dir=f&limit=100")...)
		once(t, forward)
		if n := len(strings.Fields(texts(forward))); n != senders*each {
			t.Errorf("%d messages are there, want %d", n, senders*each)
		}
		for _, limit := range []int{73, 1000} {
			backward := slices.Concat(w.pages("alice", id, fmt.Sprint("dir=b&limit=", limit))...)
			slices.Reverse(backward)
			if !slices.EqualFunc(forward, backward, func(a, b event) bool { return a.ID == b.ID }) {
				t.Errorf("pages of %d backward show other events than forward", limit)
			}
		}
	})
}

func once(t *testing.T, events []event) {
	t.Helper()
	seen := map[string]bool{}
	for _, ev := range events {
		if seen[ev.ID] {
			t.Fatalf("%s is there twice", ev.ID)
		}
		seen[ev.ID] = true
	}
}

func TestMessages(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		for n := range 25 {
			w.say([]string{"alice", "bob"}[n%2], id, fmt.Sprint(n))
		}
		read := func(query string) chunk {
			var c chunk
			w.get("alice", "/rooms/"+url.PathEscape(id)+"/messages?"+query).into(&c)
			return c
		}
		back := read("dir=b")
		if got := texts(back.Chunk); got != "24 23 22 21 20 19 18 17 16 15" {
			t.Errorf("the newest ten are %s", got)
		}
		if got := texts(read("dir=b&limit=3&from=" + back.End).Chunk); got != "14 13 12" {
			t.Errorf("before them are %s", got)
		}
		if got := texts(read("dir=f&limit=3&from=" + back.End).Chunk); got != "15 16 17" {
			t.Errorf("forward from there are %s", got)
		}
		if got := texts(read("dir=f&from=" + back.Start).Chunk); got != "" {
			t.Errorf("after the newest are %s", got)
		}
		if got := read("dir=f&from=" + back.End + "&to=" + back.Start + "&limit=100"); texts(got.Chunk) != "15 16 17 18 19 20 21 22 23 24" || got.End != "" {
			t.Errorf("between two tokens are %s, end %q", texts(got.Chunk), got.End)
		}
		if got := read("dir=b&from=" + back.Start + "&to=" + back.End + "&limit=100"); len(got.Chunk) != 10 || got.End != "" {
			t.Errorf("between two tokens backward are %s", texts(got.Chunk))
		}
		if got := read("dir=f&limit=1"); got.Chunk[0].Type != "m.room.create" || got.End == "" {
			t.Errorf("the first event is %v", got.Chunk)
		}
		if got := read("dir=b&limit=0"); len(got.Chunk) != 0 || got.End != got.Start {
			t.Errorf("no events: %+v", got)
		}
		// A token of /sync is a place, too.
		if got := texts(read(fmt.Sprintf("dir=b&limit=2&from=s%d_0", w.doors.Hub.Pos())).Chunk); got != "24 23" {
			t.Errorf("before a token of sync are %s", got)
		}
		if got := texts(read(fmt.Sprintf("dir=b&limit=2&from=s%d", w.doors.Hub.Pos())).Chunk); got != "24 23" {
			t.Errorf("before a token of sync are %s", got)
		}
		for _, tc := range []struct {
			query  string
			status int
			code   mxerr.Code
		}{
			{"", 400, mxerr.MissingParam},
			{"dir=x", 400, mxerr.InvalidParam},
			{"dir=b&limit=-1", 400, mxerr.InvalidParam},
			{"dir=b&limit=x", 400, mxerr.InvalidParam},
			{"dir=b&from=x", 400, mxerr.InvalidParam},
			{"dir=b&from=t", 400, mxerr.InvalidParam},
			{"dir=b&to=s1x", 400, mxerr.InvalidParam},
			{"dir=b&filter={", 400, mxerr.NotJSON},
			{"dir=b&filter={\"types\":1}", 400, mxerr.BadJSON},
			{"dir=b&filter=[]", 400, mxerr.BadJSON},
		} {
			w.get("alice", "/rooms/"+url.PathEscape(id)+"/messages?"+strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D").Replace(tc.query)).fails(tc.status, tc.code)
		}
		w.get("alice", "/rooms/%s/messages?dir=b&limit=99999999999", id).ok()
		w.get("alice", "/rooms/%s/messages?dir=b&from=t9223372036854775807", id).ok()
		w.get("alice", "/rooms/%s/messages?dir=f&to=t9223372036854775807", id).ok()
		w.get("alice", "/rooms/%s/messages?dir=b&from=t-9223372036854775808", id).ok()
	})
}

func TestMessagesFilter(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		w.say("alice", id, "one")
		w.say("bob", id, "two")
		w.put("bob", `{"body":"pic","url":"mxc://a/b"}`, "/rooms/%s/send/m.room.message/p", id).ok()
		w.put("bob", `{}`, "/rooms/%s/send/org.example.x/q", id).ok()
		w.say("alice", id, "three")
		for _, tc := range []struct{ filter, want string }{
			{`{"types":["m.room.message"]}`, "three pic two one"},
			{`{"types":["m.room.*"],"not_types":["m.room.member"],"senders":["@bob:test"]}`, "pic two"},
			{`{"not_senders":["@bob:test"]}`, "three one"},
			{`{"contains_url":true}`, "pic"},
			{`{"contains_url":false}`, "three two one"},
			{`{"limit":2,"types":["m.room.message"]}`, "three pic"},
			{`{"rooms":["!other:test"]}`, ""},
			{`{"not_rooms":["` + id + `"]}`, ""},
			{`{"types":[]}`, ""},
		} {
			var all []event
			if strings.Contains(tc.filter, "limit") {
				var c chunk
				w.get("bob", "/rooms/%s/messages?dir=b&filter=%s", id, tc.filter).into(&c)
				all = c.Chunk
			} else {
				all = slices.Concat(w.pages("bob", id, "dir=b&limit=2&filter="+url.QueryEscape(tc.filter))...)
			}
			if got := texts(all); got != tc.want {
				t.Errorf("%s shows %q, want %q", tc.filter, got, tc.want)
			}
		}
		var lazy chunk
		w.get("alice", "/rooms/%s/messages?dir=b&limit=2&filter=%s", id, `{"lazy_load_members":true}`).into(&lazy)
		var members []string
		for _, ev := range lazy.State {
			members = append(members, *ev.StateKey)
		}
		slices.Sort(members)
		if s := strings.Join(members, " "); s != "@alice:test @bob:test" {
			t.Errorf("members shown are %q", s)
		}
	})
}

// Whom a person ignores falls silent, but their state still counts.
func TestMessagesOfIgnoredPeople(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		w.say("bob", id, "buzz")
		w.say("alice", id, "calm")
		err := w.doors.Personal.Put(t.Context(), "@alice:test", 0, "m.ignored_user_list", []byte(`{"ignored_users":{"@bob:test":{}}}`))
		if err != nil {
			t.Fatal(err)
		}
		all := slices.Concat(w.pages("alice", id, "dir=b")...)
		if got := texts(all); got != "calm" {
			t.Errorf("alice reads %q", got)
		}
		if !slices.ContainsFunc(all, func(ev event) bool { return ev.Type == "m.room.member" && ev.Sender == "@bob:test" }) {
			t.Error("bob's join is not shown")
		}
	})
}

// Who may read what depends on what the room said when it was written
// (client-server-api/#room-history-visibility).
func TestMessagesVisibility(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		for _, tc := range []struct{ visibility, bob, carol string }{
			{"world_readable", "1 2 3 4 5", "1 2 3 4 5"},
			{"shared", "1 2 3 4", "-"},
			{"invited", "2 3 4", "-"},
			{"joined", "3 4", "-"},
		} {
			id := w.create("alice", `{"initial_state":[{"type":"m.room.history_visibility","content":{"history_visibility":"`+tc.visibility+`"}}]}`)
			w.say("alice", id, "1")
			w.post("alice", `{"user_id":"@bob:test"}`, "/rooms/%s/invite", id).ok()
			w.say("alice", id, "2")
			w.post("bob", "", "/rooms/%s/join", id).ok()
			w.say("alice", id, "3")
			w.say("bob", id, "4")
			w.post("bob", "", "/rooms/%s/leave", id).ok()
			w.say("alice", id, "5")
			for who, want := range map[string]string{"bob": tc.bob, "carol": tc.carol} {
				if want == "-" {
					w.get(who, "/rooms/%s/messages?dir=f", id).fails(403, mxerr.Forbidden)
					continue
				}
				for _, limit := range []int{1, 100} {
					if got := texts(slices.Concat(w.pages(who, id, fmt.Sprint("dir=f&limit=", limit))...)); got != want {
						t.Errorf("%s: %s reads %q, want %q", tc.visibility, who, got, want)
					}
				}
			}
		}
	})
}

func TestContext(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		var ids []string
		for n := range 20 {
			ids = append(ids, w.say([]string{"alice", "bob"}[n%2], id, fmt.Sprint(n)))
		}
		type around struct {
			Event  event   `json:"event"`
			Before []event `json:"events_before"`
			After  []event `json:"events_after"`
			State  []event `json:"state"`
			Start  string  `json:"start"`
			End    string  `json:"end"`
		}
		read := func(query string) (c around) {
			w.get("alice", "/rooms/"+url.PathEscape(id)+"/context/"+url.PathEscape(ids[10])+query).into(&c)
			return c
		}
		for _, tc := range []struct{ query, before, after string }{
			{"", "9 8 7 6 5", "11 12 13 14 15"},
			{"?limit=4", "9 8", "11 12"},
			{"?limit=1", "", "11"},
			{"?limit=0", "", ""},
			{"?limit=4&filter=" + url.PathEscape(`{"senders":["@bob:test"]}`), "9 7", "11 13"},
		} {
			c := read(tc.query)
			if c.Event.text() != "10" || texts(c.Before) != tc.before || texts(c.After) != tc.after {
				t.Errorf("%s: %q [%s] %q", tc.query, texts(c.Before), c.Event.text(), texts(c.After))
			}
		}
		c := read("?limit=4")
		if len(c.State) < 7 {
			t.Errorf("%d pieces of state", len(c.State))
		}
		var older, newer chunk
		w.get("alice", "/rooms/%s/messages?dir=b&limit=2&from=%s", id, c.Start).into(&older)
		w.get("alice", "/rooms/%s/messages?dir=f&limit=2&from=%s", id, c.End).into(&newer)
		if texts(older.Chunk) != "7 6" || texts(newer.Chunk) != "13 14" {
			t.Errorf("on from the context: %q and %q", texts(older.Chunk), texts(newer.Chunk))
		}
		lazy := read("?limit=0&filter=" + url.PathEscape(`{"lazy_load_members":true,"types":["m.room.m*"]}`))
		if len(lazy.State) != 1 || *lazy.State[0].StateKey != "@alice:test" {
			t.Errorf("lazy state is %+v", lazy.State)
		}
		w.get("alice", "/rooms/%s/context/%s", id, "$none").fails(404, mxerr.NotFound)
		w.get("alice", "/rooms/%s/context/%s?limit=-1", id, ids[0]).fails(400, mxerr.InvalidParam)
		w.get("carol", "/rooms/%s/context/%s", id, ids[0]).fails(403, mxerr.Forbidden)
	})
}

// Reading history is bound to 50,000 events a second on one core.
func BenchmarkMessages(b *testing.B) {
	w := newTown(b, storetest.Open(b, dbtest.SQLite(b)))
	id := w.public("bob")
	for n := range 2000 {
		body := fmt.Appendf(nil, `{"body":"Message number %d, which says about as much as others do.","msgtype":"m.text"}`, n)
		if _, err := w.doors.Engine.Send(context.Background(), id, room.Draft{Sender: "@bob:test", Type: "m.room.message", Content: body}); err != nil {
			b.Fatal(err)
		}
	}
	events := 0
	from := ""
	for b.Loop() {
		rep := w.get("alice", "/rooms/%s/messages?dir=b&limit=100"+from, id)
		if rep.status != 200 {
			b.Fatal(string(rep.body))
		}
		events += 100
		from = ""
		if _, end, ok := strings.Cut(string(rep.body), `"end":"`); ok {
			from = "&from=" + end[:strings.IndexByte(end, '"')]
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
