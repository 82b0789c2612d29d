package server_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"hearth/base/config"
	"hearth/base/db/dbtest"
	"hearth/e2e"
)

const stickyFor = "org.matrix.msc4354.sticky_duration_ms="

// stick sends an event that is to be sticky, and returns its id.
func stick(t *testing.T, who *e2e.Client, room, txn, query string) string {
	t.Helper()
	var sent struct {
		ID string `json:"event_id"`
	}
	path := v3 + "/rooms/" + url.PathEscape(room) + "/send/m.rtc.member/" + txn + "?" + query
	if err := who.Do(t.Context(), http.MethodPut, path, map[string]string{"msc4354_sticky_key": txn}, &sent); err != nil {
		t.Fatal(err)
	}
	return sent.ID
}

// chatter fills the timeline of a room, so that clients do not see what was before.
func chatter(t *testing.T, who *e2e.Client, room, name string, n int) {
	t.Helper()
	for i := range n {
		if _, err := say(t.Context(), who, room, fmt.Sprint(name, i), "blah"); err != nil {
			t.Fatal(err)
		}
	}
}

// stuck is an event as clients see it.
type stuck struct {
	ID     string `json:"event_id"`
	Sticky struct {
		Duration int64 `json:"duration_ms"`
	} `json:"msc4354_sticky"`
	Unsigned struct {
		Left int64 `json:"msc4354_sticky_duration_ttl_ms"`
	} `json:"unsigned"`
}

func idsOf(events []stuck) []string {
	out := []string{}
	for _, ev := range events {
		out = append(out, ev.ID)
	}
	return out
}

// seen is what one answer says of a room, in either kind of sync.
type seen struct {
	timeline, sticky []stuck
	everywhere       []string // what is sticky, of all rooms
}

// look asks a kind of sync what is new in a room. "" is everything.
type look func(t *testing.T, who *e2e.Client, room, since string) (seen, string)

func lookSync(t *testing.T, who *e2e.Client, room, since string) (seen, string) {
	t.Helper()
	var res struct {
		Next  string `json:"next_batch"`
		Rooms struct {
			Join map[string]struct {
				Timeline struct{ Events []stuck }
				Sticky   struct{ Events []stuck } `json:"msc4354_sticky"`
			}
		}
	}
	if err := who.Do(t.Context(), http.MethodGet, v3+"/sync?since="+url.QueryEscape(since), nil, &res); err != nil {
		t.Fatal(err)
	}
	got := seen{timeline: res.Rooms.Join[room].Timeline.Events, sticky: res.Rooms.Join[room].Sticky.Events}
	for _, in := range res.Rooms.Join {
		got.everywhere = append(got.everywhere, idsOf(in.Sticky.Events)...)
	}
	return got, res.Next
}

const slidePath = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"

type slid struct {
	Pos   string
	Rooms map[string]struct{ Timeline []stuck }
	Ext   struct {
		Sticky struct {
			Next  string `json:"next_batch"`
			Rooms map[string]struct{ Events []stuck }
		} `json:"org.matrix.msc4354.sticky_events"`
	} `json:"extensions"`
}

func (s *slid) seen(room string) seen {
	got := seen{timeline: s.Rooms[room].Timeline, sticky: s.Ext.Sticky.Rooms[room].Events}
	for _, in := range s.Ext.Sticky.Rooms {
		got.everywhere = append(got.everywhere, idsOf(in.Events)...)
	}
	return got
}

// slideFor asks for the room that was active last; others are only matched.
func slideFor(t *testing.T, who *e2e.Client, pos string, sticky map[string]any) (res slid) {
	t.Helper()
	sticky["enabled"] = true
	body := map[string]any{
		"lists":      map[string]any{"all": map[string]any{"ranges": [][]int{{0, 0}}, "timeline_limit": 10, "required_state": []any{}}},
		"extensions": map[string]any{"org.matrix.msc4354.sticky_events": sticky},
	}
	if err := who.Do(t.Context(), http.MethodPost, slidePath+"?timeout=0&pos="+url.QueryEscape(pos), body, &res); err != nil {
		t.Fatal(err)
	}
	return res
}

func lookSliding(t *testing.T, who *e2e.Client, room, since string) (seen, string) {
	t.Helper()
	var at struct{ Pos, Since string }
	if since != "" {
		if err := json.Unmarshal([]byte(since), &at); err != nil {
			t.Fatal(err)
		}
	}
	ask := map[string]any{}
	if at.Since != "" {
		ask["since"] = at.Since
	}
	res := slideFor(t, who, at.Pos, ask)
	at.Pos, at.Since = res.Pos, res.Ext.Sticky.Next
	next, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	return res.seen(room), string(next)
}

func lookSlidingWithoutPaging(t *testing.T, who *e2e.Client, room, pos string) (seen, string) {
	t.Helper()
	res := slideFor(t, who, pos, map[string]any{})
	return res.seen(room), res.Pos
}

func onEachSync(t *testing.T, f func(t *testing.T, h *house, look look)) {
	onBoth(t, func(t *testing.T, h *house) {
		t.Run("sync", func(t *testing.T) { f(t, h, lookSync) })
		t.Run("sliding", func(t *testing.T) { f(t, h, lookSliding) })
		t.Run("sliding without paging", func(t *testing.T) { f(t, h, lookSlidingWithoutPaging) })
	})
}

// somebody opens an account of any name.
func (h *house) somebody(t *testing.T) *e2e.Client {
	t.Helper()
	return h.user(t, strings.ToLower(rand.Text()))
}

// TestStickyEventsAreNotMissed: an event that is sticky comes in the timeline, or
// beside it where the timeline is too short; once.
func TestStickyEventsAreNotMissed(t *testing.T) {
	onEachSync(t, func(t *testing.T, h *house, look look) {
		alice, bob := h.somebody(t), h.somebody(t)
		r := room(t, alice, bob)
		_, since := look(t, bob, r, "")
		plain := stick(t, alice, r, "a", stickyFor+"60000")
		got, since := look(t, bob, r, since)
		if !slices.Contains(idsOf(got.timeline), plain) || len(got.sticky) != 0 {
			t.Errorf("the newest event: %+v", got)
		}
		if ev := got.timeline[len(got.timeline)-1]; ev.Sticky.Duration != 60000 || ev.Unsigned.Left <= 0 || ev.Unsigned.Left > 60000 {
			t.Errorf("the client is told %+v", ev)
		}
		far := stick(t, alice, r, "b", stickyFor+"99999999")
		chatter(t, alice, r, "c", 15)
		got, since = look(t, bob, r, since)
		if want := []string{far}; !slices.Equal(idsOf(got.sticky), want) || slices.Contains(idsOf(got.timeline), far) {
			t.Fatalf("an event before the timeline: %v, want %v", idsOf(got.sticky), want)
		}
		if ev := got.sticky[0]; ev.Sticky.Duration != 3_600_000 || ev.Unsigned.Left > 3_600_000 {
			t.Errorf("an event that wants to be sticky for a day: %+v", ev)
		}
		chatter(t, alice, r, "d", 15)
		if got, since = look(t, bob, r, since); len(got.sticky) != 0 {
			t.Errorf("told again: %v", idsOf(got.sticky))
		}
		if got, _ = look(t, bob, r, ""); !slices.Equal(idsOf(got.sticky), []string{plain, far}) {
			t.Errorf("a new device gets %v", idsOf(got.sticky))
		}
		// Who is redacted is no longer sticky.
		if err := alice.Do(t.Context(), http.MethodPut, v3+"/rooms/"+url.PathEscape(r)+"/redact/"+url.PathEscape(plain)+"/e", struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
		if got, _ = look(t, bob, r, ""); !slices.Equal(idsOf(got.sticky), []string{far}) {
			t.Errorf("after a redaction a new device gets %v", idsOf(got.sticky))
		}
		_ = since
	})
}

// TestWhoComesLaterSeesStickyEvents: though the room shows nobody what was before
// they came.
func TestWhoComesLaterSeesStickyEvents(t *testing.T) {
	onEachSync(t, func(t *testing.T, h *house, look look) {
		alice, bob := h.somebody(t), h.somebody(t)
		r := room(t, alice)
		room(t, bob) // so that bob is somewhere
		state := v3 + "/rooms/" + url.PathEscape(r) + "/state/"
		if err := alice.Do(t.Context(), http.MethodPut, state+"m.room.history_visibility", map[string]string{"history_visibility": "joined"}, nil); err != nil {
			t.Fatal(err)
		}
		first := stick(t, alice, r, "a", stickyFor+"60000")
		chatter(t, alice, r, "b", 15)
		var set struct {
			ID string `json:"event_id"`
		}
		for range 2 { // the same state again is a new event, because it is sticky anew
			old := set.ID
			if err := alice.Do(t.Context(), http.MethodPut, state+"m.call/x?"+stickyFor+"60000", map[string]string{"a": "b"}, &set); err != nil || set.ID == old {
				t.Fatal(set, err)
			}
		}
		_, since := look(t, bob, r, "")
		if err := bob.Do(t.Context(), http.MethodPost, v3+"/join/"+url.PathEscape(r), struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
		got, since := look(t, bob, r, since)
		if ids := idsOf(got.sticky); len(ids) != 3 || ids[0] != first || ids[2] != set.ID {
			t.Errorf("bob gets %v, want %s … %s", ids, first, set.ID)
		}
		if got, _ = look(t, bob, r, since); len(got.sticky) != 0 {
			t.Errorf("told again: %v", idsOf(got.sticky))
		}
	})
}

// TestStickyEventsComeInPages: no answer has more than a hundred, and all come.
func TestStickyEventsComeInPages(t *testing.T) {
	onEachSync(t, func(t *testing.T, h *house, look look) {
		alice, bob := h.somebody(t), h.somebody(t)
		one, other := room(t, alice, bob), room(t, alice, bob)
		var want []string
		for i := range 130 {
			want = append(want, stick(t, alice, []string{one, other}[i%2], fmt.Sprint("a", i), stickyFor+"600000"))
		}
		chatter(t, alice, one, "b", 12)
		chatter(t, alice, other, "c", 12)
		var all []string
		since := ""
		for page := range 3 {
			var got seen
			got, since = look(t, bob, one, since)
			if n := len(got.everywhere); n > 100 || page == 0 && n < 100 || page == 2 && n > 0 {
				t.Errorf("page %d has %d events", page, n)
			}
			all = append(all, got.everywhere...)
		}
		slices.Sort(all)
		slices.Sort(want)
		if !slices.Equal(all, want) {
			t.Errorf("bob got %d events, of which %d are different, of %d", len(all), len(slices.Compact(all)), len(want))
		}
	})
}

// TestFilteredStickyEventsComeAllTheSame: a filter for the timeline is none for
// sticky events; to ignore somebody is.
func TestFilteredStickyEventsComeAllTheSame(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		r := room(t, alice, bob)
		id := stick(t, alice, r, "a", stickyFor+"60000")
		var res struct {
			Rooms struct {
				Join map[string]struct {
					Sticky struct{ Events []stuck } `json:"msc4354_sticky"`
				}
			}
		}
		ask := func() []string {
			t.Helper()
			res.Rooms.Join = nil
			filter := url.QueryEscape(`{"room":{"timeline":{"types":["m.room.message"]}}}`)
			if err := bob.Do(t.Context(), http.MethodGet, v3+"/sync?filter="+filter, nil, &res); err != nil {
				t.Fatal(err)
			}
			return idsOf(res.Rooms.Join[r].Sticky.Events)
		}
		if got := ask(); !slices.Equal(got, []string{id}) {
			t.Errorf("beside a filtered timeline: %v", got)
		}
		ignore := map[string]any{"ignored_users": map[string]any{alice.UserID: struct{}{}}}
		if err := bob.Do(t.Context(), http.MethodPut, v3+"/user/"+bob.UserID+"/account_data/m.ignored_user_list", ignore, nil); err != nil {
			t.Fatal(err)
		}
		if got := ask(); len(got) != 0 {
			t.Errorf("of somebody whom bob ignores: %v", got)
		}
		for _, wrong := range []string{"-1", "soon", "1.5", "99999999999999999999"} {
			err := alice.Do(t.Context(), http.MethodPut, v3+"/rooms/"+url.PathEscape(r)+"/send/m.rtc.member/x?"+stickyFor+wrong, struct{}{}, nil)
			if !is(err, http.StatusBadRequest, "M_INVALID_PARAM") {
				t.Errorf("sticky for %s ms: %v", wrong, err)
			}
		}
		if !features(t, h)["org.matrix.msc4354"] {
			t.Error("clients are not told that events can be sticky")
		}
	})
}

// TestStickyEventsSurviveRestarts, and so do those that are sent later.
func TestStickyEventsSurviveRestarts(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{
		"sqlite": func(*testing.T) string { return "" }, "postgres": func(t *testing.T) string { return dbtest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, database := t.TempDir(), database(t)
			at := func(cfg *config.Config) { cfg.Storage.Dir = dir }
			h := newHouse(t, database, at)
			alice := h.user(t, "alice")
			r := room(t, alice)
			before := stick(t, alice, r, "a", stickyFor+"600000")
			var later struct {
				ID string `json:"delay_id"`
			}
			path := v3 + "/rooms/" + url.PathEscape(r) + "/send/m.rtc.member/b?org.matrix.msc4140.delay=3600000&" + stickyFor + "600000"
			if err := alice.Do(t.Context(), http.MethodPut, path, struct{}{}, &later); err != nil {
				t.Fatal(err)
			}
			h.stop(t)
			h = newHouse(t, database, at)
			alice.URL = h.url
			if err := act(t, h, later.ID, "send"); err != nil {
				t.Fatal(err)
			}
			after := stick(t, alice, r, "c", stickyFor+"600000")
			chatter(t, alice, r, "d", 12)
			got, _ := lookSync(t, alice, r, "")
			if ids := idsOf(got.sticky); len(ids) != 3 || ids[0] != before || ids[2] != after {
				t.Errorf("after the restart: %v, want %s, one that was sent later, %s", ids, before, after)
			}
		})
	}
}
