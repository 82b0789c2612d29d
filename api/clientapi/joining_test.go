package clientapi

import (
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

func TestJoin(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{"preset":"public_chat","room_alias_name":"pub"}`)
		if got := w.post("bob", `{"reason":"thirsty"}`, "/join/%s?server_name=test&via=test", "#pub:test").ok()["room_id"]; got != id {
			t.Errorf("joined %v", got)
		}
		if r := w.get("bob", "/rooms/%s/state/m.room.member/%s", id, "@bob:test").ok()["reason"]; r != "thirsty" {
			t.Errorf("reason = %v", r)
		}
		w.post("bob", "", "/_matrix/client/r0/join/%s", id).ok() // again is no error
		w.post("carol", "", "/rooms/%s/join", id).ok()

		closed := w.create("alice", `{}`)
		w.post("bob", "", "/rooms/%s/join", closed).fails(403, mxerr.Forbidden)
		w.post("guest", "", "/rooms/%s/join", id).fails(403, mxerr.GuestAccessForbidden)
		w.post("bob", "", "/rooms/%s/join", "!there-is-none:test").fails(404, mxerr.NotFound)
		w.post("bob", "", "/join/%s", "#none:test").fails(404, mxerr.NotFound)
		w.post("bob", "", "/join/%s", "#far:elsewhere.example").fails(404, mxerr.NotFound)
		w.post("bob", "", "/join/%s", "pub").fails(400, mxerr.InvalidParam)
		w.post("bob", "", "/join/%s?via=%s", "#pub:test", "no server").fails(400, mxerr.InvalidParam)
		w.post("bob", `{"third_party_signed":"x"}`, "/join/%s", id).fails(400, mxerr.BadJSON)
		w.post("bob", `{"reason":{}}`, "/join/%s", id).fails(400, mxerr.BadJSON)

		// A signature for an invitation that was never made opens no door.
		signed := `{"third_party_signed":{"sender":"@alice:test","mxid":"@bob:test","token":"t","signatures":{}}}`
		w.post("bob", signed, "/join/%s", closed).fails(403, mxerr.Forbidden)
	})
}

func TestGuestsJoinWhereTheyAreWelcome(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{"preset":"public_chat","initial_state":[{"type":"m.room.guest_access","content":{"guest_access":"can_join"}}]}`)
		w.post("guest", "", "/rooms/%s/join", id).ok()
		w.say("guest", id, "hello")
		err := w.doors.Engine.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := store.InsertUser(tx, store.User{ID: "@guest:test", Guest: true})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.put("alice", `{"guest_access":"can_join","x":1}`, "/rooms/%s/state/m.room.guest_access", id).ok()
		w.say("guest", id, "still here")
		w.put("alice", `{"guest_access":"forbidden"}`, "/rooms/%s/state/m.room.guest_access", id).ok()
		if m := w.get("alice", "/rooms/%s/state/m.room.member/%s", id, "@guest:test").ok()["membership"]; m != "leave" {
			t.Errorf("the guest's membership is %v", m)
		}
		w.say("alice", id, "alone")
		w.put("guest", `{"membership":"join"}`, "/rooms/%s/state/m.room.member/%s", id, "@guest:test").fails(403, mxerr.GuestAccessForbidden)
	})
}

func TestRestrictedJoin(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		club := w.public("bob")
		rules := `{"type":"m.room.join_rules","content":{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"` + club + `"}]}}`
		id := w.create("alice", `{"initial_state":[`+rules+`]}`)
		w.post("carol", "", "/rooms/%s/join", id).fails(403, mxerr.Forbidden)
		w.post("bob", "", "/rooms/%s/join", id).ok()
		w.post("carol", "", "/rooms/%s/join", club).ok()
		w.put("carol", `{"membership":"join","displayname":"C"}`, "/rooms/%s/state/m.room.member/%s", id, "@carol:test").ok()
		if m := w.get("carol", "/rooms/%s/state/m.room.member/%s", id, "@carol:test").ok(); m["displayname"] != "C" || m["join_authorised_via_users_server"] != "@alice:test" {
			t.Errorf("carol's member event is %v", m)
		}
	})
}

func TestInvite(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.hermit("@hermit:test")
		id := w.create("alice", `{}`)
		w.post("alice", `{"user_id":"@bob:test","reason":"come"}`, "/rooms/%s/invite", id).ok()
		w.post("alice", `{"user_id":"@bob:test"}`, "/rooms/%s/invite", id).ok()
		w.post("bob", "", "/rooms/%s/join", id).ok()
		for _, tc := range []struct {
			who, body string
			status    int
			code      mxerr.Code
		}{
			{"alice", `{"user_id":"@bob:test"}`, 403, mxerr.Forbidden}, // is there
			{"carol", `{"user_id":"@dave:test"}`, 403, mxerr.Forbidden},
			{"guest", `{"user_id":"@dave:test"}`, 403, mxerr.GuestAccessForbidden},
			{"alice", `{}`, 400, mxerr.MissingParam},
			{"alice", `{"user_id":"dave"}`, 400, mxerr.InvalidParam},
			{"alice", `{"user_id":5}`, 400, mxerr.BadJSON},
			{"alice", `{"user_id":"@hermit:test"}`, 403, mxerr.InviteBlocked},
			{"alice", `{"user_id":"@dave:elsewhere.example"}`, 403, mxerr.Forbidden},
			{"alice", `{"medium":"email","address":"a@b.example","id_server":"id.example"}`, 403, mxerr.Forbidden},
			{"alice", `{"medium":"email"}`, 400, mxerr.MissingParam},
		} {
			w.post(tc.who, tc.body, "/rooms/%s/invite", id).fails(tc.status, tc.code)
		}
		w.put("alice", `{"membership":"invite"}`, "/rooms/%s/state/m.room.member/%s", id, "@hermit:test").fails(403, mxerr.InviteBlocked)
		w.put("alice", `{"membership":"invite"}`, "/rooms/%s/state/m.room.member/%s", id, "@x:elsewhere.example").fails(403, mxerr.Forbidden)
	})
}

func TestKnock(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{"room_alias_name":"door","initial_state":[{"type":"m.room.join_rules","content":{"join_rule":"knock"}}]}`)
		if got := w.post("bob", `{"reason":"cold outside"}`, "/knock/%s?via=test", "#door:test").ok()["room_id"]; got != id {
			t.Errorf("knocked on %v", got)
		}
		w.post("bob", "", "/knock/%s", id).ok()
		w.get("bob", "/rooms/%s/state", id).fails(403, mxerr.Forbidden)
		w.post("alice", `{"user_id":"@bob:test"}`, "/rooms/%s/invite", id).ok()
		w.post("bob", "", "/rooms/%s/join", id).ok()
		w.post("bob", "", "/knock/%s", id).fails(403, mxerr.Forbidden)
		w.post("bob", "", "/knock/%s", w.create("alice", `{}`)).fails(403, mxerr.Forbidden)
		w.post("bob", "", "/knock/%s", "!none:test").fails(404, mxerr.NotFound)
		w.post("bob", "", "/knock/%s", "#none:test").fails(404, mxerr.NotFound)
		w.post("guest", "", "/knock/%s", id).fails(403, mxerr.GuestAccessForbidden)
	})
}

func TestLeaveAndForget(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		w.say("alice", id, "before")
		w.post("bob", "", "/rooms/%s/forget", id).fails(400, mxerr.Unknown)
		w.post("bob", `{"reason":"late"}`, "/rooms/%s/leave", id).ok()
		w.post("bob", "", "/rooms/%s/leave", id).ok() // again is no error
		w.say("alice", id, "after")
		w.put("bob", `{}`, "/rooms/%s/send/m.x/1", id).fails(403, mxerr.Forbidden)

		var page chunk
		w.get("bob", "/rooms/%s/messages?dir=b", id).into(&page)
		if got := texts(page.Chunk); got != "before" {
			t.Errorf("bob, who left, reads %q", got)
		}
		w.post("bob", "", "/rooms/%s/forget", id).ok()
		w.get("bob", "/rooms/%s/messages?dir=b", id).fails(403, mxerr.Forbidden)
		w.get("bob", "/rooms/%s/state", id).fails(403, mxerr.Forbidden)

		invited := w.create("alice", `{"invite":["@bob:test"]}`)
		w.post("bob", "", "/rooms/%s/leave", invited).ok()
		w.post("bob", "", "/rooms/%s/join", invited).fails(403, mxerr.Forbidden)
	})
}

func TestKickAndBan(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob", "carol")
		bob := `{"user_id":"@bob:test","reason":"jokes"}`
		w.post("carol", bob, "/rooms/%s/kick", id).fails(403, mxerr.Forbidden)
		w.post("alice", bob, "/rooms/%s/kick", id).ok()
		w.post("alice", bob, "/rooms/%s/kick", id).fails(403, mxerr.Forbidden) // is gone
		if m := w.get("alice", "/rooms/%s/state/m.room.member/%s", id, "@bob:test").ok(); m["membership"] != "leave" || m["reason"] != "jokes" {
			t.Errorf("bob's member event is %v", m)
		}
		w.post("bob", "", "/rooms/%s/join", id).ok()
		w.post("carol", bob, "/rooms/%s/ban", id).fails(403, mxerr.Forbidden)
		w.post("alice", bob, "/rooms/%s/ban", id).ok()
		w.post("bob", "", "/rooms/%s/join", id).fails(403, mxerr.Forbidden)
		w.post("alice", bob, "/rooms/%s/invite", id).fails(403, mxerr.Forbidden)
		w.post("carol", bob, "/rooms/%s/unban", id).fails(403, mxerr.Forbidden)
		w.post("alice", bob, "/rooms/%s/unban", id).ok()
		w.post("bob", "", "/rooms/%s/join", id).ok()

		for _, op := range []string{"kick", "ban", "unban"} {
			w.post("alice", `{}`, "/rooms/%s/"+op, id).fails(400, mxerr.MissingParam)
			w.post("alice", `{"user_id":"bob"}`, "/rooms/%s/"+op, id).fails(400, mxerr.InvalidParam)
			w.post("guest", bob, "/rooms/%s/"+op, id).fails(403, mxerr.GuestAccessForbidden)
		}
	})
}

// Strangers get one answer for rooms that are not there and for rooms that are
// none of their business.
func TestStrangersCannotTellRoomsApart(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{}`)
		secret := w.say("alice", id, "secret")
		for _, tc := range []struct{ method, body, path string }{
			{"GET", "", "/state"},
			{"GET", "", "/state/m.room.name"},
			{"GET", "", "/state/m.room.name/"},
			{"GET", "", "/members"},
			{"GET", "", "/joined_members"},
			{"GET", "", "/messages?dir=b"},
			{"GET", "", "/context/" + secret},
			{"GET", "", "/event/" + secret},
			{"GET", "", "/aliases"},
			{"GET", "", "/initialSync"},
			{"PUT", `{"name":"x"}`, "/state/m.room.name"},
			{"PUT", `{"alias":"#a:test"}`, "/state/m.room.canonical_alias/"},
			{"PUT", `{}`, "/send/m.room.message/1"},
			{"PUT", `{}`, "/redact/" + secret + "/1"},
			{"POST", `{}`, "/leave"},
			{"POST", `{}`, "/forget"},
			{"POST", `{"user_id":"@carol:test"}`, "/invite"},
			{"POST", `{"user_id":"@carol:test"}`, "/kick"},
			{"POST", `{"user_id":"@carol:test"}`, "/ban"},
			{"POST", `{"user_id":"@carol:test"}`, "/unban"},
			{"POST", `{"new_version":"11"}`, "/upgrade"},
		} {
			here := w.in("mallory", tc.method, tc.body, "/rooms/%s"+tc.path, id)
			none := w.in("mallory", tc.method, tc.body, "/rooms/%s"+tc.path, "!none:test")
			if here.status != none.status || string(here.body) != string(none.body) || here.status < 400 || here.status >= 500 {
				t.Errorf("%s %s: %d %s for a room that is there, %d %s for none", tc.method, tc.path, here.status, here.body, none.status, none.body)
			}
		}
	})
}
