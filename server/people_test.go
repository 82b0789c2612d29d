package server_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"hearth/e2e"
)

// TestPeopleFindEachOther: by name and id, whatever the case, but only those whom
// they may know of.
func TestPeopleFindEachOther(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob, carol := h.user(t, "alice"), h.user(t, "bob"), h.user(t, "carol")
		ask(t, alice, http.MethodPut, v3+"/profile/@alice:example.test/displayname", map[string]string{"displayname": "Änne Fire"})
		find := func(who *e2e.Client, term string) (ids []string) {
			for _, r := range ask(t, who, http.MethodPost, v3+"/user_directory/search", map[string]string{"search_term": term})["results"].([]any) {
				ids = append(ids, r.(map[string]any)["user_id"].(string))
			}
			return ids
		}
		if got := find(bob, "fire"); got != nil {
			t.Errorf("bob has nothing to do with alice, and finds %v", got)
		}
		private := ask(t, alice, http.MethodPost, v3+"/createRoom", map[string]any{"invite": []string{"@bob:example.test"}})["room_id"].(string)
		ask(t, bob, http.MethodPost, v3+"/join/"+url.PathEscape(private), nil)
		for _, term := range []string{"änne", "FIRE", "@alice", "alice:example.test", "fire änne", "anne"} {
			if got := find(bob, term); len(got) != 1 || got[0] != "@alice:example.test" {
				t.Errorf("bob looks for %q: %v", term, got)
			}
			if got := find(carol, term); got != nil {
				t.Errorf("carol looks for %q: %v", term, got)
			}
		}
		room(t, alice) // a public one
		if got := find(carol, "fire"); len(got) != 1 {
			t.Errorf("carol looks for somebody in a public room: %v", got)
		}
		if got := find(alice, "alice"); got != nil {
			t.Errorf("alice finds herself: %v", got)
		}
		res := ask(t, carol, http.MethodPost, v3+"/user_directory/search", map[string]any{"search_term": "example", "limit": 0})
		if res["limited"] != true || len(res["results"].([]any)) != 0 {
			t.Errorf("a limit of 0: %v", res)
		}
	})
}

// TestServerSpeaks: a notice comes into a room that one cannot refuse, and the
// next into the same.
func TestServerSpeaks(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice := h.operatorOf(t), h.user(t, "alice")
		notice := map[string]any{"user_id": "@alice:example.test", "content": map[string]string{"msgtype": "m.text", "body": "The server moves"}}
		first := ask(t, root, http.MethodPut, admin+"/send_server_notice/txn", notice)["event_id"]
		if again := ask(t, root, http.MethodPut, admin+"/send_server_notice/txn", notice)["event_id"]; again != first {
			t.Errorf("the same request made %v and %v", first, again)
		}
		var invited struct {
			Rooms struct {
				Invite map[string]struct{}
			}
		}
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/sync", nil, &invited); err != nil || len(invited.Rooms.Invite) != 1 {
			t.Fatalf("alice is invited to %v, %v", invited.Rooms.Invite, err)
		}
		for id := range invited.Rooms.Invite {
			path := v3 + "/rooms/" + url.PathEscape(id)
			refused(t, alice, http.MethodPost, path+"/leave", nil, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM")
			ask(t, alice, http.MethodPost, path+"/join", nil)
			if tags := ask(t, alice, http.MethodGet, v3+"/user/@alice:example.test/rooms/"+url.PathEscape(id)+"/tags", nil)["tags"].(map[string]any); tags["m.server_notice"] == nil {
				t.Errorf("tags: %v", tags)
			}
			if _, err := say(t.Context(), alice, id, "1", "hello?"); err == nil {
				t.Error("alice talks in the server's room")
			}
			ask(t, alice, http.MethodPost, path+"/leave", nil)
			ask(t, root, http.MethodPost, admin+"/send_server_notice", notice)
			ask(t, alice, http.MethodPost, path+"/join", nil) // she was invited again
		}
		refused(t, h.user(t, "bob"), http.MethodPost, admin+"/send_server_notice", notice, "M_FORBIDDEN")
		refused(t, root, http.MethodPost, admin+"/send_server_notice", map[string]any{"user_id": "@nobody:example.test", "content": struct{}{}}, "M_NOT_FOUND")
		thief := e2e.NewClient(h.url, h.http)
		if err := thief.Register(t.Context(), "user", "_server"); err == nil {
			t.Error("somebody registered the server's own name")
		}
	})
}

func TestReportsReachTheOperator(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob, carol := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob"), h.user(t, "carol")
		id := room(t, alice, bob)
		said, err := say(t.Context(), bob, id, "1", "rude")
		if err != nil {
			t.Fatal(err)
		}
		path := v3 + "/rooms/" + url.PathEscape(id)
		ask(t, alice, http.MethodPost, path+"/report/"+url.PathEscape(said), map[string]any{"reason": "rude words", "score": -50})
		ask(t, carol, http.MethodPost, path+"/report", map[string]any{"reason": "the whole room"})
		ask(t, alice, http.MethodPost, v3+"/users/@bob:example.test/report", map[string]any{"reason": "bob"})
		ask(t, alice, http.MethodPost, v3+"/users/@nobody:example.test/report", map[string]any{"reason": "who?"})
		refused(t, carol, http.MethodPost, path+"/report/"+url.PathEscape(said), map[string]any{}, "M_NOT_FOUND")
		refused(t, alice, http.MethodPost, path+"/report/"+url.PathEscape(said), map[string]any{"score": 1}, "M_INVALID_PARAM")

		list := ask(t, root, http.MethodGet, admin+"/event_reports", nil)
		if list["total"] != 1.0 {
			t.Fatalf("reports: %v", list)
		}
		one := list["event_reports"].([]any)[0].(map[string]any)
		for field, want := range map[string]any{"reason": "rude words", "score": -50.0, "sender": "@bob:example.test", "user_id": "@alice:example.test", "room_id": id, "event_id": said} {
			if one[field] != want {
				t.Errorf("%s is %v, want %v", field, one[field], want)
			}
		}
		for query, want := range map[string]float64{
			"user_id=ALICE": 1, "user_id=bob": 0, "event_sender_user_id=ob:exam": 1, "room_id=" + url.QueryEscape(id[1:6]): 1, "room_id=%25": 0,
		} {
			if got := ask(t, root, http.MethodGet, admin+"/event_reports?"+query, nil)["total"]; got != want {
				t.Errorf("reports with %s: %v, want %v", query, got, want)
			}
		}
		refused(t, root, http.MethodGet, admin+"/event_reports?dir=x", nil, "M_INVALID_PARAM")
		report := admin + "/event_reports/" + url.PathEscape(jsonNumber(one["id"]))
		if d := ask(t, root, http.MethodGet, report, nil); d["event_json"] == nil {
			t.Errorf("detail: %v", d)
		}
		ask(t, root, http.MethodDelete, report, nil)
		refused(t, root, http.MethodGet, report, nil, "M_NOT_FOUND")
		if users := ask(t, root, http.MethodGet, admin+"/user_reports", nil); users["total"] != 1.0 || users["user_reports"].([]any)[0].(map[string]any)["target_user_id"] != "@bob:example.test" {
			t.Errorf("user reports: %v", users)
		}
	})
}

// TestProofOfIdentity: a token tells a service outside who somebody is, and opens
// nothing.
func TestProofOfIdentity(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		got := ask(t, alice, http.MethodPost, v3+"/user/@alice:example.test/openid/request_token", nil)
		if got["matrix_server_name"] != "example.test" || got["token_type"] != "Bearer" || got["expires_in"] != 3600.0 {
			t.Errorf("token: %v", got)
		}
		token := got["access_token"].(string)
		outside := e2e.NewClient(h.url, h.http)
		const info = "/_matrix/federation/v1/openid/userinfo?access_token="
		if who := ask(t, outside, http.MethodGet, info+token, nil); who["sub"] != "@alice:example.test" {
			t.Errorf("it is of %v", who)
		}
		refused(t, outside, http.MethodGet, info+"nonsense", nil, "M_UNKNOWN_TOKEN")
		outside.Token = token
		refused(t, outside, http.MethodGet, v3+"/account/whoami", nil, "M_UNKNOWN_TOKEN")
		refused(t, h.user(t, "bob"), http.MethodPost, v3+"/user/@alice:example.test/openid/request_token", nil, "M_FORBIDDEN")
	})
}

func jsonNumber(v any) string { return strconv.FormatInt(int64(v.(float64)), 10) }
