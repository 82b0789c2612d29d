package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"hearth/base/config"
	"hearth/base/db/dbtest"
	"hearth/e2e"
)

// TestOperatorChangesLimits: what is set for one user counts for that user, at
// once, and for nobody else.
func TestOperatorChangesLimits(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, source string) {
		if !strings.HasPrefix(source, "postgres") {
			source = ""
		}
		h := newHouse(t, source, func(c *config.Config) { c.Limits.Enabled = true })
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		path := admin + "/users/" + alice.UserID + "/override_ratelimit"
		// tries is how often somebody can say that they type until it is too often.
		id := room(t, alice, bob)
		tries := func(who *e2e.Client) int {
			for i := range 200 {
				err := who.Do(t.Context(), http.MethodPut, v3+"/rooms/"+url.PathEscape(id)+"/typing/"+who.UserID, map[string]any{"typing": false}, nil)
				if e, ok := err.(*e2e.StatusError); ok && e.Code == "M_LIMIT_EXCEEDED" {
					return i
				} else if err != nil {
					t.Fatal(err)
				}
			}
			return 200
		}
		if got := ask(t, root, "GET", path, nil); len(got) != 0 {
			t.Errorf("before: %v", got)
		}
		hasKeys(t, "the override", ask(t, root, "POST", path, map[string]int{"messages_per_second": 1, "burst_count": 3}), "burst_count messages_per_second")
		if n := tries(alice); n < 3 || n > 6 {
			t.Errorf("alice may do it %d times, want 3", n)
		}
		if n := tries(bob); n < 40 || n == 200 {
			t.Errorf("bob may do it %d times", n)
		}
		ask(t, root, "POST", path, map[string]int{})
		if got := ask(t, root, "GET", path, nil); got["messages_per_second"] != 0.0 || got["burst_count"] != 0.0 {
			t.Errorf("without limits: %v", got)
		}
		if n := tries(alice); n != 200 {
			t.Errorf("alice may do it %d times without limits", n)
		}
		ask(t, root, "DELETE", path, nil)
		if n := tries(alice); n > 100 {
			t.Errorf("alice may do it %d times after the end of the override", n)
		}
		refused(t, root, "POST", path, map[string]int{"burst_count": -1}, "M_INVALID_PARAM")
		refused(t, root, "POST", path, map[string]string{"messages_per_second": "many"}, "M_INVALID_PARAM")
		refused(t, root, "GET", admin+"/users/@nobody:example.test/override_ratelimit", nil, "M_NOT_FOUND")
		refused(t, root, "DELETE", admin+"/users/@x:elsewhere.test/override_ratelimit", nil, "M_UNKNOWN")
	})
}

func TestOperatorLooksAtPeople(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		start := time.Now().UnixMilli()
		first, second := room(t, alice), room(t, alice)
		for _, id := range []string{first, second} {
			ask(t, alice, "POST", v3+"/rooms/"+url.PathEscape(id)+"/invite", map[string]string{"user_id": bob.UserID})
		}
		ask(t, bob, "POST", v3+"/join/"+url.PathEscape(first), nil)
		ask(t, bob, "POST", v3+"/rooms/"+url.PathEscape(first)+"/leave", nil)
		ask(t, bob, "POST", v3+"/join/"+url.PathEscape(first), nil)
		count := func(who *e2e.Client, what string, since int64) any {
			o := ask(t, root, "GET", fmt.Sprintf("%s/users/%s/%s?from_ts=%d", admin, who.UserID, what, since), nil)
			if len(o) != 1 {
				t.Errorf("%s: %v", what, o)
			}
			for _, n := range o {
				return n
			}
			return nil
		}
		future := time.Now().Add(time.Hour).UnixMilli()
		for _, tc := range []struct {
			who   *e2e.Client
			what  string
			since int64
			want  float64
		}{
			{alice, "sent_invite_count", start, 2},
			{alice, "sent_invite_count", future, 0},
			{bob, "sent_invite_count", 0, 0},
			{alice, "cumulative_joined_room_count", start, 2},
			{bob, "cumulative_joined_room_count", start, 1},
			{bob, "cumulative_joined_room_count", future, 0},
		} {
			if got := count(tc.who, tc.what, tc.since); got != tc.want {
				t.Errorf("%s of %s since %d: %v, want %v", tc.what, tc.who.UserID, tc.since, got, tc.want)
			}
		}
		refused(t, root, "GET", admin+"/users/@bob:example.test/sent_invite_count", nil, "M_MISSING_PARAM")

		ask(t, alice, "POST", v3+"/pushers/set", map[string]any{
			"app_id": "app", "pushkey": "key", "kind": "http", "app_display_name": "App", "device_display_name": "Phone", "lang": "en",
			"data": map[string]string{"url": "https://push.example.org/_matrix/push/v1/notify"},
		})
		pushers := ask(t, root, "GET", admin+"/users/@alice:example.test/pushers", nil)
		if pushers["total"] != 1.0 {
			t.Fatalf("pushers: %v", pushers)
		}
		hasKeys(t, "a pusher", pushers["pushers"].([]any)[0], "app_display_name app_id data device_display_name kind lang profile_tag pushkey")

		features := ask(t, root, "GET", admin+"/experimental_features/@alice:example.test", nil)["features"].(map[string]any)
		if features["msc4222"] != true || features["msc3881"] != true || features["msc3575"] != false {
			t.Errorf("features: %v", features)
		}
		put := func(f map[string]bool) error {
			return root.Do(t.Context(), "PUT", admin+"/experimental_features/@alice:example.test", map[string]any{"features": f}, nil)
		}
		if err := put(map[string]bool{"msc4222": true}); err != nil {
			t.Errorf("what is so: %v", err)
		}
		if put(map[string]bool{"msc4222": false}) == nil || put(map[string]bool{"msc1": true}) == nil {
			t.Error("a feature was switched for one user")
		}
		var found []map[string]any
		if err := root.Do(t.Context(), "GET", admin+"/search_users/@root:example.test?term=ALI", nil, &found); err != nil || len(found) != 1 {
			t.Fatalf("found %v, %v", found, err)
		}
		hasKeys(t, "somebody found", found[0], "admin is_guest name password_hash user_type")
		if found[0]["password_hash"] != nil {
			t.Error("the hash of a password is shown")
		}
	})
}

func TestOperatorManagesDevices(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice := h.operatorOf(t), h.user(t, "alice")
		path := "/_synapse/admin/v2/users/" + alice.UserID + "/devices"
		ask(t, root, "POST", path, map[string]string{"device_id": "TOASTER"})
		ask(t, root, "PUT", path+"/TOASTER", map[string]string{"display_name": "Toaster"})
		ask(t, alice, "GET", v3+"/account/whoami", nil)
		if got := ask(t, root, "GET", path, nil)["devices"].([]any)[0].(map[string]any); got["last_seen_user_agent"] != "Go-http-client/1.1" {
			t.Errorf("her own: %v", got)
		}
		if got := ask(t, alice, "GET", v3+"/admin/whois/"+alice.UserID, nil); !strings.Contains(fmt.Sprint(got), "user_agent:Go-http-client/1.1") {
			t.Errorf("whois: %v", got)
		}
		got := ask(t, root, "GET", path+"/TOASTER", nil)
		hasKeys(t, "a device", got, "device_id display_name last_seen_ip last_seen_ts last_seen_user_agent user_id")
		if got["display_name"] != "Toaster" || got["last_seen_user_agent"] != nil {
			t.Errorf("renamed: %v", got)
		}
		if own := ask(t, alice, "GET", v3+"/devices/TOASTER", nil); own["display_name"] != "Toaster" {
			t.Errorf("alice sees %v", own)
		}
		ask(t, root, "PUT", path+"/TOASTER", nil)
		refused(t, root, "PUT", path+"/KETTLE", map[string]string{"display_name": "x"}, "M_NOT_FOUND")
		refused(t, root, "PUT", path+"/KETTLE", nil, "M_NOT_FOUND")
		refused(t, root, "POST", path, nil, "M_UNKNOWN")
		refused(t, root, "PUT", path+"/TOASTER", map[string]string{"display_name": strings.Repeat("x", 300)}, "M_INVALID_PARAM")
		ask(t, root, "POST", "/_synapse/admin/v2/users/"+alice.UserID+"/delete_devices", map[string][]string{"devices": {"TOASTER"}})
		refused(t, root, "GET", path+"/TOASTER", nil, "M_NOT_FOUND")
	})
}

func TestOperatorLooksAround(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice := h.operatorOf(t), h.user(t, "alice")
		make := func(body map[string]any) string {
			return ask(t, alice, "POST", v3+"/createRoom", body)["room_id"].(string)
		}
		space := make(map[string]any{"name": "Space", "creation_content": map[string]string{"type": "m.space"}})
		secret := make(map[string]any{"name": "Secret", "preset": "private_chat"})
		for _, child := range []string{secret, "!gone:elsewhere.test"} {
			ask(t, alice, "PUT", v3+"/rooms/"+url.PathEscape(space)+"/state/m.space.child/"+url.PathEscape(child), map[string]any{"via": []string{"example.test"}})
		}
		path := admin + "/rooms/" + url.PathEscape(space) + "/hierarchy"
		refused(t, root, "GET", "/_matrix/client/v1/rooms/"+url.PathEscape(space)+"/hierarchy", nil, "M_FORBIDDEN")
		page := ask(t, root, "GET", path+"?limit=1", nil)
		node := page["rooms"].([]any)[0].(map[string]any)
		if node["name"] != "Space" || len(node["children_state"].([]any)) != 2 || page["next_batch"] == nil {
			t.Fatalf("the space: %v", page)
		}
		rest := ask(t, root, "GET", path+"?from="+page["next_batch"].(string), nil)
		if rooms := rest["rooms"].([]any); len(rooms) != 1 || rooms[0].(map[string]any)["room_id"] != secret || rest["next_batch"] != nil {
			t.Errorf("below the space: %v", rest)
		}
		hasKeys(t, "a room", rest["rooms"].([]any)[0], "children_state guest_can_join join_rule name num_joined_members room_id room_version world_readable")
		refused(t, root, "GET", path+"?from=x", nil, "M_INVALID_PARAM")

		ask(t, alice, "PUT", v3+"/profile/@alice:example.test/displayname", map[string]string{"displayname": "Buy now"})
		ev, err := say(t.Context(), alice, secret, "1", "now")
		if err != nil {
			t.Fatal(err)
		}
		near := ask(t, root, "GET", fmt.Sprintf("%s/rooms/%s/timestamp_to_event?dir=b&ts=%d", admin, url.PathEscape(secret), time.Now().Add(time.Minute).UnixMilli()), nil)
		hasKeys(t, "an event at a time", near, "event_id origin_server_ts")
		if near["event_id"] != ev {
			t.Errorf("the newest event: %v", near)
		}
		if near := ask(t, root, "GET", admin+"/rooms/"+url.PathEscape(secret)+"/timestamp_to_event?ts=0", nil); near["event_id"] == ev {
			t.Errorf("the oldest event: %v", near)
		}
		refused(t, root, "GET", admin+"/rooms/"+url.PathEscape(secret)+"/timestamp_to_event", nil, "M_MISSING_PARAM")

		job := ask(t, root, "POST", admin+"/user/@alice:example.test/redact", map[string]any{"rooms": []string{}})["redact_id"]
		finished(t, root, admin+"/user/redact_status/"+job.(string))
		for _, m := range ask(t, alice, "GET", v3+"/rooms/"+url.PathEscape(secret)+"/members", nil)["chunk"].([]any) {
			if content := m.(map[string]any)["content"]; !reflect.DeepEqual(content, map[string]any{"membership": "join"}) {
				t.Errorf("alice is still shown as %v", content)
			}
		}
		tasks := ask(t, root, "GET", admin+"/scheduled_tasks?action_name=redact_all_events&status=complete&resource_id=@alice:example.test", nil)["scheduled_tasks"].([]any)
		if len(tasks) != 1 || tasks[0].(map[string]any)["id"] != job {
			t.Fatalf("tasks: %v", tasks)
		}
		hasKeys(t, "a task", tasks[0], "action error id resource_id result status timestamp_ms")
		for _, query := range []string{"action_name=purge_history", "action_name=nothing", "job_status=failed", "resource_id=@bob:example.test", "max_timestamp=5"} {
			if tasks := ask(t, root, "GET", admin+"/scheduled_tasks?"+query, nil)["scheduled_tasks"].([]any); len(tasks) != 0 {
				t.Errorf("%s: %v", query, tasks)
			}
		}
		refused(t, root, "GET", admin+"/scheduled_tasks?status=merry", nil, "M_INVALID_PARAM")
	})
}

// TestClosedRooms: nobody gets into a room that the operator has blocked, by
// whatever door, and only those who are in see what it is.
func TestClosedRooms(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		id := room(t, alice)
		space := ask(t, alice, "POST", v3+"/createRoom", map[string]any{"preset": "public_chat", "creation_content": map[string]string{"type": "m.space"}})["room_id"].(string)
		ask(t, alice, "PUT", v3+"/rooms/"+url.PathEscape(space)+"/state/m.space.child/"+url.PathEscape(id), map[string]any{"via": []string{"example.test"}})
		ask(t, root, "PUT", admin+"/rooms/"+url.PathEscape(id)+"/block", map[string]bool{"block": true})

		at := v3 + "/rooms/" + url.PathEscape(id)
		refused(t, bob, "POST", at+"/join", nil, "M_FORBIDDEN")
		refused(t, bob, "POST", v3+"/knock/"+url.PathEscape(id), nil, "M_FORBIDDEN")
		refused(t, bob, "PUT", at+"/state/m.room.member/"+bob.UserID, map[string]string{"membership": "join"}, "M_FORBIDDEN")
		refused(t, alice, "POST", at+"/invite", map[string]string{"user_id": bob.UserID}, "M_FORBIDDEN")
		refused(t, alice, "PUT", at+"/state/m.room.member/"+bob.UserID, map[string]string{"membership": "invite"}, "M_FORBIDDEN")
		refused(t, alice, "GET", at+"/initialSync", nil, "M_FORBIDDEN")
		if _, err := say(t.Context(), alice, id, "1", "still in"); err != nil {
			t.Errorf("who is in cannot talk: %v", err)
		}
		summary := "/_matrix/client/v1/room_summary/" + url.PathEscape(id)
		refused(t, bob, "GET", summary, nil, "M_NOT_FOUND")
		ask(t, alice, "GET", summary, nil)
		below := func(who *e2e.Client) int {
			return len(ask(t, who, "GET", "/_matrix/client/v1/rooms/"+url.PathEscape(space)+"/hierarchy", nil)["rooms"].([]any))
		}
		if a, b := below(alice), below(bob); a != 2 || b != 1 {
			t.Errorf("in the space alice sees %d rooms and bob %d, want 2 and 1", a, b)
		}
		ask(t, root, "PUT", admin+"/rooms/"+url.PathEscape(id)+"/block", map[string]bool{"block": false})
		ask(t, bob, "POST", at+"/join", nil)
	})
}

// TestOperatorReadsHistory: an operator reads a room from its beginning unless the
// tool asks otherwise, and a filter does not make pages empty.
func TestOperatorReadsHistory(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice := h.operatorOf(t), h.user(t, "alice")
		id := room(t, alice)
		for i := range 30 {
			if _, err := say(t.Context(), alice, id, fmt.Sprint(i), "words"); err != nil {
				t.Fatal(err)
			}
		}
		path := admin + "/rooms/" + url.PathEscape(id) + "/messages"
		only := "&filter=" + url.QueryEscape(`{"types":["m.room.create"]}`)
		for _, query := range []string{"?limit=1", "?dir=f&limit=1", "?dir=b&limit=2" + only, "?limit=2" + only} {
			page := ask(t, root, "GET", path+query, nil)
			chunk := page["chunk"].([]any)
			if len(chunk) != 1 || chunk[0].(map[string]any)["type"] != "m.room.create" || page["start"] == "" {
				t.Errorf("%s: %v", query, page)
			}
		}
		page := ask(t, root, "GET", path+"?limit=20", nil)
		next := ask(t, root, "GET", path+"?limit=100&from="+page["end"].(string), nil)
		if all := len(page["chunk"].([]any)) + len(next["chunk"].([]any)); next["end"] != nil || all != len(ask(t, root, "GET", path+"?limit=1000", nil)["chunk"].([]any)) {
			t.Errorf("two pages have %d events, then %v", all, next["end"])
		}
		refused(t, root, "GET", path+"?dir=x", nil, "M_INVALID_PARAM")
		refused(t, root, "GET", admin+"/rooms?order_by=luck", nil, "M_INVALID_PARAM")
	})
}

// TestOperatorClosesAnAccount: a name is only gone where the account is erased.
func TestOperatorClosesAnAccount(t *testing.T) {
	h := newHouse(t, "", nil)
	root, alice := h.operatorOf(t), h.user(t, "alice")
	ask(t, alice, "PUT", v3+"/profile/@alice:example.test/displayname", map[string]string{"displayname": "Alice A."})
	ask(t, root, "POST", admin+"/deactivate/@alice:example.test", map[string]bool{"erase": false})
	path := "/_synapse/admin/v2/users/@alice:example.test"
	if u := ask(t, root, "GET", path, nil); u["displayname"] != "Alice A." || u["erased"] != false {
		t.Errorf("a closed account: %v", u)
	}
	refused(t, root, "GET", v3+"/profile/@alice:example.test", nil, "M_NOT_FOUND")
	ask(t, root, "PUT", path, map[string]any{"deactivated": false, "password": "back again"})
	if p := ask(t, root, "GET", v3+"/profile/@alice:example.test", nil); p["displayname"] != "Alice A." {
		t.Errorf("the account that is open again: %v", p)
	}
	ask(t, root, "POST", admin+"/deactivate/@alice:example.test", map[string]bool{"erase": true})
	if u := ask(t, root, "GET", path, nil); u["displayname"] != nil || u["erased"] != true {
		t.Errorf("an erased account: %v", u)
	}
}
