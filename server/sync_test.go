package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"hearth/e2e"
)

// answer is so much of a /sync response as these tests look at.
type answer struct {
	Next     string `json:"next_batch"`
	Presence struct {
		Events []struct{ Sender, Type string }
	}
	Rooms struct {
		Leave map[string]struct {
			Timeline struct{ Events []event }
			State    struct{ Events []event }
		}
	}
}

func sync1(t *testing.T, who *e2e.Client, query url.Values) (a answer) {
	t.Helper()
	if err := who.Do(t.Context(), http.MethodGet, v3+"/sync?"+query.Encode(), nil, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestPresenceOfThoseOneMeets: whoever comes into a room sees who is there, and
// is seen, though nobody's presence changed; and is told once.
func TestPresenceOfThoseOneMeets(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		id := room(t, alice)
		since := map[*e2e.Client]string{alice: sync1(t, alice, nil).Next, bob: sync1(t, bob, nil).Next}
		since[alice] = sync1(t, alice, url.Values{"since": {since[alice]}}).Next
		if err := bob.Do(t.Context(), http.MethodPost, v3+"/join/"+url.PathEscape(id), struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
		for who, other := range map[*e2e.Client]string{alice: "@bob:example.test", bob: "@alice:example.test"} {
			got := sync1(t, who, url.Values{"since": {since[who]}})
			if ev := got.Presence.Events; len(ev) != 1 || ev[0].Sender != other || ev[0].Type != "m.presence" {
				t.Errorf("told %+v, want the presence of %s", ev, other)
			}
			if got = sync1(t, who, url.Values{"since": {got.Next}}); len(got.Presence.Events) != 0 {
				t.Errorf("the presence of %s is told again: %+v", other, got.Presence.Events)
			}
		}
	})
}

// TestForgottenRoomIsLeftEverywhere: a device that was away when the user left
// and forgot a room learns that; a new one never hears of the room.
func TestForgottenRoomIsLeftEverywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		id := room(t, alice, h.user(t, "bob"))
		since := sync1(t, alice, nil).Next
		for _, step := range []string{"/leave", "/forget"} {
			if err := alice.Do(t.Context(), http.MethodPost, v3+"/rooms/"+url.PathEscape(id)+step, struct{}{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := sync1(t, alice, url.Values{"since": {since}}).Rooms.Leave[id]; !ok {
			t.Error("the device that was away does not learn that the room was left")
		}
		if _, ok := sync1(t, alice, url.Values{"filter": {`{"room":{"include_leave":true}}`}}).Rooms.Leave[id]; ok {
			t.Error("a new device is shown a forgotten room")
		}
	})
}

// TestArchiveWithoutTimeline: who asks for no timeline gets none of the rooms
// that were left either, but their state up to the end.
func TestArchiveWithoutTimeline(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		id := room(t, alice, bob)
		if err := bob.Do(t.Context(), http.MethodPost, v3+"/rooms/"+url.PathEscape(id)+"/leave", struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
		got := sync1(t, bob, url.Values{"filter": {`{"room":{"include_leave":true,"timeline":{"limit":0}}}`}}).Rooms.Leave[id]
		if len(got.Timeline.Events) != 0 || len(got.State.Events) == 0 {
			t.Errorf("%d events in the timeline and %d in the state, want none and some", len(got.Timeline.Events), len(got.State.Events))
		}
	})
}

// TestJoinTellsMore: what a client adds to its join is in its member event, but
// for what only the server may say.
func TestJoinTellsMore(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		id := room(t, alice)
		more := map[string]any{"org.example.seat": "12A", "membership": "ban", "join_authorised_via_users_server": "@alice:example.test"}
		if err := bob.Do(t.Context(), http.MethodPost, v3+"/join/"+url.PathEscape(id), more, nil); err != nil {
			t.Fatal(err)
		}
		var got map[string]json.RawMessage
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/rooms/"+url.PathEscape(id)+"/state/m.room.member/"+url.PathEscape("@bob:example.test"), nil, &got); err != nil {
			t.Fatal(err)
		}
		if string(got["org.example.seat"]) != `"12A"` || string(got["membership"]) != `"join"` || got["join_authorised_via_users_server"] != nil {
			t.Errorf("bob's member event says %s", got)
		}
	})
}

// TestInitialSyncShowsWhoIsThere: the sync of old has the presence of those who
// share a room with the user, and of nobody else.
func TestInitialSyncShowsWhoIsThere(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob, stranger := h.user(t, "alice"), h.user(t, "bob"), h.user(t, "stranger")
		room(t, alice, bob)
		for _, who := range []*e2e.Client{bob, stranger} {
			sync1(t, who, nil)
		}
		var res struct {
			Presence []struct {
				Sender, Type string
				Content      struct{ Presence string }
			}
		}
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/initialSync", nil, &res); err != nil {
			t.Fatal(err)
		}
		if p := res.Presence; len(p) != 1 || p[0].Sender != bob.UserID || p[0].Type != "m.presence" || p[0].Content.Presence != "online" {
			t.Errorf("alice is told %+v", p)
		}
	})
}

// TestLogoutEndsSync: a client that waits is told when its session ends, and hears
// nothing of what comes after.
func TestLogoutEndsSync(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice := h.operatorOf(t), h.user(t, "alice")
		in := room(t, alice)
		log := func() *e2e.Client {
			c := e2e.NewClient(h.url, h.http)
			if err := c.Login(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			return c
		}
		lock := func(on bool) {
			ask(t, root, http.MethodPut, "/_matrix/client/v1/admin/lock/@alice:example.test", map[string]bool{"locked": on})
		}
		slides := "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
		for name, tc := range map[string]struct {
			end  func(c *e2e.Client)
			code string
		}{
			"logout": {func(c *e2e.Client) { ask(t, c, http.MethodPost, v3+"/logout", nil) }, "M_UNKNOWN_TOKEN"},
			"lock":   {func(*e2e.Client) { lock(true) }, "M_USER_LOCKED"},
		} {
			for _, sliding := range []bool{false, true} {
				c := log()
				answer := make(chan error, 1)
				if sliding {
					first := ask(t, c, http.MethodPost, slides, map[string]any{"room_subscriptions": map[string]any{in: map[string]any{"timeline_limit": 1, "required_state": []any{}}}})
					go func() {
						answer <- c.Do(t.Context(), http.MethodPost, slides+"?timeout=60000&pos="+url.QueryEscape(first["pos"].(string)), map[string]any{}, nil)
					}()
				} else {
					first := ask(t, c, http.MethodGet, v3+"/sync", nil)
					go func() {
						answer <- c.Do(t.Context(), http.MethodGet, v3+"/sync?timeout=60000&since="+first["next_batch"].(string), nil, nil)
					}()
				}
				tc.end(c)
				if err := <-answer; !is(err, 401, tc.code) {
					t.Errorf("%s, sliding %v: the client that waits gets %v", name, sliding, err)
				}
				if name == "lock" {
					lock(false)
				}
			}
		}
	})
}

// TestComingIntoATalk: who comes into a room is told that there was something
// before, also where a filter shows all messages and nothing else.
func TestComingIntoATalk(t *testing.T) {
	h := newHouse(t, "", nil)
	alice, bob := h.user(t, "alice"), h.user(t, "bob")
	r := room(t, alice)
	if _, err := say(t.Context(), alice, r, "1", "words"); err != nil {
		t.Fatal(err)
	}
	filter := url.QueryEscape(`{"room":{"timeline":{"limit":10,"types":["m.room.message"]}}}`)
	since := ask(t, bob, http.MethodGet, v3+"/sync?filter="+filter, nil)["next_batch"].(string)
	if err := bob.Do(t.Context(), http.MethodPost, v3+"/join/"+url.PathEscape(r), struct{}{}, nil); err != nil {
		t.Fatal(err)
	}
	joined := ask(t, bob, http.MethodGet, v3+"/sync?filter="+filter+"&since="+since, nil)["rooms"].(map[string]any)["join"].(map[string]any)
	timeline := joined[r].(map[string]any)["timeline"].(map[string]any)
	if timeline["limited"] != true || len(timeline["events"].([]any)) != 1 {
		t.Errorf("bob is told %v", timeline)
	}
}
