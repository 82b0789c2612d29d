package clientapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/store/storetest"
	"hearth/homeserver/personal"
	"hearth/homeserver/presence"
	"hearth/homeserver/push"
	"hearth/homeserver/pusher"
	"hearth/homeserver/receipt"
	"hearth/homeserver/typing"
	"hearth/matrix/mxerr"
)

// study is a town with doors to personal things.
type study struct {
	*town
	personal *Personal
	pos      func() int64
}

func newStudy(t testing.TB, d *db.DB, showPresence bool) *study {
	w := newTown(t, d)
	rooms, hub := w.doors.Engine, w.doors.Hub
	p := &Personal{
		Rooms: rooms, Typing: typing.New(rooms, hub), Receipts: receipt.New(d, rooms, hub), Data: personal.New(d, hub),
		Presence: presence.New(presence.Config{DB: d, Rooms: rooms, Hub: hub, Enabled: showPresence}),
	}
	p.Push = push.New(push.Config{DB: d, Rooms: rooms, Receipts: p.Receipts, Personal: p.Data})
	p.Pushers = pusher.New(pusher.Config{DB: d, Rooms: rooms, Push: p.Push, Receipts: p.Receipts, Personal: p.Data})
	t.Cleanup(p.Typing.Stop)
	w.router.Add(p.Routes()...)
	return &study{w, p, hub.Pos}
}

func inStudy(t *testing.T, f func(t *testing.T, s *study)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) { f(t, newStudy(t, d, true)) })
}

// number is the number of a room.
func (s *study) number(room string) int64 {
	s.t.Helper()
	r, err := s.personal.Rooms.Room(s.t.Context(), room)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.NID
}

// is checks an answer word by word.
func (r reply) is(want string) {
	r.t.Helper()
	if r.status != 200 || strings.TrimSpace(string(r.body)) != want {
		r.t.Errorf("%s: %d %s, want %s", r.what, r.status, r.body, want)
	}
}

func TestTypingOverHTTP(t *testing.T) {
	inStudy(t, func(t *testing.T, s *study) {
		room := s.public("bob")
		const path = "/rooms/%s/typing/%s"
		typing := func(want ...string) {
			t.Helper()
			users, _ := s.personal.Typing.Since(s.number(room), 0)
			if fmt.Sprint(users) != fmt.Sprint(want) {
				t.Errorf("%v type, want %v", users, want)
			}
		}
		s.put("bob", `{"typing":true,"timeout":30000}`, path, room, "@bob:test").is(`{}`)
		s.put("alice", `{"typing":true}`, path, room, "@alice:test").is(`{}`)
		typing("@alice:test", "@bob:test")
		s.put("bob", `{"typing":false}`, path, room, "@bob:test").is(`{}`)
		s.put("alice", `{"typing":true,"timeout":-5}`, path, room, "@alice:test").is(`{}`)
		typing()
		s.put("alice", `{"typing":true,"timeout":9007199254740991}`, "/_matrix/client/r0"+path, room, "@alice:test").is(`{}`)
		typing("@alice:test")

		s.put("alice", `{"typing":true}`, path, room, "@bob:test").fails(403, mxerr.Forbidden)
		s.put("carol", `{"typing":true}`, path, room, "@carol:test").fails(403, mxerr.Forbidden)
		s.put("carol", `{"typing":true}`, path, "!nowhere:test", "@carol:test").fails(403, mxerr.Forbidden)
		s.put("carol", `{"typing":true}`, path, "nonsense", "@carol:test").fails(400, mxerr.InvalidParam)
		s.put("carol", `{"typing":true}`, path, "!\xff:test", "@carol:test").fails(400, mxerr.InvalidParam)
		s.put("guest", `{"typing":true}`, path, room, "@guest:test").fails(403, mxerr.GuestAccessForbidden)
		s.put("", `{"typing":true}`, path, room, "@alice:test").fails(401, mxerr.MissingToken)
		s.put("alice", `{}`, path, room, "@alice:test").fails(400, mxerr.MissingParam)
		s.put("alice", `{"typing":"yes"}`, path, room, "@alice:test").fails(400, mxerr.BadJSON)
		s.put("alice", `{"typing":true,"timeout":"x"}`, path, room, "@alice:test").fails(400, mxerr.BadJSON)
		s.put("alice", `{`, path, room, "@alice:test").fails(400, mxerr.NotJSON)
	})
}

func TestReceiptsOverHTTP(t *testing.T) {
	inStudy(t, func(t *testing.T, s *study) {
		room := s.public("bob")
		one, two := s.say("alice", room, "one"), s.say("alice", room, "two")
		const path = "/rooms/%s/receipt/%s/%s"
		has := func(who string, want ...string) {
			t.Helper()
			rows, err := s.personal.Receipts.All(t.Context(), s.number(room), s.pos(), who)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, r := range rows {
				got = append(got, r.User+" "+r.Kind+" "+r.Thread+" "+r.EventID)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s sees %v, want %v", who, got, want)
			}
		}
		s.post("bob", ``, path, room, "m.read", one).is(`{}`)
		s.post("bob", `{"thread_id":"main"}`, path, room, "m.read.private", two).is(`{}`)
		has("@alice:test", "@bob:test m.read  "+one)
		has("@bob:test", "@bob:test m.read  "+one, "@bob:test m.read.private main "+two)

		for _, thread := range []string{`""`, `5`, `null`, `{}`, `"$other"`} {
			s.post("bob", `{"thread_id":`+thread+`}`, path, room, "m.read", two).fails(400, mxerr.InvalidParam)
		}
		s.post("bob", `{"thread_id":"main"}`, path, room, "m.fully_read", two).fails(400, mxerr.InvalidParam)
		s.post("bob", `{}`, path, room, "m.seen", two).fails(400, mxerr.InvalidParam)
		s.post("bob", `{}`, path, room, "m.read", "$nothing").fails(404, mxerr.NotFound)
		s.post("bob", `{}`, path, room, "m.read", "two").fails(400, mxerr.InvalidParam)
		s.post("carol", `{}`, path, room, "m.read", two).fails(403, mxerr.Forbidden)
		s.post("carol", `{}`, path, "!nowhere:test", "m.read", two).fails(403, mxerr.Forbidden)
		s.post("guest", `{}`, path, room, "m.read", two).fails(403, mxerr.GuestAccessForbidden)
		s.post("bob", `[]`, path, room, "m.read", two).fails(400, mxerr.BadJSON)
	})
}

func TestReadMarkersOverHTTP(t *testing.T) {
	inStudy(t, func(t *testing.T, s *study) {
		room := s.public("bob")
		one, two, three := s.say("alice", room, "one"), s.say("alice", room, "two"), s.say("alice", room, "three")
		const path = "/rooms/%s/read_markers"
		marker := func(want string) {
			t.Helper()
			s.get("bob", "/user/%s/rooms/%s/account_data/m.fully_read", "@bob:test", room).is(`{"event_id":"` + want + `"}`)
		}
		s.post("bob", fmt.Sprintf(`{"m.fully_read":%q,"m.read":%q,"m.read.private":%q}`, one, two, three), path, room).is(`{}`)
		marker(one)
		own, err := s.personal.Receipts.Own(t.Context(), "@bob:test", s.number(room))
		if err != nil || len(own) != 2 || own[0].EventID != two || own[1].EventID != three {
			t.Errorf("receipts are %v, %v", own, err)
		}
		s.post("bob", `{}`, "/rooms/%s/receipt/m.fully_read/%s", room, two).is(`{}`)
		marker(two)
		s.post("bob", fmt.Sprintf(`{"m.fully_read":%q}`, one), path, room).is(`{}`) // it does not go back
		marker(two)
		s.post("bob", ``, path, room).is(`{}`)

		s.post("bob", `{"m.fully_read":"$nothing"}`, path, room).fails(404, mxerr.NotFound)
		s.post("bob", `{"m.read":"nonsense"}`, path, room).fails(400, mxerr.InvalidParam)
		s.post("bob", `{"m.read":5}`, path, room).fails(400, mxerr.BadJSON)
		s.post("carol", `{}`, path, room).fails(403, mxerr.Forbidden)
		s.post("guest", `{}`, path, room).fails(403, mxerr.GuestAccessForbidden)
		s.put("bob", `{"event_id":"$x"}`, "/user/%s/rooms/%s/account_data/m.fully_read", "@bob:test", room).fails(405, mxerr.BadJSON)
	})
}

func TestAccountDataOverHTTP(t *testing.T) {
	inStudy(t, func(t *testing.T, s *study) {
		room := s.public("bob")
		own := []any{"/user/%s/account_data/%s", "@alice:test", "org.example.colours"}
		ofRoom := []any{"/user/%s/rooms/%s/account_data/%s", "@alice:test", room, "org.example.colours"}
		for _, at := range [][]any{own, ofRoom} {
			path := at[0].(string)
			parts := func() []any { return append([]any{}, at[1:]...) }
			s.get("alice", path, parts()...).fails(404, mxerr.NotFound)
			s.put("alice", `{"sky": "blue"}`, path, parts()...).is(`{}`)
			s.get("phone.alice", path, parts()...).is(`{"sky":"blue"}`)
			s.get("alice", "/_matrix/client/r0"+path, parts()...).is(`{"sky":"blue"}`)
			s.put("alice", ``, path, parts()...).is(`{}`) // an empty entry is none
			s.get("alice", path, parts()...).fails(404, mxerr.NotFound)
			s.put("alice", `{"sky": "red"}`, path, parts()...).is(`{}`)
			s.in("alice", "DELETE", "", path, parts()...).is(`{}`)
			s.get("alice", path, parts()...).fails(404, mxerr.NotFound)
			s.in("alice", "DELETE", "", "/_matrix/client/unstable/org.matrix.msc3391"+path, parts()...).is(`{}`)

			s.put("bob", `{}`, path, parts()...).fails(403, mxerr.Forbidden)
			s.get("bob", path, parts()...).fails(403, mxerr.Forbidden)
			s.in("bob", "DELETE", "", path, parts()...).fails(403, mxerr.Forbidden)
			s.put("alice", `[]`, path, parts()...).fails(400, mxerr.BadJSON)
			s.put("alice", `"blue"`, path, parts()...).fails(400, mxerr.BadJSON)
			s.put("alice", `{"sky"`, path, parts()...).fails(400, mxerr.NotJSON)
			s.put("alice", `{"x":"`+strings.Repeat("x", 600<<10)+`"}`, path, parts()...).fails(413, mxerr.TooLarge)
			for _, typ := range []string{"m.push_rules", "m.fully_read"} {
				p := parts()
				p[len(p)-1] = typ
				s.put("alice", `{}`, path, p...).fails(405, mxerr.BadJSON)
			}
		}
		s.put("guest", `{}`, "/user/%s/account_data/m.x", "@guest:test").fails(403, mxerr.GuestAccessForbidden)
		for _, strange := range []string{"!nowhere:test", room} {
			s.put("carol", `{}`, "/user/%s/rooms/%s/account_data/m.x", "@carol:test", strange).fails(403, mxerr.Forbidden)
			s.get("carol", "/user/%s/rooms/%s/account_data/m.x", "@carol:test", strange).fails(404, mxerr.NotFound)
		}
		for _, wrong := range []string{"nonsense", "@carol:test"} {
			s.put("carol", `{}`, "/user/%s/rooms/%s/account_data/m.x", "@carol:test", wrong).fails(400, mxerr.InvalidParam)
			s.get("carol", "/user/%s/rooms/%s/account_data/m.x", "@carol:test", wrong).fails(400, mxerr.InvalidParam)
		}
		var rules struct{ Global map[string][]any }
		s.get("alice", "/user/%s/account_data/m.push_rules", "@alice:test").into(&rules)
		if len(rules.Global["underride"]) == 0 {
			t.Error("there are no push rules in the account data")
		}
	})
}

func TestTagsOverHTTP(t *testing.T) {
	inStudy(t, func(t *testing.T, s *study) {
		room := s.public("bob")
		const path = "/user/%s/rooms/%s/tags"
		s.get("alice", path, "@alice:test", room).is(`{"tags":{}}`)
		s.put("alice", `{"order":0.25}`, path+"/%s", "@alice:test", room, "m.favourite").is(`{}`)
		s.put("alice", ``, path+"/%s", "@alice:test", room, "u.Work/Home").is(`{}`)
		s.get("alice", path, "@alice:test", room).is(`{"tags":{"m.favourite":{"order":0.25},"u.Work/Home":{}}}`)
		s.get("alice", "/user/%s/rooms/%s/account_data/m.tag", "@alice:test", room).is(`{"tags":{"m.favourite":{"order":0.25},"u.Work/Home":{}}}`)
		s.in("alice", "DELETE", "", path+"/%s", "@alice:test", room, "u.Work/Home").is(`{}`)
		s.in("alice", "DELETE", "", path+"/%s", "@alice:test", room, "u.never").is(`{}`)
		s.get("alice", path, "@alice:test", room).is(`{"tags":{"m.favourite":{"order":0.25}}}`)
		s.get("bob", path, "@bob:test", room).is(`{"tags":{}}`)

		s.get("bob", path, "@alice:test", room).fails(403, mxerr.Forbidden)
		s.put("bob", `{}`, path+"/%s", "@alice:test", room, "u.x").fails(403, mxerr.Forbidden)
		s.in("bob", "DELETE", "", path+"/%s", "@alice:test", room, "u.x").fails(403, mxerr.Forbidden)
		s.put("carol", `{}`, path+"/%s", "@carol:test", room, "u.x").fails(403, mxerr.Forbidden)
		s.put("alice", `{"order":"x"}`, path+"/%s", "@alice:test", room, "u.x").fails(400, mxerr.BadJSON)
		s.put("alice", `[]`, path+"/%s", "@alice:test", room, "u.x").fails(400, mxerr.BadJSON)
		s.put("alice", `{}`, path+"/%s", "@alice:test", room, strings.Repeat("x", 256)).fails(400, mxerr.InvalidParam)
		s.put("alice", `{}`, path+"/%s", "@alice:test", room, "\xff").fails(400, mxerr.InvalidParam)
		s.get("guest", path, "@guest:test", room).fails(403, mxerr.GuestAccessForbidden)
	})
}

func TestFiltersOverHTTP(t *testing.T) {
	inStudy(t, func(t *testing.T, s *study) {
		const filter = `{"room":{"timeline":{"limit":10}}}`
		id, _ := s.post("alice", filter, "/user/%s/filter", "@alice:test").ok()["filter_id"].(string)
		if id == "" || id[0] == '{' {
			t.Errorf("the filter's id is %q", id)
		}
		s.get("alice", "/user/%s/filter/%s", "@alice:test", id).is(filter)
		s.get("alice", "/user/%s/filter/%s", "@alice:test", "999").fails(404, mxerr.NotFound)
		s.get("alice", "/user/%s/filter/%s", "@alice:test", "x").fails(404, mxerr.NotFound)
		s.get("bob", "/user/%s/filter/%s", "@bob:test", id).fails(404, mxerr.NotFound)
		s.get("bob", "/user/%s/filter/%s", "@alice:test", id).fails(403, mxerr.Forbidden)
		s.post("bob", filter, "/user/%s/filter", "@alice:test").fails(403, mxerr.Forbidden)
		s.post("alice", `{"room":[]}`, "/user/%s/filter", "@alice:test").fails(400, mxerr.BadJSON)
		s.post("alice", `{"room":{"rooms":["x"]}}`, "/user/%s/filter", "@alice:test").fails(400, mxerr.InvalidParam)
		s.post("alice", `{`, "/user/%s/filter", "@alice:test").fails(400, mxerr.NotJSON)
		s.post("guest", filter, "/user/%s/filter", "@guest:test").fails(403, mxerr.GuestAccessForbidden)
	})
}

func TestPresenceOverHTTP(t *testing.T) {
	inStudy(t, func(t *testing.T, s *study) {
		s.public("bob")
		const path = "/presence/%s/status"
		s.put("alice", `{"presence":"online","status_msg":"at home"}`, path, "@alice:test").is(`{}`)
		for _, who := range []string{"alice", "bob"} {
			got := s.get(who, path, "@alice:test").ok()
			if got["presence"] != "online" || got["status_msg"] != "at home" || got["currently_active"] != true {
				t.Errorf("%s sees %v", who, got)
			}
			if ago, ok := got["last_active_ago"].(float64); !ok || ago < 0 || ago > float64(time.Minute.Milliseconds()) {
				t.Errorf("last active: %v", got)
			}
		}
		s.put("alice", `{"presence":"unavailable"}`, path, "@alice:test").is(`{}`)
		if got := s.get("bob", path, "@alice:test").ok(); got["presence"] != "unavailable" || got["status_msg"] != nil {
			t.Errorf("bob sees %v", got)
		}
		s.get("alice", path, "@bob:test").is(`{"presence":"offline"}`)
		s.get("carol", path, "@alice:test").fails(403, mxerr.Forbidden)
		s.get("carol", path, "@nobody:else").fails(403, mxerr.Forbidden)
		s.get("carol", path, "\xff").fails(400, mxerr.InvalidParam)
		s.put("bob", `{"presence":"online"}`, path, "@alice:test").fails(403, mxerr.Forbidden)
		s.put("bob", `{}`, path, "@bob:test").fails(400, mxerr.MissingParam)
		s.put("bob", `{"presence":"away"}`, path, "@bob:test").fails(400, mxerr.InvalidParam)
		s.put("bob", `{"presence":5}`, path, "@bob:test").fails(400, mxerr.BadJSON)
		s.put("guest", `{"presence":"online"}`, path, "@guest:test").fails(403, mxerr.GuestAccessForbidden)
	})
}

func TestPresenceSwitchedOffOverHTTP(t *testing.T) {
	s := newStudy(t, storetest.Open(t, dbtest.SQLite(t)), false)
	s.put("alice", `{"presence":"online"}`, "/presence/%s/status", "@alice:test").is(`{}`)
	s.put("alice", `{"presence":"away"}`, "/presence/%s/status", "@alice:test").fails(400, mxerr.InvalidParam)
	s.get("bob", "/presence/%s/status", "@alice:test").is(`{"presence":"offline"}`)
}

func TestPushRulesOverHTTP(t *testing.T) {
	inStudy(t, func(t *testing.T, s *study) {
		const rule = "/pushrules/global/%s/%s"
		var all struct{ Global map[string][]map[string]any }
		s.get("alice", "/pushrules/").into(&all)
		var global map[string][]map[string]any
		s.get("alice", "/_matrix/client/r0/pushrules/global/").into(&global)
		if len(all.Global) != 6 || fmt.Sprint(all.Global) != fmt.Sprint(global) {
			t.Errorf("global rules are %v", global)
		}
		order := func(want ...string) {
			t.Helper()
			var list []struct {
				ID      string `json:"rule_id"`
				Default bool
			}
			s.get("alice", "/pushrules/global/override").into(&list)
			got := []string{}
			for _, r := range list {
				if !r.Default {
					got = append(got, r.ID)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("rules are %v, want %v", got, want)
			}
		}
		const body = `{"actions":["notify",{"set_tweak":"sound","value":"bing"}],"conditions":[{"kind":"event_match","key":"type","pattern":"x"}]}`
		s.put("alice", body, rule, "override", "first").is(`{}`)
		s.put("alice", body, rule, "override", "second").is(`{}`)
		order("second", "first")
		s.put("alice", body, rule+"?after=first", "override", "third").is(`{}`)
		s.put("alice", body, rule+"?before=first", "override", "fourth").is(`{}`)
		order("second", "fourth", "first", "third")
		s.get("alice", rule, "override", "first").is(`{"rule_id":"first","default":false,"enabled":true,` +
			`"actions":["notify",{"set_tweak":"sound","value":"bing"}],"conditions":[{"key":"type","kind":"event_match","pattern":"x"}]}`)
		s.get("bob", rule, "override", "first").fails(404, mxerr.NotFound)

		s.get("alice", rule+"/enabled", "override", "first").is(`{"enabled":true}`)
		s.put("alice", `{"enabled":false}`, rule+"/enabled", "override", "first").is(`{}`)
		s.get("alice", rule+"/enabled", "override", "first").is(`{"enabled":false}`)
		s.put("alice", `{"enabled":true}`, rule+"/enabled", "override", ".m.rule.master").is(`{}`)
		s.put("alice", `{"actions":["dont_notify"]}`, rule+"/actions", "override", "first").is(`{}`)
		s.get("alice", rule+"/actions", "override", "first").is(`{"actions":["dont_notify"]}`)
		s.put("alice", `{"actions":["notify"]}`, rule+"/actions", "underride", ".m.rule.message").is(`{}`)
		s.put("alice", `{"actions":[]}`, rule, "room", "!room:test").is(`{}`)
		s.put("alice", `{"actions":[],"pattern":"cake"}`, rule, "content", "cake").is(`{}`)

		s.in("alice", "DELETE", "", rule, "override", "first").is(`{}`)
		s.in("alice", "DELETE", "", rule, "override", "first").fails(404, mxerr.NotFound)
		s.in("alice", "DELETE", "", rule, "override", ".m.rule.master").fails(400, mxerr.InvalidParam)

		for _, tc := range []struct {
			body, path string
			parts      []any
			status     int
			code       mxerr.Code
		}{
			{body, rule, []any{"strange", "x"}, 400, mxerr.InvalidParam},
			{body, rule, []any{"override", ".x"}, 400, mxerr.InvalidParam},
			{body, rule, []any{"override", "a/b"}, 400, mxerr.InvalidParam},
			{body, rule, []any{"override", `a\b`}, 400, mxerr.InvalidParam},
			{body, rule, []any{"override", "\xff"}, 400, mxerr.InvalidParam},
			{body, rule + "?before=none", []any{"override", "x"}, 400, mxerr.Unknown},
			{body, rule + "?after=.m.rule.master", []any{"override", "x"}, 400, mxerr.Unknown},
			{`{}`, rule, []any{"override", "x"}, 400, mxerr.MissingParam},
			{`{"actions":[]}`, rule, []any{"content", "x"}, 400, mxerr.MissingParam},
			{`{"actions":"notify"}`, rule, []any{"override", "x"}, 400, mxerr.BadJSON},
			{`{"actions":["explode"]}`, rule, []any{"override", "x"}, 400, mxerr.BadJSON},
			{`{"actions":[],"conditions":[{}]}`, rule, []any{"override", "x"}, 400, mxerr.BadJSON},
			{`{`, rule, []any{"override", "x"}, 400, mxerr.NotJSON},
			{`{}`, rule + "/enabled", []any{"override", "second"}, 400, mxerr.MissingParam},
			{`{"enabled":"x"}`, rule + "/enabled", []any{"override", "second"}, 400, mxerr.BadJSON},
			{`{"enabled":true}`, rule + "/enabled", []any{"override", "none"}, 404, mxerr.NotFound},
			{`{}`, rule + "/actions", []any{"override", "second"}, 400, mxerr.MissingParam},
			{`{"actions":null}`, rule + "/actions", []any{"override", "second"}, 400, mxerr.BadJSON},
			{`{"actions":{}}`, rule + "/actions", []any{"override", "second"}, 400, mxerr.BadJSON},
			{`{"actions":[]}`, rule + "/actions", []any{"override", "none"}, 404, mxerr.NotFound},
		} {
			s.put("alice", tc.body, tc.path, tc.parts...).fails(tc.status, tc.code)
		}
		s.get("alice", rule+"/enabled", "override", "none").fails(404, mxerr.NotFound)
		s.get("alice", rule+"/actions", "override", "none").fails(404, mxerr.NotFound)
		s.get("alice", rule+"/colour", "override", "second").fails(404, mxerr.Unrecognized)
		s.get("alice", "/pushrules/device/").fails(404, mxerr.Unrecognized)
		s.get("guest", "/pushrules/").fails(403, mxerr.GuestAccessForbidden)
	})
}

// The operations of the specification's files are all there.
func TestPersonalOperations(t *testing.T) {
	want := strings.Fields(`setTyping postReceipt setReadMarker setAccountData getAccountData setAccountDataPerRoom
		getAccountDataPerRoom getRoomTags setRoomTag deleteRoomTag defineFilter getFilter setPresence getPresence
		getPushRules getPushRulesGlobal getPushRule setPushRule deletePushRule isPushRuleEnabled setPushRuleEnabled
		getPushRuleActions setPushRuleActions getPushers postPusher getNotifications`)
	have := map[string]bool{}
	for _, r := range (&Personal{}).Routes() {
		have[r.Spec] = true
	}
	for _, op := range want {
		if !have[op] {
			t.Errorf("%s has no route", op)
		}
	}
}

// Nothing that a client sends makes the server fail.
func TestPersonalDoorsWithBadBodies(t *testing.T) {
	s := newStudy(t, storetest.Open(t, dbtest.SQLite(t)), true)
	room := s.public()
	event := s.say("alice", room, "x")
	path := strings.NewReplacer("{userId}", "@alice:test", "{roomId}", room, "{eventId}", event, "{receiptType}", "m.read",
		"{type}", "m.x", "{tag}", "u.x", "{filterId}", "1", "{kind}", "override", "{ruleId}", "x", "{$}", "")
	for _, route := range s.personal.Routes() {
		method, p, _ := strings.Cut(route.Pattern, " ")
		for _, body := range []string{
			``, `{`, `null`, `[]`, `"x"`, `5`, `{"a":` + strings.Repeat(`{"a":`, 20_000), "\xff", `{"x":"` + "\x00" + `"}`,
			`{"typing":1e400}`, `{"thread_id":[],"actions":5,"enabled":[],"presence":{},"order":[]}`,
		} {
			got := s.in("alice", method, body, path.Replace(p))
			if got.status >= http.StatusInternalServerError || !json.Valid(got.body) {
				t.Errorf("%.200s: %d %s", got.what, got.status, got.body)
			}
		}
	}
}

func TestPushersOverHTTP(t *testing.T) {
	inStudy(t, func(t *testing.T, s *study) {
		const phone = `{"app_id":"a","pushkey":"k","kind":"http","app_display_name":"App","device_display_name":"Phone","lang":"en",
			"data":{"url":"https://push.example.org/_matrix/push/v1/notify","format":"event_id_only"}}`
		var list struct{ Pushers []map[string]any }
		s.post("alice", phone, "/pushers/set").is(`{}`)
		s.get("alice", "/pushers").into(&list)
		if len(list.Pushers) != 1 || list.Pushers[0]["kind"] != "http" {
			t.Errorf("pushers are %v", list)
		}
		// Another device of hers switches it off and on (MSC3881).
		const enabled, device = "org.matrix.msc3881.enabled", "org.matrix.msc3881.device_id"
		for _, on := range []bool{false, true} {
			asked := strings.Replace(phone, "{", fmt.Sprintf(`{"%s":%t,`, enabled, on), 1)
			s.post("phone.alice", asked, "/pushers/set").is(`{}`)
			list.Pushers = nil
			if s.get("alice", "/pushers").into(&list); len(list.Pushers) != 1 || list.Pushers[0][enabled] != on || list.Pushers[0][device] != "HOME" {
				t.Errorf("switched to %t: %v", on, list)
			}
		}
		s.post("alice", strings.Replace(phone, "{", `{"`+enabled+`":"no",`, 1), "/pushers/set").fails(400, mxerr.BadJSON)
		s.post("bob", phone, "/pushers/set").is(`{}`) // bob has the phone now
		s.get("alice", "/pushers").is(`{"pushers":[]}`)
		s.post("bob", `{"app_id":"a","pushkey":"k","kind":null}`, "/pushers/set").is(`{}`)
		s.get("bob", "/pushers").is(`{"pushers":[]}`)
		s.post("bob", `{"app_id":"a","pushkey":"k","kind":"pigeon","app_display_name":"App","device_display_name":"Phone","lang":"en","data":{}}`, "/pushers/set").fails(400, mxerr.InvalidParam)
	})
}
