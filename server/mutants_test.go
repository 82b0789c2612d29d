package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"hearth/e2e"
)

// mutants are all the bodies that come of replacing one value of a good one,
// or of adding it twice.
func mutants(t *testing.T, good string) (all []string) {
	t.Helper()
	var tree any
	if err := json.Unmarshal([]byte(good), &tree); err != nil {
		t.Fatalf("%s: %v", good, err)
	}
	all = append(all, good)
	for _, bad := range evil {
		mutate(tree, func(v any) any { return json.RawMessage(bad) }, func() { all = append(all, encoded(tree)) })
	}
	mutate(tree, func(v any) any { return []any{v, v} }, func() { all = append(all, encoded(tree)) })
	mutate(tree, func(v any) any { return map[string]any{"x": v} }, func() { all = append(all, encoded(tree)) })
	return all
}

// evil are values that belong nowhere, or only somewhere else.
var evil = []string{
	`null`, `true`, `0`, `-1`, `1.5`, `1e400`, `99999999999999999999`, `9007199254740993`, `-9223372036854775808`,
	`""`, `"x"`, `"\u0000"`, `"\ud800"`, `"` + strings.Repeat("é", 40_000) + `"`, `"@x:` + strings.Repeat("y", 300) + `"`,
	`[]`, `[null]`, `[[]]`, `["x","x"]`, `{}`, `{"":null}`, `{"x":{"x":{}}}`, strings.Repeat("[", 90) + strings.Repeat("]", 90),
}

// mutate puts change(v) in the place of every value v below node, one after the
// other, and calls done while it is there.
func mutate(node any, change func(any) any, done func()) {
	switch node := node.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(node)) {
			old := node[key]
			mutate(old, change, done)
			node[key] = change(old)
			done()
			node[key] = old
		}
	case []any:
		for i, old := range node {
			mutate(old, change, done)
			node[i] = change(old)
			done()
			node[i] = old
		}
	}
}

// request is a good request. The operator makes it if its path is one of hers,
// else alice; {room}, {event} and {other} stand for hers, and {n} for a new
// number each time.
type request struct{ method, path, body string }

var requests = []request{
	{"POST", v3 + "/register", `{"username":"new{n}","password":"a good password","device_id":"D","initial_device_display_name":"x","inhibit_login":false,"refresh_token":true,"auth":{"type":"m.login.dummy","session":"x"}}`},
	{"POST", v3 + "/login", `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"wrong","device_id":"D","initial_device_display_name":"x","refresh_token":true}`},
	{"POST", v3 + "/refresh", `{"refresh_token":"x"}`},
	{"POST", v3 + "/account/password", `{"new_password":"x","logout_devices":false,"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"wrong","session":"x"}}`},
	{"POST", v3 + "/delete_devices", `{"devices":["x"],"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"wrong","session":"x"}}`},
	{"PUT", v3 + "/profile/{me}/displayname", `{"displayname":"Alice"}`},
	{"PUT", v3 + "/profile/{me}/avatar_url", `{"avatar_url":"mxc://example.test/x"}`},
	{"PUT", v3 + "/profile/{me}/test.custom", `{"test.custom":{"a":[1]}}`},
	{"POST", v3 + "/createRoom", `{"preset":"private_chat","name":"x","topic":"y","visibility":"private","room_version":"11","invite":["@mallory:example.test"],"is_direct":true,"initial_state":[{"type":"m.room.guest_access","state_key":"","content":{"guest_access":"can_join"}}],"creation_content":{"m.federate":false,"type":"x","additional_creators":[]},"power_level_content_override":{"users":{"@alice:example.test":100},"events":{"m.room.name":50},"ban":50},"room_alias_name":"x{n}","invite_3pid":[]}`},
	{"POST", v3 + "/createRoom", `{"room_version":"12","creation_content":{"additional_creators":["@mallory:example.test"]}}`},
	{"POST", v3 + "/rooms/{room}/invite", `{"user_id":"@mallory:example.test","reason":"x"}`},
	{"POST", v3 + "/rooms/{room}/kick", `{"user_id":"@mallory:example.test","reason":"x"}`},
	{"POST", v3 + "/rooms/{room}/ban", `{"user_id":"@mallory:example.test","reason":"x"}`},
	{"POST", v3 + "/rooms/{room}/unban", `{"user_id":"@mallory:example.test","reason":"x"}`},
	{"POST", v3 + "/rooms/{room}/join", `{"reason":"x","third_party_signed":{"mxid":"x","sender":"x","token":"x","signatures":{"x":{"ed25519:0":"x"}}}}`},
	{"POST", v3 + "/join/{room}?via=elsewhere.test", `{"reason":"x"}`},
	{"POST", v3 + "/knock/{room}", `{"reason":"x"}`},
	{"PUT", v3 + "/rooms/{room}/send/m.room.message/{n}", `{"msgtype":"m.text","body":"x","m.mentions":{"user_ids":["@mallory:example.test"],"room":true},"m.relates_to":{"rel_type":"m.thread","event_id":"{event}","m.in_reply_to":{"event_id":"{event}"}},"m.new_content":{"body":"y"}}`},
	{"PUT", v3 + "/rooms/{room}/send/m.reaction/{n}", `{"m.relates_to":{"rel_type":"m.annotation","event_id":"{event}","key":"x"}}`},
	{"PUT", v3 + "/rooms/{room}/send/m.room.redaction/{n}", `{"redacts":"{event}","reason":"x"}`},
	{"PUT", v3 + "/rooms/{room}/redact/{event}/{n}", `{"reason":"x","m.with_rel_types":["*"]}`},
	{"PUT", v3 + "/rooms/{room}/typing/{me}", `{"typing":true,"timeout":1}`},
	{"POST", v3 + "/rooms/{room}/receipt/m.read/{event}", `{"thread_id":"main"}`},
	{"POST", v3 + "/rooms/{room}/read_markers", `{"m.fully_read":"{event}","m.read":"{event}","m.read.private":"{event}"}`},
	{"PUT", v3 + "/presence/{me}/status", `{"presence":"online","status_msg":"x"}`},
	{"PUT", v3 + "/directory/room/%23x{n}:example.test", `{"room_id":"{room}"}`},
	{"PUT", v3 + "/directory/list/room/{room}", `{"visibility":"private"}`},
	{"POST", v3 + "/publicRooms", `{"limit":1,"since":"x","filter":{"generic_search_term":"x","room_types":[null,"x"]},"include_all_networks":false,"third_party_instance_id":"x"}`},
	{"POST", v3 + "/user/{me}/filter", `{"event_fields":["content.body"],"event_format":"client","presence":{"limit":1,"types":["x*"],"not_types":[],"senders":[],"not_senders":[]},"account_data":{"types":["x"]},"room":{"rooms":["!x:y"],"not_rooms":[],"include_leave":true,"ephemeral":{"types":["x"]},"account_data":{"limit":1},"state":{"lazy_load_members":true,"include_redundant_members":true,"contains_url":true},"timeline":{"limit":1,"unread_thread_notifications":true}}}`},
	{"PUT", v3 + "/user/{me}/account_data/m.direct", `{"@mallory:example.test":["{room}"]}`},
	{"PUT", v3 + "/user/{me}/account_data/m.ignored_user_list", `{"ignored_users":{"@mallory:example.test":{}}}`},
	{"PUT", v3 + "/user/{me}/account_data/m.push_rules", `{"global":{"override":[]}}`},
	{"PUT", v3 + "/user/{me}/rooms/{room}/account_data/m.marked_unread", `{"unread":true}`},
	{"PUT", v3 + "/user/{me}/rooms/{room}/account_data/m.fully_read", `{"event_id":"{event}"}`},
	{"PUT", v3 + "/user/{me}/rooms/{room}/tags/u.x", `{"order":0.5}`},
	{"PUT", v3 + "/pushrules/global/override/x", `{"conditions":[{"kind":"event_match","key":"content.body","pattern":"x*"},{"kind":"room_member_count","is":">2"},{"kind":"event_property_is","key":"content.x","value":1},{"kind":"sender_notification_permission","key":"room"}],"actions":["notify",{"set_tweak":"sound","value":"x"}]}`},
	{"PUT", v3 + "/pushrules/global/content/y?before=x&after=z", `{"pattern":"x*","actions":["notify"]}`},
	{"PUT", v3 + "/pushrules/global/override/.m.rule.master/enabled", `{"enabled":false}`},
	{"PUT", v3 + "/pushrules/global/override/.m.rule.tombstone/actions", `{"actions":["notify",{"set_tweak":"highlight"}]}`},
	{"POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0", `{"conn_id":"x","lists":{"a":{"ranges":[[0,10]],"timeline_limit":1,"required_state":[["m.room.name",""],["m.room.member","$LAZY"],["*","*"]],"filters":{"is_dm":false,"spaces":["{room}"],"is_encrypted":false,"is_invite":false,"room_types":[null],"not_room_types":["x"],"tags":["m.favourite"],"not_tags":["x"]}}},"room_subscriptions":{"{room}":{"timeline_limit":1,"required_state":[["*","*"]]}},"extensions":{"to_device":{"enabled":true,"since":"1","limit":1},"e2ee":{"enabled":true},"account_data":{"enabled":true,"lists":["a"],"rooms":["{room}"]},"typing":{"enabled":true},"receipts":{"enabled":true}}}`},
	{"POST", "/_synapse/admin/v1/registration_tokens/new", `{"token":"t{n}","uses_allowed":1,"expiry_time":99999999999999,"length":16}`},
	{"PUT", "/_synapse/admin/v1/registration_tokens/x", `{"uses_allowed":1,"expiry_time":99999999999999}`},
	{"PUT", "/_synapse/admin/v2/users/@made:example.test", `{"displayname":"x","avatar_url":"","threepids":[{"medium":"email","address":"x"}],"external_ids":[],"admin":false,"deactivated":false,"user_type":null,"locked":false,"logout_devices":false}`},
	{"POST", "/_synapse/admin/v1/deactivate/@nobody:example.test", `{"erase":true}`},
	{"POST", "/_synapse/admin/v1/register", `{"nonce":"x","username":"x","displayname":"x","password":"x","admin":false,"mac":"00","user_type":"bot"}`},
}

// states are good contents of state events, by type.
var states = map[string]string{
	"m.room.power_levels":       `{"users":{"{me}":100,"@mallory:example.test":0},"users_default":0,"events":{"m.room.name":50},"events_default":0,"state_default":50,"ban":50,"kick":50,"redact":50,"invite":0,"notifications":{"room":50}}`,
	"m.room.join_rules":         `{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"{room}"}]}`,
	"m.room.history_visibility": `{"history_visibility":"joined"}`,
	"m.room.guest_access":       `{"guest_access":"forbidden"}`,
	"m.room.canonical_alias":    `{"alias":"#x:example.test","alt_aliases":["#y:example.test"]}`,
	"m.room.name":               `{"name":"x"}`,
	"m.room.topic":              `{"topic":"x","m.topic":{"m.text":[{"body":"x"}]}}`,
	"m.room.avatar":             `{"url":"mxc://example.test/x","info":{"w":1}}`,
	"m.room.encryption":         `{"algorithm":"m.megolm.v1.aes-sha2","rotation_period_ms":1}`,
	"m.room.server_acl":         `{"allow":["*"],"deny":["evil.*"],"allow_ip_literals":true}`,
	"m.room.tombstone":          `{"body":"x","replacement_room":"!x:example.test"}`,
	"m.room.pinned_events":      `{"pinned":["{event}"]}`,
	"m.room.create":             `{"room_version":"11"}`, // there is one already
	"m.room.third_party_invite": `{"display_name":"x","key_validity_url":"https://x.test","public_key":"x","public_keys":[{"public_key":"x"}]}`,
	"m.space.child":             `{"via":["example.test"],"order":"a","suggested":true}`,
}

// fill puts what exists into a request.
func (s *scene) fill(text string, n int) string {
	return strings.NewReplacer("{me}", s.alice.UserID, "{room}", s.room, "{event}", s.event, "{n}", fmt.Sprint(n)).Replace(text)
}

// TestMutants sends good requests in which one value is bad. Whatever is taken
// of them, alice's clients can still read afterwards.
func TestMutants(t *testing.T) {
	attack(t, func(t *testing.T, s *scene) {
		n := 0
		for _, r := range requests {
			s.settle(t)
			token := s.alice.Token
			if strings.HasPrefix(r.path, "/_synapse/") {
				token = s.operator.Token
			}
			path := strings.NewReplacer("{me}", url.PathEscape(s.alice.UserID), "{room}", url.PathEscape(s.room), "{event}", url.PathEscape(s.event)).Replace(r.path)
			bodies := mutants(t, r.body)
			manyAtOnce(len(bodies), func(i int) {
				s.ask(t, r.method, s.fill(path, n+i+1), bearer(token), s.fill(bodies[i], n+i+1))
			})
			n += len(bodies)
			s.stillReads(t, r.path, n)
		}
		t.Logf("%d requests", n)
	})
}

// TestMutantStates does the same with the state of rooms, which clients,
// authorization rules and the server's own bookkeeping all read.
func TestMutantStates(t *testing.T) {
	attack(t, func(t *testing.T, s *scene) {
		n := 0
		for _, kind := range slices.Sorted(maps.Keys(states)) {
			for _, key := range []string{"", "x"} {
				s.settle(t)
				for _, body := range mutants(t, states[kind]) {
					n++
					put := func() reply {
						path := fmt.Sprintf("%s/rooms/%s/state/%s/%s", v3, url.PathEscape(s.room), kind, key)
						return s.ask(t, http.MethodPut, path, bearer(s.alice.Token), s.fill(body, n))
					}
					if put().code == "M_FORBIDDEN" && kind == "m.room.power_levels" { // because of the one before
						s.settle(t)
						put()
					}
				}
				s.stillReads(t, kind, n)
			}
		}
		for _, body := range mutants(t, `{"membership":"invite","displayname":"x","avatar_url":"mxc://x/y","reason":"x","is_direct":true,"third_party_invite":{"display_name":"x","signed":{"mxid":"x","token":"x","signatures":{"x":{"y":"z"}}}},"join_authorised_via_users_server":"@alice:example.test"}`) {
			for _, who := range []string{s.alice.UserID, s.mallory.UserID, "@nobody:example.test", "@foreign:elsewhere.test", "nobody"} {
				path := fmt.Sprintf("%s/rooms/%s/state/m.room.member/%s", v3, url.PathEscape(s.room), url.PathEscape(who))
				s.ask(t, http.MethodPut, path, bearer(s.alice.Token), s.fill(body, n))
			}
		}
		s.stillReads(t, "m.room.member", n)
	})
}

// stillReads has alice and mallory look at everything.
func (s *scene) stillReads(t *testing.T, after string, n int) {
	t.Helper()
	room := v3 + "/rooms/" + url.PathEscape(s.room)
	for _, who := range []*e2e.Client{s.alice, s.mallory} {
		for _, path := range []string{
			v3 + "/sync?timeout=0", v3 + "/sync?timeout=0&full_state=true&filter=" + url.QueryEscape(`{"room":{"include_leave":true,"state":{"lazy_load_members":true}}}`),
			v3 + "/initialSync", v3 + "/joined_rooms", v3 + "/publicRooms", v3 + "/pushrules/", v3 + "/devices", v3 + "/profile/" + url.PathEscape(s.alice.UserID),
			room + "/messages?dir=b", room + "/members", room + "/joined_members", room + "/state", room + "/initialSync", room + "/aliases",
			room + "/context/" + url.PathEscape(s.event),
		} {
			s.ask(t, http.MethodGet, path, bearer(who.Token), "")
		}
	}
	if got := s.ask(t, http.MethodGet, v3+"/sync?timeout=0", bearer(s.alice.Token), ""); got.status != http.StatusOK || !json.Valid([]byte(got.body)) {
		t.Errorf("after %d mutants of %s alice cannot sync: %d %.200s", n, after, got.status, got.body)
	}
}
