package server_test

import (
	"net/http"
	"net/url"
	"testing"

	"hearth/e2e"
)

// TestErasedWords: who wants to be forgotten is, by those who come later. Those who
// were there keep what they have.
func TestErasedWords(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob, carol := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob"), h.user(t, "carol")
		in := v3 + "/rooms/" + url.PathEscape(room(t, alice))
		join := func(who *e2e.Client) { ask(t, who, http.MethodPost, in+"/join", map[string]any{}) }
		say := func(txn, body string) string {
			return ask(t, bob, http.MethodPut, in+"/send/m.room.message/"+txn, map[string]string{"msgtype": "m.text", "body": body})["event_id"].(string)
		}
		join(bob)
		early := say("1", "a secret of youth")
		join(carol) // who was not there, but could read it before it was erased
		late := say("2", "a secret of age")
		ask(t, bob, http.MethodPut, v3+"/user/@bob:example.test/account_data/my.notes", map[string]string{"a": "b"})
		ask(t, root, http.MethodPost, admin+"/deactivate/@bob:example.test", map[string]any{"erase": true})
		dora := h.user(t, "dora")
		join(dora)
		for who, want := range map[*e2e.Client]bool{alice: true, carol: true, dora: false} {
			for _, id := range []string{early, late} {
				ev := ask(t, who, http.MethodGet, in+"/event/"+url.PathEscape(id), nil)
				if content := ev["content"].(map[string]any); (len(content) > 0) != want || ev["sender"] != "@bob:example.test" {
					t.Errorf("%s sees %v", who.UserID, ev)
				}
			}
			found := 0
			for _, ev := range ask(t, who, http.MethodGet, in+"/messages?dir=b&limit=50", nil)["chunk"].([]any) {
				if ev.(map[string]any)["content"].(map[string]any)["body"] != nil {
					found++
				}
			}
			if (found == 2) != want {
				t.Errorf("%s finds %d messages in the room", who.UserID, found)
			}
			res := ask(t, who, http.MethodPost, v3+"/search", map[string]any{"search_categories": map[string]any{"room_events": map[string]any{"search_term": "secret"}}})
			if n := res["search_categories"].(map[string]any)["room_events"].(map[string]any)["count"]; (n == 2.0) != want {
				t.Errorf("%s finds %v messages with that word", who.UserID, n)
			}
		}
		// Should the account be opened again, its words are back and its data are not.
		ask(t, root, http.MethodPut, "/_synapse/admin/v2/users/@bob:example.test", map[string]any{"deactivated": false, "password": "back again"})
		if ev := ask(t, dora, http.MethodGet, in+"/event/"+url.PathEscape(early), nil); len(ev["content"].(map[string]any)) == 0 {
			t.Errorf("dora sees %v", ev)
		}
		again := e2e.NewClient(h.url, h.http)
		login := ask(t, again, http.MethodPost, v3+"/login", map[string]any{
			"type": "m.login.password", "identifier": map[string]string{"type": "m.id.user", "user": "bob"}, "password": "back again",
		})
		again.Token = login["access_token"].(string)
		refused(t, again, http.MethodGet, v3+"/user/@bob:example.test/account_data/my.notes", nil, "M_NOT_FOUND")
	})
}
