package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/e2e"
)

const v1client = "/_matrix/client/v1"

// status is the status of a request that must fail.
func status(t *testing.T, who *e2e.Client, method, path string, body any) int {
	t.Helper()
	err := who.Do(t.Context(), method, path, body, nil)
	got, ok := err.(*e2e.StatusError)
	if !ok {
		t.Errorf("%s %s: %v, want a refusal", method, path, err)
		return 0
	}
	return got.Status
}

// TestSuspended: bob may read, take back his own words and leave, and nothing by
// which others would notice him.
func TestSuspended(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		kitchen := room(t, alice, bob)
		in := v3 + "/rooms/" + url.PathEscape(kitchen)
		his, err := say(t.Context(), bob, kitchen, "1", "spam")
		if err != nil {
			t.Fatal(err)
		}
		hers, err := say(t.Context(), alice, kitchen, "1", "soup")
		if err != nil {
			t.Fatal(err)
		}
		ask(t, root, http.MethodPost, admin+"/send_server_notice", map[string]any{"user_id": "@bob:example.test", "content": map[string]string{"msgtype": "m.text", "body": "Stop it"}})
		later := ask(t, bob, http.MethodPost, "/_matrix/media/v1/create", nil)["content_uri"].(string)
		path := v1client + "/admin/suspend/" + url.PathEscape("@bob:example.test")
		if got := ask(t, root, http.MethodGet, path, nil); got["suspended"] != false {
			t.Errorf("before: %v", got)
		}
		if got := ask(t, root, http.MethodPut, path, map[string]bool{"suspended": true}); got["suspended"] != true {
			t.Errorf("suspend: %v", got)
		}
		for _, try := range []struct {
			method, path string
			body         any
		}{
			{http.MethodPut, in + "/send/m.room.message/2", map[string]string{"msgtype": "m.text", "body": "spam"}},
			{http.MethodPut, in + "/state/m.room.topic/", map[string]string{"topic": "spam"}},
			{http.MethodPut, in + "/state/m.room.member/" + url.PathEscape("@bob:example.test"), map[string]string{"membership": "join", "displayname": "spam"}},
			{http.MethodPut, in + "/redact/" + url.PathEscape(hers) + "/3", map[string]string{}},
			{http.MethodPut, in + "/send/m.room.message/4?org.matrix.msc4140.delay=60000", map[string]string{"msgtype": "m.text", "body": "spam"}},
			{http.MethodPost, in + "/invite", map[string]string{"user_id": "@root:example.test"}},
			{http.MethodPost, in + "/upgrade", map[string]string{"new_version": "11"}},
			{http.MethodPost, v3 + "/join/" + url.PathEscape(kitchen), nil},
			{http.MethodPost, v3 + "/createRoom", nil},
			{http.MethodPut, v3 + "/profile/@bob:example.test/displayname", map[string]string{"displayname": "spam"}},
			{http.MethodPost, "/_matrix/media/v3/upload", map[string]string{"a": "file"}},
			{http.MethodPost, "/_matrix/media/v1/create", nil},
			{http.MethodPut, "/_matrix/media/v3/upload/example.test/" + strings.TrimPrefix(later, "mxc://example.test/"), map[string]string{"a": "file"}},
			{http.MethodPut, v3 + "/presence/@bob:example.test/status", map[string]string{"presence": "online", "status_msg": "spam"}},
		} {
			refused(t, bob, try.method, try.path, try.body, "M_USER_SUSPENDED")
		}
		ask(t, bob, http.MethodGet, v3+"/sync", nil)
		ask(t, bob, http.MethodPut, in+"/redact/"+url.PathEscape(his)+"/5", map[string]string{})
		// What the specification wants them to be able to do: to verify their devices
		// takes messages between these.
		ask(t, bob, http.MethodPut, v3+"/sendToDevice/m.key.verification.request/6", map[string]any{
			"messages": map[string]any{"@bob:example.test": map[string]any{"*": map[string]string{"from_device": "PHONE"}}},
		})
		version := ask(t, bob, http.MethodPost, v3+"/room_keys/version", map[string]any{"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": map[string]string{"public_key": "x"}})["version"].(string)
		ask(t, bob, http.MethodPut, v3+"/room_keys/keys?version="+version, map[string]any{"rooms": map[string]any{}})
		notices := ""
		for id := range ask(t, bob, http.MethodGet, v3+"/sync", nil)["rooms"].(map[string]any)["invite"].(map[string]any) {
			notices = id
		}
		refused(t, bob, http.MethodPost, v3+"/join/"+url.PathEscape(notices), nil, "M_USER_SUSPENDED")
		ask(t, bob, http.MethodPost, in+"/leave", nil)
		if err := bob.Login(t.Context(), "bob"); err != nil {
			t.Errorf("another session: %v", err)
		}
		if got := ask(t, root, http.MethodPut, admin+"/suspend/@bob:example.test", map[string]bool{"suspend": false}); got["user_@bob:example.test_suspended"] != false {
			t.Errorf("the old way back: %v", got)
		}
		ask(t, bob, http.MethodPost, v3+"/join/"+url.PathEscape(kitchen), nil)
	})
}

// TestSuspendedMeanwhile: what bob has scheduled is not said, but that he leaves a
// call is.
func TestSuspendedMeanwhile(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		kitchen := ask(t, alice, http.MethodPost, v3+"/createRoom", map[string]any{
			"preset": "public_chat", "power_level_content_override": map[string]any{"events": map[string]int{"org.example.call": 0}},
		})["room_id"].(string)
		ask(t, bob, http.MethodPost, v3+"/join/"+url.PathEscape(kitchen), nil)
		in := v3 + "/rooms/" + url.PathEscape(kitchen)
		const soon = "?org.matrix.msc4140.delay=1000"
		ask(t, bob, http.MethodPut, in+"/send/m.room.message/1"+soon, map[string]string{"msgtype": "m.text", "body": "spam"})
		ask(t, bob, http.MethodPut, in+"/state/org.example.call/"+url.PathEscape("_@bob:example.test_PHONE")+soon, map[string]string{})
		ask(t, root, http.MethodPut, v1client+"/admin/suspend/@bob:example.test", map[string]bool{"suspended": true})
		for deadline := time.Now().Add(20 * time.Second); ; {
			list := ask(t, bob, http.MethodGet, "/_matrix/client/unstable/org.matrix.msc4140/delayed_events", nil)["delayed_events"].([]any)
			if len(list) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("still waiting: %v", list)
			}
			time.Sleep(5 * time.Millisecond) // there is nothing to wait for but the answer
		}
		var said []string
		for _, ev := range ask(t, alice, http.MethodGet, in+"/messages?dir=b&limit=3", nil)["chunk"].([]any) {
			said = append(said, ev.(map[string]any)["type"].(string))
		}
		if said[0] != "org.example.call" || slices.Contains(said, "m.room.message") {
			t.Errorf("alice hears %v", said)
		}
	})
}

// TestLocked: everything but logging out waits, and no session is lost.
func TestLocked(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, bob := h.operatorOf(t), h.user(t, "bob")
		path := v1client + "/admin/lock/@bob:example.test"
		if got := ask(t, root, http.MethodPut, path, map[string]bool{"locked": true}); got["locked"] != true {
			t.Errorf("lock: %v", got)
		}
		refused(t, bob, http.MethodGet, v3+"/sync", nil, "M_USER_LOCKED")
		if got := status(t, bob, http.MethodGet, v3+"/account/whoami", nil); got != 401 {
			t.Errorf("status %d, want 401", got)
		}
		phone := e2e.NewClient(h.url, h.http)
		if err, ok := phone.Login(t.Context(), "bob").(*e2e.StatusError); !ok || err.Code != "M_USER_LOCKED" {
			t.Errorf("login: %v", err)
		}
		if u := ask(t, root, http.MethodGet, "/_synapse/admin/v2/users/@bob:example.test", nil); u["locked"] != true {
			t.Errorf("the operator sees %v", u)
		}
		for query, want := range map[string]int{"": 1, "?locked=true": 2} {
			if got := len(ask(t, root, http.MethodGet, "/_synapse/admin/v2/users"+query, nil)["users"].([]any)); got != want {
				t.Errorf("users%s: %d, want %d", query, got, want)
			}
		}
		ask(t, root, http.MethodPut, "/_synapse/admin/v2/users/@bob:example.test", map[string]bool{"locked": false})
		ask(t, bob, http.MethodGet, v3+"/account/whoami", nil)
		ask(t, root, http.MethodPut, path, map[string]bool{"locked": true})
		ask(t, bob, http.MethodPost, v3+"/logout", nil)
	})
}

// TestModeratorsOfAccounts: who may restrict whom, and what clients are told.
func TestModeratorsOfAccounts(t *testing.T) {
	h := newHouse(t, "", nil)
	root, bob := h.operatorOf(t), h.user(t, "bob")
	for _, kind := range []string{"suspend", "lock"} {
		path, body := v1client+"/admin/"+kind+"/", map[string]bool{"suspended": true, "locked": true}
		refused(t, bob, http.MethodPut, path+"@nobody:example.test", body, "M_FORBIDDEN")
		refused(t, root, http.MethodPut, path+"@root:example.test", body, "M_FORBIDDEN")
		refused(t, root, http.MethodPut, path+"@nobody:example.test", body, "M_NOT_FOUND")
		refused(t, root, http.MethodGet, path+"@bob:elsewhere.test", nil, "M_INVALID_PARAM")
		refused(t, root, http.MethodPut, path+"@bob:example.test", map[string]int{"suspended": 1, "locked": 1}, "M_BAD_JSON")
		refused(t, root, http.MethodPut, path+"@bob:example.test", nil, "M_MISSING_PARAM")
	}
	moderation := func(who *e2e.Client) any {
		return ask(t, who, http.MethodGet, v3+"/capabilities", nil)["capabilities"].(map[string]any)["m.account_moderation"]
	}
	if moderation(root) == nil || moderation(bob) != nil {
		t.Errorf("capabilities: %v for the operator, %v for bob", moderation(root), moderation(bob))
	}
}

// TestShadowBanned: bob believes that he speaks, and alice has peace.
func TestShadowBanned(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		kitchen := room(t, alice, bob)
		last := func() string {
			res := ask(t, alice, http.MethodGet, v3+"/rooms/"+url.PathEscape(kitchen)+"/messages?dir=b&limit=1", nil)
			return res["chunk"].([]any)[0].(map[string]any)["event_id"].(string)
		}
		before := last()
		path := admin + "/users/@bob:example.test/shadow_ban"
		ask(t, root, http.MethodPost, path, nil)
		if id, err := say(t.Context(), bob, kitchen, "1", "spam"); err != nil || id == "" {
			t.Errorf("bob notices: %q, %v", id, err)
		}
		ask(t, bob, http.MethodPost, v3+"/rooms/"+url.PathEscape(kitchen)+"/invite", map[string]string{"user_id": "@root:example.test"})
		if last() != before {
			t.Error("alice hears bob")
		}
		ask(t, root, http.MethodDelete, path, nil)
		id, err := say(t.Context(), bob, kitchen, "2", "sorry")
		if err != nil || last() != id {
			t.Errorf("bob is back: %v", err)
		}
	})
}

// TestAccountExpires when the operator says so, and works again when they say so.
func TestAccountExpires(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, bob := h.operatorOf(t), h.user(t, "bob")
		until := func(at int64) map[string]any {
			return map[string]any{"user_id": "@bob:example.test", "expiration_ts": at}
		}
		const path = admin + "/account_validity/validity"
		ask(t, root, http.MethodPost, path, until(time.Now().Add(-time.Second).UnixMilli()))
		refused(t, bob, http.MethodGet, v3+"/account/whoami", nil, "ORG_MATRIX_EXPIRED_ACCOUNT")
		later := time.Now().Add(time.Hour).UnixMilli()
		if res := ask(t, root, http.MethodPost, path, until(later)); res["expiration_ts"] != float64(later) {
			t.Errorf("renewed: %v", res)
		}
		ask(t, bob, http.MethodGet, v3+"/account/whoami", nil)
		refused(t, root, http.MethodPost, path, map[string]any{"user_id": "@bob:example.test"}, "M_MISSING_PARAM")
		refused(t, root, http.MethodPost, path, map[string]any{"user_id": "@nobody:example.test", "expiration_ts": 1}, "M_NOT_FOUND")
	})
}

// TestKnownElsewhere: operators note what else people are known as, and find them
// by it.
func TestKnownElsewhere(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root := h.operatorOf(t)
		h.user(t, "alice")
		h.user(t, "bob")
		const users = "/_synapse/admin/v2/users/"
		ask(t, root, http.MethodPut, users+"@alice:example.test", map[string]any{
			"threepids":    []any{map[string]string{"medium": "email", "address": "Alice@Example.org"}, map[string]string{"medium": "msisdn", "address": "441632960000"}},
			"external_ids": []any{map[string]string{"auth_provider": "oidc-house", "external_id": "0815"}},
		})
		for path, want := range map[string]string{
			"/threepid/email/users/alice@example.org":  "@alice:example.test",
			"/threepid/email/users/ALICE@example.org":  "@alice:example.test",
			"/threepid/msisdn/users/441632960000":      "@alice:example.test",
			"/auth_providers/oidc-house/users/0815":    "@alice:example.test",
			"/threepid/email/users/nobody@example.org": "",
			"/threepid/pigeon/users/x":                 "",
			"/auth_providers/other/users/0815":         "",
		} {
			if want == "" {
				refused(t, root, http.MethodGet, admin+path, nil, "M_NOT_FOUND")
			} else if got := ask(t, root, http.MethodGet, admin+path, nil); got["user_id"] != want {
				t.Errorf("%s: %v", path, got)
			}
		}
		refused(t, root, http.MethodPut, users+"@bob:example.test", map[string]any{"threepids": []any{map[string]string{"medium": "email", "address": "alice@example.org"}}}, "M_THREEPID_IN_USE")
		if got := status(t, root, http.MethodPut, users+"@bob:example.test", map[string]any{"external_ids": []any{map[string]string{"auth_provider": "oidc-house", "external_id": "0815"}}}); got != 409 {
			t.Errorf("the id of another: status %d, want 409", got)
		}
		u := ask(t, root, http.MethodPut, users+"@alice:example.test", map[string]any{"threepids": []any{}})
		if len(u["threepids"].([]any)) != 0 || len(u["external_ids"].([]any)) != 1 {
			t.Errorf("now: %v", u)
		}
		ask(t, root, http.MethodPost, admin+"/deactivate/@alice:example.test", nil)
		refused(t, root, http.MethodGet, admin+"/auth_providers/oidc-house/users/0815", nil, "M_NOT_FOUND")
	})
}

// TestLoginToken: alice takes a second client in with a token that is good once.
func TestLoginToken(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		refused(t, alice, http.MethodPost, v1client+"/login/get_token", nil, "")
		auth := map[string]any{"auth": map[string]any{
			"type": "m.login.password", "password": e2e.Password("alice"), "identifier": map[string]string{"type": "m.id.user", "user": "alice"},
		}}
		token := ask(t, alice, http.MethodPost, v1client+"/login/get_token", auth)["login_token"]
		login := map[string]any{"type": "m.login.token", "token": token}
		phone := e2e.NewClient(h.url, h.http)
		res := ask(t, phone, http.MethodPost, v3+"/login", login)
		if res["user_id"] != "@alice:example.test" || res["device_id"] == "" {
			t.Errorf("login: %v", res)
		}
		refused(t, phone, http.MethodPost, v3+"/login", login, "M_FORBIDDEN")
		refused(t, phone, http.MethodPost, v3+"/login", map[string]any{"type": "m.login.token"}, "M_MISSING_PARAM")
	})
}

// TestNoSingleSignOn: the server says that it has none, in the words of the
// specification.
func TestNoSingleSignOn(t *testing.T) {
	h := newHouse(t, "", nil)
	c := e2e.NewClient(h.url, h.http)
	refused(t, c, http.MethodGet, v1client+"/auth_metadata", nil, "M_UNRECOGNIZED")
	refused(t, c, http.MethodGet, v3+"/login/sso/redirect?redirectUrl=https%3A%2F%2Fapp.example.org", nil, "M_NOT_FOUND")
	refused(t, c, http.MethodGet, v3+"/login/sso/redirect/google?redirectUrl=https%3A%2F%2Fapp.example.org", nil, "M_NOT_FOUND")
}

// TestGuestStays: a guest gets a password and keeps the name and what was open.
func TestGuestStays(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		guest, bob := h.guest(t), h.user(t, "bob")
		name := guest.UserID[1 : len(guest.UserID)-len(":example.test")]
		c := e2e.NewClient(h.url, h.http)
		with := func(username, token string) map[string]any {
			return map[string]any{"username": username, "password": e2e.Password(name), "guest_access_token": token, "auth": map[string]string{"type": "m.login.dummy"}}
		}
		refused(t, c, http.MethodPost, v3+"/register", with("somebody", guest.Token), "M_INVALID_USERNAME")
		refused(t, c, http.MethodPost, v3+"/register", with("bob", bob.Token), "M_FORBIDDEN")
		refused(t, c, http.MethodPost, v3+"/register", with(name, "nonsense"), "M_FORBIDDEN")
		if res := ask(t, c, http.MethodPost, v3+"/register", with(name, guest.Token)); res["user_id"] != guest.UserID {
			t.Errorf("register: %v", res)
		}
		if err := c.Login(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if who := ask(t, guest, http.MethodGet, v3+"/account/whoami", nil); who["is_guest"] != false {
			t.Errorf("the old token: %v", who)
		}
		refused(t, c, http.MethodPost, v3+"/register", with(name, guest.Token), "M_FORBIDDEN")
	})
}
