package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hearth/base/config"
	"hearth/e2e"
)

// second adds another service, which shares some names with the first and is told
// nothing.
func second(t *testing.T, c *config.Config) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "second.yaml")
	text := `id: second
url: null
as_token: second-token
hs_token: x
sender_localpart: secondbot
namespaces:
  users: [{exclusive: false, regex: '@(irc|second)_.*'}]
  aliases: [{exclusive: false, regex: '#(irc|second)_.*'}]
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.AppServices.Files = append(c.AppServices.Files, name)
}

// TestBridgesKeepTheirNames: what a service has for itself nobody else makes or
// takes away, and it does as it likes with it
// (application-service-api/#server-admin-style-permissions).
func TestBridgesKeepTheirNames(t *testing.T) {
	b := newBridge(t)
	register := b.register(t, "")
	h := newHouse(t, "", func(c *config.Config) { register(c); second(t, c) })
	as, other := e2e.NewClient(h.url, h.http), e2e.NewClient(h.url, h.http)
	as.Token, other.Token = "as-token", "second-token"
	alice := h.user(t, "alice")
	r := room(t, alice)
	alias := func(name string) string { return v3 + "/directory/room/" + url.PathEscape("#"+name+":example.test") }
	id := map[string]string{"room_id": r}
	if err := as.Do(t.Context(), http.MethodPut, alias("irc_x"), id, nil); err != nil {
		t.Errorf("a bridge that is not in the room names it: %v", err)
	}
	if err := other.Do(t.Context(), http.MethodPut, alias("second_x"), id, nil); err != nil {
		t.Error(err)
	}
	if err := alice.Do(t.Context(), http.MethodPut, alias("second_y"), id, nil); err != nil {
		t.Errorf("a name that is not for one service alone: %v", err)
	}
	if err := alice.Do(t.Context(), http.MethodPut, alias("kitchen"), id, nil); err != nil {
		t.Error(err)
	}
	put, del := http.MethodPut, http.MethodDelete
	for what, err := range map[string]error{
		"alice takes it away":       alice.Do(t.Context(), del, alias("irc_x"), nil, nil),
		"another service does":      other.Do(t.Context(), del, alias("irc_x"), nil, nil),
		"another gives such a name": other.Do(t.Context(), put, alias("irc_y"), id, nil),
		"a bridge names at will":    as.Do(t.Context(), put, alias("pantry"), id, nil),
		"a bridge takes alice's":    as.Do(t.Context(), del, alias("kitchen"), nil, nil),
		"a bridge creates at will":  as.Do(t.Context(), http.MethodPost, v3+"/createRoom", map[string]string{"room_alias_name": "pantry"}, nil),
		"another registers":         other.Do(t.Context(), http.MethodPost, v3+"/register", map[string]any{"type": "m.login.application_service", "username": "irc_zoe"}, nil),
		"it registers the other":    other.Do(t.Context(), http.MethodPost, v3+"/register", map[string]any{"type": "m.login.application_service", "username": "@irc_zoe:elsewhere.test"}, nil),
	} {
		if !is(err, 400, "M_EXCLUSIVE") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := other.Do(t.Context(), del, alias("second_y"), nil, nil); err != nil {
		t.Errorf("a service takes away a name of its namespace: %v", err)
	}
	if err := as.Do(t.Context(), del, alias("irc_x"), nil, nil); err != nil {
		t.Error(err)
	}
	// A bridge that looks for its own users and rooms is not asked about them.
	for _, path := range []string{alias("irc_none"), v3 + "/profile/" + url.PathEscape("@irc_none:example.test")} {
		if err := as.Do(t.Context(), http.MethodGet, path, nil, nil); !is(err, 404, "M_NOT_FOUND") {
			t.Error(err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) != 0 {
		t.Errorf("the bridge was asked for %q", b.asked)
	}
}

// TestBridgesAreNotCounted: a bridge brings in as many people as it has, unless its
// registration says otherwise.
func TestBridgesAreNotCounted(t *testing.T) {
	b := newBridge(t)
	register := b.register(t, "")
	h := newHouse(t, "", func(c *config.Config) { register(c); second(t, c); c.Limits.Enabled = true })
	as, other := e2e.NewClient(h.url, h.http), e2e.NewClient(h.url, h.http)
	as.Token, other.Token = "as-token", "second-token"
	for i := range 60 {
		name := ghost(t, as, fmt.Sprint("irc_", i))
		if err := actFor(t, as, name, http.MethodPut, v3+"/profile/"+url.PathEscape(name)+"/displayname", map[string]string{"displayname": "Ghost"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; ; i++ {
		err := other.Do(t.Context(), http.MethodPost, v3+"/register", map[string]any{"type": "m.login.application_service", "username": fmt.Sprint("second_", i), "inhibit_login": true}, nil)
		if is(err, 429, "M_LIMIT_EXCEEDED") {
			break
		}
		if err != nil || i == 100 {
			t.Fatalf("after %d: %v", i, err)
		}
	}
	// The service's own user is never counted.
	for range 60 {
		if err := other.Do(t.Context(), http.MethodPut, v3+"/profile/"+url.PathEscape("@secondbot:example.test")+"/displayname", map[string]string{"displayname": "Bot"}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBridgesAreNotAsked: a service makes and deletes devices, and replaces the keys
// of its users, without anybody typing a password
// (application-service-api/#device-management, #cross-signing), also without MSC4190
// in its registration.
func TestBridgesAreNotAsked(t *testing.T) {
	onBothBridged(t, "", func(t *testing.T, h *house, b *bridge, as *e2e.Client) {
		carol := ghost(t, as, "irc_carol")
		for _, name := range []string{"ONE", "TWO", "ONE"} {
			if err := actFor(t, as, carol, http.MethodPut, v3+"/devices/"+name, map[string]string{"display_name": name}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range []string{strings.Repeat("a", 43), strings.Repeat("A", 43)} {
			master := fmt.Sprintf(`{"master_key":{"user_id":%q,"usage":["master"],"keys":{"ed25519:%s":%q}}}`, carol, key, key)
			if err := actFor(t, as, carol, http.MethodPost, v3+"/keys/device_signing/upload?device_id=ONE", json.RawMessage(master), nil); err != nil {
				t.Errorf("the key %s: %v", key, err)
			}
		}
		var one struct {
			LastSeen int64 `json:"last_seen_ts"`
		}
		if err := actFor(t, as, carol, http.MethodGet, v3+"/devices/ONE", nil, &one); err != nil || one.LastSeen == 0 {
			t.Errorf("the device was last seen at %d, %v", one.LastSeen, err)
		}
		if err := actFor(t, as, carol, http.MethodPost, v3+"/delete_devices", map[string]any{"devices": []string{"ONE", "TWO"}}, nil); err != nil {
			t.Error(err)
		}
		var left struct{ Devices []json.RawMessage }
		if err := actFor(t, as, carol, http.MethodGet, v3+"/devices", nil, &left); err != nil || len(left.Devices) != 0 {
			t.Errorf("%d devices, %v", len(left.Devices), err)
		}
		// Keys are of devices, and without one there are none.
		if err := actFor(t, as, carol, http.MethodPost, v3+"/keys/upload", json.RawMessage(`{"one_time_keys":{"curve25519:A":"a"}}`), nil); !is(err, 400, "M_MISSING_PARAM") {
			t.Errorf("keys of no device: %v", err)
		}
	})
}

// TestPuppetsKeepTheirStanding: what the operator has decided about somebody holds
// also when a bridge acts for them.
func TestPuppetsKeepTheirStanding(t *testing.T) {
	onBothBridged(t, "", func(t *testing.T, h *house, b *bridge, as *e2e.Client) {
		root := h.operatorOf(t)
		alice := h.user(t, "alice")
		carol := ghost(t, as, "irc_carol")
		r := room(t, alice)
		if err := actFor(t, as, carol, http.MethodPost, v3+"/join/"+url.PathEscape(r), struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
		ask(t, root, http.MethodPut, v1client+"/admin/suspend/"+url.PathEscape(carol), map[string]bool{"suspended": true})
		path := v3 + "/rooms/" + url.PathEscape(r) + "/send/m.room.message/1"
		if err := actFor(t, as, carol, http.MethodPut, path, map[string]string{"msgtype": "m.text", "body": "x"}, nil); !is(err, 403, "M_USER_SUSPENDED") {
			t.Errorf("a suspended puppet speaks: %v", err)
		}
		ask(t, root, http.MethodPut, v1client+"/admin/suspend/"+url.PathEscape(carol), map[string]bool{"suspended": false})
		if err := actFor(t, as, carol, http.MethodPut, path, map[string]string{"msgtype": "m.text", "body": "x"}, nil); err != nil {
			t.Error(err)
		}
	})
}

// TestEveryRouteForBridges: whatever a bridge calls, for itself or for its user,
// which both have no device, is answered, and what is refused is refused by a Matrix
// error.
func TestEveryRouteForBridges(t *testing.T) {
	onBothBridged(t, ephemeralToo, func(t *testing.T, h *house, b *bridge, as *e2e.Client) {
		s := &scene{house: h, alice: h.user(t, "alice")}
		s.settle(t)
		carol := ghost(t, as, "irc_carol")
		if err := actFor(t, as, carol, http.MethodPut, v3+"/profile/"+url.PathEscape(carol)+"/displayname", map[string]string{"displayname": "Carol"}, nil); err != nil {
			t.Fatal(err)
		}
		for _, route := range h.server.Routes() {
			if strings.Contains(route.Pattern, "/deactivate") {
				continue // for what comes after it
			}
			method, paths := s.paths(route, func(name string) string {
				if name == "userId" {
					return url.PathEscape(carol)
				}
				return s.good(name)
			})
			for _, path := range slices.Compact(paths) {
				for _, query := range []string{"", "?user_id=" + url.QueryEscape(carol), "?user_id=" + url.QueryEscape(s.alice.UserID), "?device_id=NONE", "?timeout=0&user_id=" + url.QueryEscape(carol)} {
					for _, body := range []string{"{}", `{"messages":{},"device_keys":{},"one_time_keys":{},"devices":[],"new_password":"a new password","url":"x"}`} {
						got := s.ask(t, method, path+query, bearer("as-token"), body)
						asked := got.status == 401 && strings.Contains(string(got.body), `"flows"`)
						if got.status >= 500 || got.status >= 400 && got.code == "" && !asked {
							t.Errorf("%s %s: %d %.200s", method, path+query, got.status, got.body)
						}
					}
				}
			}
		}
		if got := s.ask(t, http.MethodPost, v3+"/account/deactivate?user_id="+url.QueryEscape(carol), bearer("as-token"), "{}"); got.status != 200 {
			t.Errorf("deactivating carol: %d %s", got.status, got.body)
		}
		if err := actFor(t, as, carol, http.MethodGet, v3+"/account/whoami", nil, nil); !is(err, 403, "M_FORBIDDEN") {
			t.Errorf("carol is closed: %v", err)
		}
	})
}
