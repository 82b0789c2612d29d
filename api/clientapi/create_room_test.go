package clientapi

import (
	"fmt"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
	"hearth/matrix/roomver"
)

func TestCreateRoom(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{
			"visibility":"public","room_alias_name":"pub","name":"The Pub","topic":"Beer","invite":["@bob:test","@bob:test"],"is_direct":true,
			"creation_content":{"m.federate":false,"creator":"@mallory:test","type":"org.example.pub"},
			"initial_state":[
				{"type":"m.room.guest_access","content":{"guest_access":"can_join"}},
				{"type":"org.example.beer","state_key":"ale","content":{"price":4}},
				{"type":"m.room.name","content":{"name":"Overwritten"}}],
			"power_level_content_override":{"events_default":10}}`)
		for _, tc := range []struct{ typ, field, want string }{
			{"m.room.name", "name", "The Pub"},
			{"m.room.topic", "topic", "Beer"},
			{"m.room.join_rules", "join_rule", "public"},
			{"m.room.history_visibility", "history_visibility", "shared"},
			{"m.room.guest_access", "guest_access", "can_join"},
			{"m.room.canonical_alias", "alias", "#pub:test"},
			{"m.room.create", "type", "org.example.pub"},
			{"m.room.create", "room_version", roomver.Default},
			{"m.room.create", "m.federate", "false"},
			{"m.room.create", "creator", "<nil>"},
			{"m.room.power_levels", "events_default", "10"},
		} {
			if got := fmt.Sprint(w.state("alice", id, tc.typ)[tc.field]); got != tc.want {
				t.Errorf("%s of %s = %q, want %q", tc.field, tc.typ, got, tc.want)
			}
		}
		if p := w.get("alice", "/rooms/%s/state/%s/%s", id, "org.example.beer", "ale").ok()["price"]; p != 4.0 {
			t.Errorf("ale costs %v", p)
		}
		bob := w.get("alice", "/rooms/%s/state/m.room.member/%s", id, "@bob:test").ok()
		if bob["membership"] != "invite" || bob["is_direct"] != true || bob["displayname"] != "Bob" {
			t.Errorf("bob's invite is %v", bob)
		}
		if got := w.get("", "/directory/room/%s", "#pub:test").ok()["room_id"]; got != id {
			t.Errorf("the alias leads to %v", got)
		}
		if v := w.get("", "/directory/list/room/%s", id).ok()["visibility"]; v != "public" {
			t.Errorf("visibility = %v", v)
		}
	})
}

func TestCreateRoomOfEveryVersion(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		for _, v := range roomver.All() {
			id := w.create("alice", `{"room_version":"`+v.ID+`","preset":"trusted_private_chat","invite":["@bob:test"]}`)
			if v.RoomIDIsCreate == strings.Contains(id, ":") {
				t.Errorf("version %s has the room id %s", v.ID, id)
			}
			if got := w.state("alice", id, "m.room.create")["room_version"]; got != v.ID {
				t.Errorf("room_version = %v, want %s", got, v.ID)
			}
			w.post("bob", "", "/rooms/%s/join", id).ok()
			w.put("bob", `{"name":"Ours"}`, "/rooms/%s/state/m.room.name", id).ok() // as powerful as alice
		}
	})
}

func TestCreateRoomRefusals(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.create("alice", `{"room_alias_name":"taken"}`)
		w.hermit("@hermit:test")
		for _, tc := range []struct {
			who, body string
			status    int
			code      mxerr.Code
		}{
			{"", `{}`, 401, mxerr.MissingToken},
			{"nobody", `{}`, 401, mxerr.UnknownToken},
			{"guest", `{}`, 403, mxerr.GuestAccessForbidden},
			{"alice", `{`, 400, mxerr.NotJSON},
			{"alice", `[]`, 400, mxerr.BadJSON},
			{"alice", `{"name":1}`, 400, mxerr.BadJSON},
			{"alice", `{"preset":"odd"}`, 400, mxerr.InvalidParam},
			{"alice", `{"visibility":"odd"}`, 400, mxerr.InvalidParam},
			{"alice", `{"room_version":"99"}`, 400, mxerr.UnsupportedRoomVersion},
			{"alice", `{"room_alias_name":"taken"}`, 400, mxerr.RoomInUse},
			{"alice", `{"room_alias_name":"a:b\u0000"}`, 400, mxerr.InvalidParam},
			{"alice", `{"invite":["bob"]}`, 400, mxerr.InvalidParam},
			{"alice", `{"invite":["@hermit:test"]}`, 403, mxerr.InviteBlocked},
			{"alice", `{"invite":["@bob:elsewhere.example"]}`, 403, mxerr.Forbidden},
			{"alice", `{"invite_3pid":[{"medium":"email","address":"a@b.example","id_server":"c"}]}`, 400, mxerr.ThreepidNotFound},
			{"alice", `{"initial_state":[{"type":"m.room.create","content":{}}]}`, 400, mxerr.InvalidRoomState},
			{"alice", `{"initial_state":[{"type":"a"}]}`, 400, mxerr.BadJSON},
			{"alice", `{"name":"x","power_level_content_override":{"state_default":101,"events":{}},"room_version":"11"}`, 400, mxerr.InvalidRoomState},
		} {
			w.post(tc.who, tc.body, "/createRoom").fails(tc.status, tc.code)
		}
		w.post("alice", `{"name":"`+strings.Repeat("x", 70_000)+`"}`, "/createRoom").fails(413, mxerr.TooLarge)
	})
}
