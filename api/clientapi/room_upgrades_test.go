package clientapi

import (
	"fmt"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
	"hearth/matrix/roomver"
)

func TestUpgrade(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		for _, v := range roomver.All() {
			alias := "#hall" + v.ID + ":test"
			old := w.create("alice", `{
				"room_version":"9","visibility":"public","room_alias_name":"hall`+v.ID+`","name":"Hall","topic":"All","creation_content":{"type":"org.example.hall","m.federate":false},
				"initial_state":[
					{"type":"m.room.avatar","content":{"url":"mxc://test/a"}},
					{"type":"m.room.encryption","content":{"algorithm":"m.megolm.v1.aes-sha2"}},
					{"type":"m.room.server_acl","content":{"allow":["*"]}},
					{"type":"m.room.history_visibility","content":{"history_visibility":"joined"}},
					{"type":"org.example.private","content":{"x":1}}],
				"power_level_content_override":{"users":{"@alice:test":100,"@bob:test":"50"},"kick":"30"}}`)
			w.post("bob", "", "/rooms/%s/join", old).ok()
			w.post("carol", "", "/rooms/%s/join", old).ok()
			w.post("alice", `{"user_id":"@troll:test","reason":"trolling"}`, "/rooms/%s/ban", old).ok()

			next, _ := w.post("alice", `{"new_version":"`+v.ID+`","additional_creators":["@bob:test"]}`, "/rooms/%s/upgrade", old).ok()["replacement_room"].(string)
			if got := w.state("carol", old, "m.room.tombstone")["replacement_room"]; got != next {
				t.Errorf("%s: the tombstone leads to %v, want %s", v.ID, got, next)
			}
			create := w.state("alice", next, "m.room.create")
			if p := create["predecessor"].(map[string]any); p["room_id"] != old || !strings.HasPrefix(p["event_id"].(string), "$") {
				t.Errorf("%s: predecessor = %v", v.ID, p)
			}
			if create["room_version"] != v.ID || create["type"] != "org.example.hall" || create["m.federate"] != false {
				t.Errorf("%s: create = %v", v.ID, create)
			}
			for _, tc := range []struct{ typ, field, want string }{
				{"m.room.name", "name", "Hall"},
				{"m.room.topic", "topic", "All"},
				{"m.room.avatar", "url", "mxc://test/a"},
				{"m.room.encryption", "algorithm", "m.megolm.v1.aes-sha2"},
				{"m.room.server_acl", "allow", "[*]"},
				{"m.room.join_rules", "join_rule", "public"},
				{"m.room.guest_access", "guest_access", "forbidden"},
				{"m.room.history_visibility", "history_visibility", "joined"},
				{"m.room.canonical_alias", "alias", alias},
				{"m.room.power_levels", "kick", "30"},
			} {
				if got := fmt.Sprint(w.state("alice", next, tc.typ)[tc.field]); got != tc.want {
					t.Errorf("%s: %s of %s = %q, want %q", v.ID, tc.field, tc.typ, got, tc.want)
				}
			}
			w.get("alice", "/rooms/%s/state/org.example.private", next).fails(404, mxerr.NotFound)

			// Who may do what.
			levels := w.state("alice", next, "m.room.power_levels")
			users := fmt.Sprint(levels["users"])
			if want := map[bool]string{true: "map[]", false: "map[@alice:test:100 @bob:test:50]"}[v.PrivilegedCreators]; users != want {
				t.Errorf("%s: users = %s, want %s", v.ID, users, want)
			}
			if v.PrivilegedCreators {
				if fmt.Sprint(create["additional_creators"]) != "[@bob:test]" || levels["events"].(map[string]any)["m.room.tombstone"] != 100.0 {
					t.Errorf("%s: creators %v, levels %v", v.ID, create["additional_creators"], levels)
				}
			}
			w.post("troll", "", "/rooms/%s/join", next).fails(403, mxerr.Forbidden)
			w.post("carol", "", "/rooms/%s/join", next).ok()
			w.post("bob", "", "/rooms/%s/join", next).ok()
			w.put("bob", `{"name":"Bob's"}`, "/rooms/%s/state/m.room.name", next).ok()

			// The old room falls silent, and its names lead to the new one.
			w.put("carol", `{}`, "/rooms/%s/send/m.x/late"+v.ID, old).fails(403, mxerr.Forbidden)
			w.post("carol", `{"user_id":"@dave:test"}`, "/rooms/%s/invite", old).fails(403, mxerr.Forbidden)
			if got := w.get("", "/directory/room/%s", alias).ok()["room_id"]; got != next {
				t.Errorf("%s: the alias leads to %v", v.ID, got)
			}
			if c := w.state("alice", old, "m.room.canonical_alias"); len(c) != 0 {
				t.Errorf("%s: the old room is still called %v", v.ID, c)
			}
			for id, want := range map[string]string{old: "private", next: "public"} {
				if got := w.get("", "/directory/list/room/%s", id).ok()["visibility"]; got != want {
					t.Errorf("%s: visibility of %s = %v, want %s", v.ID, id, got, want)
				}
			}
		}
	})
}

// A moderator who may set the tombstone but little else can upgrade, and has
// no more power afterwards than before.
func TestUpgradeByModerator(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		old := w.create("alice", `{"room_version":"10","preset":"public_chat","name":"Hall","power_level_content_override":{
			"users":{"@alice:test":100,"@bob:test":50},"events":{"m.room.tombstone":50,"m.room.power_levels":100,"m.room.name":100}}}`)
		w.post("bob", "", "/rooms/%s/join", old).ok()
		next := w.post("bob", `{"new_version":"11"}`, "/rooms/%s/upgrade", old).ok()["replacement_room"].(string)
		if n := w.state("bob", next, "m.room.name")["name"]; n != "Hall" {
			t.Errorf("name = %v", n)
		}
		w.put("bob", `{"name":"Mine"}`, "/rooms/%s/state/m.room.name", next).fails(403, mxerr.Forbidden)
		w.post("alice", "", "/rooms/%s/join", next).ok()
		w.put("alice", `{"name":"Ours"}`, "/rooms/%s/state/m.room.name", next).ok()
		w.say("alice", old, "still") // bob could not change the levels of the old room
	})
}

func TestUpgradeOfSpaceAndCreators(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		child := w.public()
		old := w.create("alice", `{"room_version":"12","creation_content":{"type":"m.space","additional_creators":["@bob:test"]},"invite":["@bob:test"],"initial_state":[
			{"type":"m.space.child","state_key":"`+child+`","content":{"via":["test"]}},
			{"type":"m.space.child","state_key":"!gone:test","content":{}},
			{"type":"m.room.join_rules","content":{"join_rule":"knock_restricted","allow":[]}}]}`)
		w.post("bob", "", "/rooms/%s/join", old).ok()

		// To a version without privileged creators and without knocking.
		next := w.post("alice", `{"new_version":"6"}`, "/rooms/%s/upgrade", old).ok()["replacement_room"].(string)
		w.get("alice", "/rooms/%s/state/m.space.child/%s", next, child).ok()
		w.get("alice", "/rooms/%s/state/m.space.child/%s", next, "!gone:test").fails(404, mxerr.NotFound)
		if u := fmt.Sprint(w.state("alice", next, "m.room.power_levels")["users"]); u != "map[@alice:test:150 @bob:test:150]" {
			t.Errorf("users = %s", u)
		}
		if r := w.state("alice", next, "m.room.join_rules")["join_rule"]; r != "invite" {
			t.Errorf("join_rule = %v", r)
		}

		// To 12 again: creators are not copied unless the request says so.
		again := w.post("alice", `{"new_version":"12"}`, "/rooms/%s/upgrade", next).ok()["replacement_room"].(string)
		if c := w.state("alice", again, "m.room.create"); c["additional_creators"] != nil || c["type"] != "m.space" {
			t.Errorf("create = %v", c)
		}
		if u := fmt.Sprint(w.state("alice", again, "m.room.power_levels")["users"]); u != "map[@bob:test:150]" {
			t.Errorf("users = %s", u)
		}
	})
}

func TestUpgradeRefusals(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		for _, tc := range []struct {
			who, body string
			status    int
			code      mxerr.Code
		}{
			{"bob", `{"new_version":"11"}`, 403, mxerr.Forbidden},
			{"carol", `{"new_version":"11"}`, 403, mxerr.Forbidden},
			{"guest", `{"new_version":"11"}`, 403, mxerr.GuestAccessForbidden},
			{"alice", `{"new_version":"99"}`, 400, mxerr.UnsupportedRoomVersion},
			{"alice", `{}`, 400, mxerr.MissingParam},
			{"alice", `{"new_version":11}`, 400, mxerr.BadJSON},
			{"alice", `{"new_version":"12","additional_creators":["bob"]}`, 400, mxerr.InvalidParam},
			{"alice", `{"new_version":"12","additional_creators":"@bob:test"}`, 400, mxerr.BadJSON},
		} {
			w.post(tc.who, tc.body, "/rooms/%s/upgrade", id).fails(tc.status, tc.code)
		}
		w.get("alice", "/rooms/%s/state/m.room.tombstone", id).fails(404, mxerr.NotFound)
	})
}
