package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"hearth/e2e"
)

// sendMany sends n messages of a room that refer to an event.
func sendMany(t *testing.T, who *e2e.Client, room, root string, n int) {
	t.Helper()
	manyAtOnce(n, func(i int) {
		path := fmt.Sprintf("%s/rooms/%s/send/m.room.message/many%d", v3, url.PathEscape(room), i)
		body := map[string]any{
			"msgtype": "m.text", "body": "tea", "m.mentions": map[string]bool{"room": true},
			"m.relates_to": map[string]string{"rel_type": "m.reference", "event_id": root},
		}
		if err := who.Do(context.WithoutCancel(t.Context()), http.MethodPut, path, body, nil); err != nil {
			t.Error(err)
		}
	})
}

// TestPagesAreBounded: whatever a client asks for, a page is a page.
func TestPagesAreBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		r := room(t, alice, bob)
		in := v3 + "/rooms/" + url.PathEscape(r)
		root, err := say(t.Context(), alice, r, "root", "root")
		if err != nil {
			t.Fatal(err)
		}
		sendMany(t, alice, r, root, 1050)

		type list []json.RawMessage
		var res struct {
			Chunk         list
			Notifications list
			Before        list `json:"events_before"`
			Categories    struct {
				Events struct {
					Results []struct {
						Context struct {
							Before list `json:"events_before"`
							After  list `json:"events_after"`
						}
					}
				} `json:"room_events"`
			} `json:"search_categories"`
			Joined struct {
				Join map[string]struct{ Timeline struct{ Events list } }
			} `json:"rooms"`
		}
		filter := url.QueryEscape(`{"room":{"timeline":{"limit":1000000}}}`)
		around := 0 // of the search below
		for _, tc := range []struct {
			what, method, path string
			body               any
			count              func() int
			want               int
		}{
			{"history", http.MethodGet, in + "/messages?dir=b&limit=1000000", nil, func() int { return len(res.Chunk) }, 1000},
			{"relations", http.MethodGet, strings.Replace(in, "v3", "v1", 1) + "/relations/" + url.PathEscape(root) + "?limit=1000000", nil, func() int { return len(res.Chunk) }, 500},
			{"notifications", http.MethodGet, v3 + "/notifications?limit=1000000", nil, func() int { return len(res.Notifications) }, 100},
			{"the timeline of /sync", http.MethodGet, v3 + "/sync?filter=" + filter, nil, func() int { return len(res.Joined.Join[r].Timeline.Events) }, 1000},
			{
				"search", http.MethodPost, v3 + "/search",
				map[string]any{"search_categories": map[string]any{"room_events": map[string]any{
					"search_term": "tea", "filter": map[string]any{"limit": 1000000}, "event_context": map[string]int{"before_limit": 1000000, "after_limit": 1000000},
				}}},
				func() int {
					for _, hit := range res.Categories.Events.Results {
						around = max(around, len(hit.Context.Before), len(hit.Context.After))
					}
					return len(res.Categories.Events.Results)
				}, 100,
			},
		} {
			res.Chunk, res.Notifications, res.Joined.Join = nil, nil, nil
			if err := bob.Do(t.Context(), tc.method, tc.path, tc.body, &res); err != nil {
				t.Errorf("%s: %v", tc.what, err)
				continue
			}
			if n := tc.count(); n != tc.want {
				t.Errorf("%s: a page of %d, want %d", tc.what, n, tc.want)
			}
		}
		if around != 50 {
			t.Errorf("search: %d events around a hit, want 50", around)
		}
		var slid struct {
			Rooms map[string]struct{ Timeline list }
		}
		body := map[string]any{"room_subscriptions": map[string]any{r: map[string]any{"timeline_limit": 1000000, "required_state": []any{}}}}
		if err := bob.Do(t.Context(), http.MethodPost, slidePath+"?timeout=0", body, &slid); err != nil || len(slid.Rooms[r].Timeline) != 100 {
			t.Errorf("the timeline of sliding sync: %d events, %v", len(slid.Rooms[r].Timeline), err)
		}
	})
}

// TestNamesOfARoomAreBounded: a room has as many aliases as fit; when one goes,
// another may come.
func TestNamesOfARoomAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	r := room(t, alice)
	name := func(method string, i int) error {
		return alice.Do(t.Context(), method, fmt.Sprintf("%s/directory/room/%s", v3, url.PathEscape(fmt.Sprintf("#n%d:example.test", i))), map[string]string{"room_id": r}, nil)
	}
	manyAtOnce(1000, func(i int) {
		if err := name(http.MethodPut, i); err != nil {
			t.Error(err)
		}
	})
	if err := name(http.MethodPut, 1000); !is(err, http.StatusBadRequest, "M_INVALID_PARAM") {
		t.Errorf("one more than fit: %v", err)
	}
	if err := name(http.MethodDelete, 7); err != nil {
		t.Fatal(err)
	}
	if err := name(http.MethodPut, 1000); err != nil {
		t.Errorf("when one has gone: %v", err)
	}
}

// TestSpacesAreBounded: of a space with very many rooms the first thousand are
// told.
func TestSpacesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	var space struct {
		ID string `json:"room_id"`
	}
	made := map[string]any{"creation_content": map[string]string{"type": "m.space"}}
	if err := alice.Do(t.Context(), http.MethodPost, v3+"/createRoom", made, &space); err != nil {
		t.Fatal(err)
	}
	manyAtOnce(1050, func(i int) {
		path := fmt.Sprintf("%s/rooms/%s/state/m.space.child/%s", v3, url.PathEscape(space.ID), url.PathEscape(fmt.Sprintf("!r%d:example.test", i)))
		if err := alice.Do(t.Context(), http.MethodPut, path, map[string]any{"via": []string{"example.test"}}, nil); err != nil {
			t.Error(err)
		}
	})
	var res struct {
		Rooms []struct {
			Children []json.RawMessage `json:"children_state"`
		}
	}
	if err := alice.Do(t.Context(), http.MethodGet, "/_matrix/client/v1/rooms/"+url.PathEscape(space.ID)+"/hierarchy?limit=1000000", nil, &res); err != nil {
		t.Fatal(err)
	}
	if len(res.Rooms) != 1 || len(res.Rooms[0].Children) != 1000 {
		t.Errorf("%d rooms, the first with %d children", len(res.Rooms), len(res.Rooms[0].Children))
	}
}

// TestDelayedContentIsBounded, as it is when it is sent at once.
func TestDelayedContentIsBounded(t *testing.T) {
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	r := room(t, alice)
	path := v3 + "/rooms/" + url.PathEscape(r) + "/send/m.room.message/big?org.matrix.msc4140.delay=1000"
	err := alice.Do(t.Context(), http.MethodPut, path, map[string]string{"body": strings.Repeat("x", 64<<10)}, nil)
	if !is(err, http.StatusRequestEntityTooLarge, "M_TOO_LARGE") {
		t.Errorf("an event that is too large to be sent: %v", err)
	}
}

// TestManyDevicesAtOnce: no request deletes more devices than somebody can have
// chosen.
func TestManyDevicesAtOnce(t *testing.T) {
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	devices := make([]string, 1001)
	for i := range devices {
		devices[i] = fmt.Sprint("D", i)
	}
	err := alice.Do(t.Context(), http.MethodPost, v3+"/delete_devices", map[string]any{"devices": devices}, nil)
	if !is(err, http.StatusBadRequest, "M_INVALID_PARAM") {
		t.Errorf("1001 devices: %v", err)
	}
}

// TestListsAreBounded: of many rooms and many people one answer has some, and
// says that there are more.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", nil)
	alice, bob := h.user(t, "alice"), h.user(t, "bob")
	var space struct {
		ID string `json:"room_id"`
	}
	made := map[string]any{"creation_content": map[string]string{"type": "m.space"}}
	if err := alice.Do(t.Context(), http.MethodPost, v3+"/createRoom", made, &space); err != nil {
		t.Fatal(err)
	}
	manyAtOnce(105, func(int) {
		child := room(t, alice, bob)
		path := v3 + "/rooms/" + url.PathEscape(space.ID) + "/state/m.space.child/" + url.PathEscape(child)
		if err := alice.Do(t.Context(), http.MethodPut, path, map[string]any{"via": []string{"example.test"}}, nil); err != nil {
			t.Error(err)
		}
	})
	var page struct {
		Rooms []struct{}
		Next  string `json:"next_batch"`
	}
	if err := alice.Do(t.Context(), http.MethodGet, "/_matrix/client/v1/rooms/"+url.PathEscape(space.ID)+"/hierarchy?limit=1000000", nil, &page); err != nil || len(page.Rooms) != 100 || page.Next == "" {
		t.Errorf("the tree of a space: %d rooms, more at %q, %v", len(page.Rooms), page.Next, err)
	}
	var mutual struct {
		Joined []string
		Next   string `json:"next_batch"`
	}
	path := "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id=" + url.QueryEscape(bob.UserID)
	if err := alice.Do(t.Context(), http.MethodGet, path, nil, &mutual); err != nil || len(mutual.Joined) != 100 || mutual.Next == "" {
		t.Errorf("rooms with bob: %d, more at %q, %v", len(mutual.Joined), mutual.Next, err)
	}
	crowd := room(t, alice)
	manyAtOnce(60, func(i int) {
		friend := h.user(t, fmt.Sprint("friend", i))
		if err := friend.Do(t.Context(), http.MethodPost, v3+"/join/"+url.PathEscape(crowd), struct{}{}, nil); err != nil {
			t.Error(err)
		}
	})
	var people struct {
		Limited bool
		Results []struct{}
	}
	if err := alice.Do(t.Context(), http.MethodPost, v3+"/user_directory/search", map[string]any{"search_term": "friend", "limit": 1000000}, &people); err != nil || len(people.Results) != 50 || !people.Limited {
		t.Errorf("people: %d, limited: %v, %v", len(people.Results), people.Limited, err)
	}
	creators := make([]string, 101)
	for i := range creators {
		creators[i] = fmt.Sprintf("@c%d:example.test", i)
	}
	upgrade := map[string]any{"new_version": "12", "additional_creators": creators}
	if err := alice.Do(t.Context(), http.MethodPost, v3+"/rooms/"+url.PathEscape(crowd)+"/upgrade", upgrade, nil); !is(err, http.StatusBadRequest, "M_INVALID_PARAM") {
		t.Errorf("101 creators of a room: %v", err)
	}
}

// TestTooMuchIsRefused: what is more than anybody needs is refused with a word that
// clients understand.
func TestTooMuchIsRefused(t *testing.T) {
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	r := room(t, alice)
	many := func(n int, item func(i int) any) (out []any) {
		for i := range n {
			out = append(out, item(i))
		}
		return out
	}
	friend := func(i int) any { return fmt.Sprintf("@friend%d:example.test", i) }
	state := func(i int) any {
		return map[string]any{"type": "org.example.x", "state_key": fmt.Sprint(i), "content": struct{}{}}
	}
	condition := func(int) any { return map[string]string{"kind": "event_match", "key": "type", "pattern": "x"} }
	rule := func(n int) any {
		return map[string]any{"actions": []string{"notify"}, "conditions": many(n, condition)}
	}
	tag := func(i int) any { return fmt.Sprint("u.", i) }
	slide := func(list map[string]any) any { return map[string]any{"lists": map[string]any{"all": list}} }
	filter := func(n int) any {
		return slide(map[string]any{"range": []int{0, 1}, "timeline_limit": 0, "required_state": []any{}, "filters": map[string]any{"tags": many(n, tag)}})
	}
	wanted := func(n int) any {
		return slide(map[string]any{"range": []int{0, 1}, "timeline_limit": 0, "required_state": map[string]any{"include": many(n, func(i int) any {
			return map[string]string{"type": fmt.Sprint("t", i)}
		})}})
	}
	login := func(n int) any {
		return map[string]any{"type": "m.login.password", "identifier": map[string]string{"type": "m.id.user", "user": "alice"}, "password": strings.Repeat("x", n)}
	}
	avatar := func(n int) any {
		return map[string]string{"avatar_url": "mxc://" + strings.Repeat("x", n-len("mxc://"))}
	}
	const key = "/_matrix/client/v3/keys/device_signing/upload"
	for _, tc := range []struct {
		what, method, path string
		fits, more         any
		code               string
	}{
		{"friends in a new room", "POST", v3 + "/createRoom", map[string]any{"invite": many(100, friend)}, map[string]any{"invite": many(101, friend)}, "M_INVALID_PARAM"},
		{"state of a new room", "POST", v3 + "/createRoom", map[string]any{"initial_state": many(200, state)}, map[string]any{"initial_state": many(201, state)}, "M_INVALID_PARAM"},
		{"conditions of a rule", "PUT", v3 + "/pushrules/global/override/x", rule(64), rule(65), "M_INVALID_PARAM"},
		{"the address of a picture", "PUT", v3 + "/profile/@alice:example.test/avatar_url", avatar(1000), avatar(1001), "M_INVALID_PARAM"},
		{"a filter of rooms", "POST", slidePath + "?timeout=0", filter(1000), filter(1001), "M_INVALID_PARAM"},
		{"wanted state", "POST", slidePath + "?timeout=0", wanted(200), wanted(201), "M_INVALID_PARAM"},
		{"a password", "POST", v3 + "/login", nil, login(513), "M_FORBIDDEN"},
		{"the name of a file", "POST", "/_matrix/media/v3/upload?filename=" + strings.Repeat("x", 256), nil, struct{}{}, "M_TOO_LARGE"},
		{"the name of a file", "POST", "/_matrix/media/v3/upload?filename=" + strings.Repeat("x", 255), struct{}{}, nil, ""},
		{"a key", "POST", key, nil, map[string]any{"master_key": map[string]string{"x": strings.Repeat("x", 32<<10)}}, "M_TOO_LARGE"},
		{"a tag", "PUT", v3 + "/user/@alice:example.test/rooms/" + url.PathEscape(r) + "/tags/" + strings.Repeat("x", 256), nil, struct{}{}, "M_INVALID_PARAM"},
	} {
		if tc.fits != nil {
			if err := alice.Do(t.Context(), tc.method, tc.path, tc.fits, nil); err != nil {
				t.Errorf("%s: as much as fits: %v", tc.what, err)
			}
		}
		if tc.more != nil {
			refused(t, alice, tc.method, tc.path, tc.more, tc.code)
		}
	}
}

// TestManyOldEvents: what is said while a client of the old kind looks away comes in
// pieces, and all of it.
func TestManyOldEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		r := room(t, alice, bob)
		root, err := say(t.Context(), alice, r, "root", "root")
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Chunk []struct {
				ID string `json:"event_id"`
			}
			End string
		}
		from := ask(t, bob, http.MethodGet, v3+"/sync", nil)["next_batch"].(string)
		sendMany(t, alice, r, root, 250)
		seen := map[string]bool{}
		pages := 0
		for ; len(seen) < 250 && pages < 10; pages++ {
			if err := bob.Do(t.Context(), http.MethodGet, v3+"/events?timeout=0&from="+url.QueryEscape(from), nil, &page); err != nil {
				t.Fatal(err)
			}
			if len(page.Chunk) > 100 {
				t.Errorf("%d events at once", len(page.Chunk))
			}
			for _, ev := range page.Chunk {
				if seen[ev.ID] {
					t.Errorf("%s came twice", ev.ID)
				}
				seen[ev.ID] = true
			}
			from = page.End
		}
		if len(seen) != 250 || pages < 3 {
			t.Errorf("%d events came in %d answers", len(seen), pages)
		}
	})
}
