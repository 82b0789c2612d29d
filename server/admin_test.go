package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"testing"
	"time"

	"hearth/e2e"
)

const admin = "/_synapse/admin/v1"

// operatorOf opens an account that may use the admin API.
func (h *house) operatorOf(t *testing.T) *e2e.Client {
	t.Helper()
	if _, err := h.server.Admin().AddUser(t.Context(), "root", e2e.Password("root"), true, ""); err != nil {
		t.Fatal(err)
	}
	c := e2e.NewClient(h.url, h.http)
	if err := c.Login(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask is a request that must succeed; it returns the answer.
func ask(t *testing.T, who *e2e.Client, method, path string, body any) (res map[string]any) {
	t.Helper()
	if err := who.Do(t.Context(), method, path, body, &res); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

// refused is a request that must fail with a code.
func refused(t *testing.T, who *e2e.Client, method, path string, body any, code string) {
	t.Helper()
	err := who.Do(t.Context(), method, path, body, nil)
	if got, ok := err.(*e2e.StatusError); !ok || got.Code != code {
		t.Errorf("%s %s: %v, want %s", method, path, err, code)
	}
}

// finished waits until a job says so.
func finished(t *testing.T, who *e2e.Client, path string) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		res := ask(t, who, http.MethodGet, path, nil)
		if res["status"] == "complete" || res["status"] == "failed" || time.Now().After(deadline) {
			return res
		}
		time.Sleep(5 * time.Millisecond) // there is nothing to wait for but the answer
	}
}

func TestOperatorSeesRooms(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		kitchen := ask(t, alice, http.MethodPost, v3+"/createRoom", map[string]any{
			"name": "Kitchen", "topic": "food", "preset": "public_chat", "room_alias_name": "kitchen", "visibility": "public",
		})["room_id"].(string)
		attic := ask(t, alice, http.MethodPost, v3+"/createRoom", map[string]any{"name": "Attic"})["room_id"].(string)
		ask(t, bob, http.MethodPost, v3+"/join/"+url.PathEscape(kitchen), nil)
		id, err := say(t.Context(), bob, kitchen, "1", "soup")
		if err != nil {
			t.Fatal(err)
		}
		names := func(query string) (names []string) {
			for _, r := range ask(t, root, http.MethodGet, admin+"/rooms?"+query, nil)["rooms"].([]any) {
				names = append(names, r.(map[string]any)["name"].(string))
			}
			return names
		}
		for query, want := range map[string][]string{
			"":                                 {"Attic", "Kitchen"},
			"dir=b":                            {"Kitchen", "Attic"},
			"order_by=joined_members":          {"Kitchen", "Attic"},
			"search_term=kit":                  {"Kitchen"},
			"public_rooms=false":               {"Attic"},
			"empty_rooms=true":                 nil,
			"from=1&limit=1":                   {"Kitchen"},
			"search_term=%23kitchen%3Aexample": {"Kitchen"},
		} {
			if got := names(query); !slices.Equal(got, want) {
				t.Errorf("rooms?%s: %v, want %v", query, got, want)
			}
		}
		if res := ask(t, root, http.MethodGet, admin+"/rooms?limit=0", nil); res["total_rooms"] != 2.0 || len(res["rooms"].([]any)) != 0 {
			t.Errorf("the count alone: %v", res)
		}
		if a := ask(t, root, http.MethodGet, v3+"/rooms/"+url.PathEscape(kitchen)+"/aliases", nil)["aliases"]; !reflect.DeepEqual(a, []any{"#kitchen:example.test"}) {
			t.Errorf("aliases of a room that root is not in: %v", a)
		}
		path := admin + "/rooms/" + url.PathEscape(kitchen)
		d := ask(t, root, http.MethodGet, path, nil)
		for field, want := range map[string]any{
			"name": "Kitchen", "topic": "food", "canonical_alias": "#kitchen:example.test", "joined_members": 2.0, "joined_local_members": 2.0,
			"creator": "@alice:example.test", "public": true, "join_rules": "public", "encryption": nil, "version": "12", "joined_local_devices": 2.0,
		} {
			if d[field] != want {
				t.Errorf("%s is %v, want %v", field, d[field], want)
			}
		}
		if m := ask(t, root, http.MethodGet, path+"/members", nil); m["total"] != 2.0 {
			t.Errorf("members: %v", m)
		}
		if s := ask(t, root, http.MethodGet, path+"/state?type=m.room.name", nil)["state"].([]any); len(s) != 1 {
			t.Errorf("state: %v", s)
		}
		if m := ask(t, root, http.MethodGet, path+"/messages?dir=b&limit=1", nil); m["chunk"].([]any)[0].(map[string]any)["event_id"] != id || m["end"] == nil {
			t.Errorf("messages: %v", m)
		}
		if c := ask(t, root, http.MethodGet, path+"/context/"+url.PathEscape(id), nil); c["event"].(map[string]any)["event_id"] != id || len(c["events_before"].([]any)) == 0 {
			t.Errorf("context: %v", c)
		}
		if e := ask(t, root, http.MethodGet, admin+"/fetch_event/"+url.PathEscape(id), nil); e["event"].(map[string]any)["sender"] != "@bob:example.test" {
			t.Errorf("event: %v", e)
		} else {
			hasKeys(t, "an event by its id", e["event"], "auth_events content depth event_id hashes origin_server_ts prev_events room_id sender signatures type unsigned")
		}
		if x := ask(t, root, http.MethodGet, path+"/forward_extremities", nil); x["count"] != 1.0 {
			t.Errorf("extremities: %v", x)
		}
		if s := ask(t, root, http.MethodGet, admin+"/statistics/database/rooms", nil)["rooms"].([]any); len(s) != 2 || s[0].(map[string]any)["estimated_size"].(float64) < 1000 {
			t.Errorf("sizes: %v", s)
		}
		if j := ask(t, root, http.MethodGet, admin+"/users/@bob:example.test/joined_rooms", nil); j["total"] != 1.0 || j["joined_rooms"].([]any)[0] != kitchen {
			t.Errorf("bob's rooms: %v", j)
		}
		if m := ask(t, root, http.MethodGet, admin+"/users/@alice:example.test/memberships", nil)["memberships"].(map[string]any); m[attic] != "join" {
			t.Errorf("alice's memberships: %v", m)
		}
		refused(t, root, http.MethodGet, admin+"/rooms/!none:example.test", nil, "M_NOT_FOUND")
		refused(t, root, http.MethodGet, admin+"/rooms?order_by=colour", nil, "M_INVALID_PARAM")
		refused(t, alice, http.MethodGet, admin+"/rooms", nil, "M_FORBIDDEN")
	})
}

// TestOperatorClosesARoom: everybody is taken out and put into a room that says
// why; the old one is gone with all that was said, and nobody comes back.
func TestOperatorClosesARoom(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		id := room(t, alice, bob)
		said, err := say(t.Context(), bob, id, "1", "bad words")
		if err != nil {
			t.Fatal(err)
		}
		since := sync1(t, bob, nil).Next
		job := ask(t, root, http.MethodDelete, "/_synapse/admin/v2/rooms/"+url.PathEscape(id), map[string]any{
			"new_room_user_id": "@root:example.test", "room_name": "Notice", "message": "Closed", "block": true,
		})["delete_id"].(string)
		res := finished(t, root, "/_synapse/admin/v2/rooms/delete_status/"+job)
		shut, _ := res["shutdown_room"].(map[string]any)
		if res["status"] != "complete" || len(shut["kicked_users"].([]any)) != 2 || shut["new_room_id"] == nil {
			t.Fatalf("deleted: %v", res)
		}
		refused(t, root, http.MethodGet, admin+"/rooms/"+url.PathEscape(id), nil, "M_NOT_FOUND")
		refused(t, root, http.MethodGet, admin+"/fetch_event/"+url.PathEscape(said), nil, "M_NOT_FOUND")
		refused(t, bob, http.MethodPost, v3+"/join/"+url.PathEscape(id), nil, "M_FORBIDDEN")
		if _, err := say(t.Context(), bob, id, "2", "more"); err == nil {
			t.Error("bob can still talk there")
		}
		for _, query := range []url.Values{{"since": {since}}, nil} { // clients that know the room, and new ones
			sync1(t, bob, query)
		}
		joined := ask(t, bob, http.MethodGet, v3+"/joined_rooms", nil)["joined_rooms"].([]any)
		if len(joined) != 1 || joined[0] != shut["new_room_id"] {
			t.Errorf("bob is in %v", joined)
		}
		if all := ask(t, root, http.MethodGet, "/_synapse/admin/v2/rooms/"+url.PathEscape(id)+"/delete_status", nil)["results"].([]any); len(all) != 1 {
			t.Errorf("jobs on the room: %v", all)
		}
	})
}

func TestOperatorBlocksAndEmpowers(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		id := room(t, alice)
		path := admin + "/rooms/" + url.PathEscape(id)
		ask(t, root, http.MethodPut, path+"/block", map[string]bool{"block": true})
		if b := ask(t, root, http.MethodGet, path+"/block", nil); b["block"] != true || b["user_id"] != "@root:example.test" {
			t.Errorf("blocked: %v", b)
		}
		refused(t, bob, http.MethodPost, v3+"/join/"+url.PathEscape(id), nil, "M_FORBIDDEN")
		ask(t, root, http.MethodPut, path+"/block", map[string]bool{"block": false})
		ask(t, root, http.MethodPost, admin+"/join/"+url.PathEscape(id), map[string]string{"user_id": "@bob:example.test"})
		ask(t, root, http.MethodPost, path+"/make_room_admin", map[string]string{"user_id": "@bob:example.test"})
		ask(t, bob, http.MethodPut, v3+"/rooms/"+url.PathEscape(id)+"/state/m.room.name/", map[string]string{"name": "Bob's"})

		private := ask(t, alice, http.MethodPost, v3+"/createRoom", nil)["room_id"].(string)
		ask(t, root, http.MethodPost, admin+"/rooms/"+url.PathEscape(private)+"/make_room_admin", nil)
		ask(t, root, http.MethodPost, v3+"/join/"+url.PathEscape(private), nil) // was invited with it
	})
}

// TestOperatorTakesBackWords: what a user said is redacted, in all their rooms,
// and old messages can be removed.
func TestOperatorTakesBackWords(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		id := room(t, alice, bob)
		var ids []string
		for i, who := range []*e2e.Client{alice, bob, bob, alice} {
			ev, err := say(t.Context(), who, id, string(rune('a'+i)), "words")
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, ev)
		}
		job := ask(t, root, http.MethodPost, admin+"/user/@bob:example.test/redact", map[string]any{"rooms": []string{}, "reason": "spam"})["redact_id"].(string)
		if res := finished(t, root, admin+"/user/redact_status/"+job); res["status"] != "complete" || len(res["failed_redactions"].(map[string]any)) != 0 {
			t.Errorf("redacted: %v", res)
		}
		body := func(event string) any {
			ev := ask(t, root, http.MethodGet, admin+"/fetch_event/"+url.PathEscape(event), nil)["event"].(map[string]any)
			return ev["content"].(map[string]any)["body"]
		}
		if body(ids[0]) != "words" || body(ids[1]) != nil || body(ids[2]) != nil || body(ids[3]) != "words" {
			t.Errorf("what is left: %v %v %v %v", body(ids[0]), body(ids[1]), body(ids[2]), body(ids[3]))
		}
		purge := ask(t, root, http.MethodPost, admin+"/purge_history/"+url.PathEscape(id)+"/"+url.PathEscape(ids[3]), nil)["purge_id"].(string)
		if res := finished(t, root, admin+"/purge_history_status/"+purge); res["status"] != "complete" {
			t.Errorf("purged: %v", res)
		}
		left := pages(t, alice, id, "f")
		if slices.ContainsFunc(left, func(ev event) bool { return ev.ID == ids[0] }) || !slices.ContainsFunc(left, func(ev event) bool { return ev.ID == ids[3] }) {
			t.Errorf("history after the purge: %v", left)
		}
		if _, err := say(t.Context(), bob, id, "z", "still here"); err != nil {
			t.Errorf("bob cannot talk after the purge: %v", err)
		}
	})
}

func TestOperatorActsAsUser(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice := h.operatorOf(t), h.user(t, "alice")
		id := room(t, alice)
		ask(t, alice, http.MethodPut, v3+"/user/@alice:example.test/rooms/"+url.PathEscape(id)+"/account_data/org.example.x", map[string]int{"n": 1})
		data := ask(t, root, http.MethodGet, admin+"/users/@alice:example.test/accountdata", nil)["account_data"].(map[string]any)
		if in := data["rooms"].(map[string]any)[id].(map[string]any); in["org.example.x"] == nil || data["global"].(map[string]any)["m.push_rules"] == nil {
			t.Errorf("account data: %v", data)
		}
		token := ask(t, root, http.MethodPost, admin+"/users/@alice:example.test/login", nil)["access_token"].(string)
		asAlice := e2e.NewClient(h.url, h.http)
		asAlice.Token = token
		if _, err := say(t.Context(), asAlice, id, "1", "hello"); err != nil {
			t.Error(err)
		}
		if d := ask(t, alice, http.MethodGet, v3+"/devices", nil)["devices"].([]any); len(d) != 1 {
			t.Errorf("alice sees %v", d)
		}
		ask(t, asAlice, http.MethodPost, v3+"/logout", nil)
		refused(t, asAlice, http.MethodGet, v3+"/account/whoami", nil, "M_UNKNOWN_TOKEN")
		ask(t, alice, http.MethodGet, v3+"/account/whoami", nil)
		until := time.Now().Add(-time.Second).UnixMilli()
		old := e2e.NewClient(h.url, h.http)
		old.Token = ask(t, root, http.MethodPost, admin+"/users/@alice:example.test/login", map[string]int64{"valid_until_ms": until})["access_token"].(string)
		refused(t, old, http.MethodGet, v3+"/account/whoami", nil, "M_UNKNOWN_TOKEN")
		refused(t, root, http.MethodPost, admin+"/users/@root:example.test/login", nil, "M_UNKNOWN")
		refused(t, root, http.MethodPost, admin+"/users/@nobody:example.test/login", nil, "M_NOT_FOUND")
		refused(t, root, http.MethodPost, admin+"/users/@alice:example.test/_allow_cross_signing_replacement_without_uia", nil, "M_NOT_FOUND")
		if _, err := json.Marshal(ask(t, root, http.MethodGet, admin+"/background_updates/status", nil)); err != nil {
			t.Error(err)
		}
	})
}
