package clientapi

import (
	"slices"
	"strings"
	"testing"

	"hearth/homeserver/feed"
	"hearth/matrix/mxerr"
)

func TestOneEvent(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		hidden := w.create("alice", `{"preset":"public_chat","initial_state":[{"type":"m.room.history_visibility","content":{"history_visibility":"joined"}}]}`)
		before := w.say("alice", hidden, "before")
		w.post("bob", "", "/rooms/%s/join", hidden).ok()
		after := w.say("alice", hidden, "after")
		w.get("bob", "/rooms/%s/event/%s", hidden, before).fails(404, mxerr.NotFound)
		for _, path := range []string{"/rooms/" + hidden + "/event/%s", "/events/%s"} {
			var ev event
			w.get("bob", path, after).into(&ev)
			if ev.text() != "after" || ev.Room != hidden || ev.Sender != "@alice:test" {
				t.Errorf("%s reads %+v", path, ev)
			}
		}
		w.get("bob", "/events/%s", before).fails(404, mxerr.NotFound)
		w.get("bob", "/events/%s", "$none").fails(404, mxerr.NotFound)
		w.get("bob", "/rooms/%s/event/%s", w.public("bob"), after).fails(404, mxerr.NotFound)
		w.get("carol", "/rooms/%s/event/%s", hidden, after).fails(404, mxerr.NotFound)
	})
}

func TestStateForThoseWhoLeft(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		w.put("alice", `{"name":"Then"}`, "/rooms/%s/state/m.room.name", id).ok()
		w.post("bob", "", "/rooms/%s/leave", id).ok()
		w.put("alice", `{"name":"Now"}`, "/rooms/%s/state/m.room.name", id).ok()
		w.post("carol", "", "/rooms/%s/join", id).ok()
		w.post("alice", `{"user_id":"@bob:test"}`, "/rooms/%s/ban", id).ok()

		if n := w.state("alice", id, "m.room.name")["name"]; n != "Now" {
			t.Errorf("alice reads the name %v", n)
		}
		if n := w.state("bob", id, "m.room.name")["name"]; n != "Then" {
			t.Errorf("bob, who left, reads the name %v", n)
		}
		var state []event
		w.get("bob", "/rooms/%s/state", id).into(&state)
		for _, ev := range state {
			if ev.Type == "m.room.member" && *ev.StateKey == "@carol:test" {
				t.Error("bob learns that carol came after he left")
			}
			if ev.Type == "m.room.member" && *ev.StateKey == "@bob:test" && ev.Content["membership"] != "leave" {
				t.Errorf("bob's own membership is %v", ev.Content)
			}
		}
		w.get("bob", "/rooms/%s/joined_members", id).fails(403, mxerr.Forbidden)
		w.get("bob", "/rooms/%s/aliases", id).fails(403, mxerr.Forbidden)
	})
}

func TestMembers(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob", "carol")
		var page chunk
		w.get("alice", "/rooms/%s/messages?dir=b&limit=1", id).into(&page)
		early := page.Start
		w.post("carol", "", "/rooms/%s/leave", id).ok()
		w.post("alice", `{"user_id":"@dave:test"}`, "/rooms/%s/invite", id).ok()
		for _, tc := range []struct{ query, want string }{
			{"", "alice:join bob:join carol:leave dave:invite"},
			{"?membership=join", "alice:join bob:join"},
			{"?not_membership=join", "carol:leave dave:invite"},
			{"?membership=invite&not_membership=leave", "alice:join bob:join dave:invite"},
			{"?membership=ban", ""},
			{"?at=" + early, "alice:join bob:join carol:join"},
			{"?at=" + early + "&not_membership=join", ""},
			{"?at=s999999999_0&membership=leave", "carol:leave"},
		} {
			var got chunk
			w.get("bob", "/rooms/"+id+"/members"+tc.query).into(&got)
			var names []string
			for _, ev := range got.Chunk {
				names = append(names, strings.TrimSuffix((*ev.StateKey)[1:], ":test")+":"+ev.Content["membership"].(string))
			}
			slices.Sort(names)
			if s := strings.Join(names, " "); s != tc.want {
				t.Errorf("members%s = %s, want %s", tc.query, s, tc.want)
			}
		}
		w.get("bob", "/rooms/%s/members?membership=odd", id).fails(400, mxerr.InvalidParam)
		w.get("bob", "/rooms/%s/members?at=odd", id).fails(400, mxerr.InvalidParam)
		w.get("guest", "/rooms/%s/members", id).fails(403, mxerr.Forbidden)
		if _, err := feed.ParsePlace(early); err != nil {
			t.Error(err)
		}
	})
}

func TestJoinedMembers(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob", "carol")
		w.post("carol", "", "/rooms/%s/leave", id).ok()
		w.put("bob", `{"membership":"join"}`, "/rooms/%s/state/m.room.member/%s", id, "@bob:test").ok()
		got := w.get("alice", "/rooms/%s/joined_members", id).ok()["joined"].(map[string]any)
		alice, _ := got["@alice:test"].(map[string]any)
		bob, ok := got["@bob:test"].(map[string]any)
		if len(got) != 2 || alice["display_name"] != "Alice" || alice["avatar_url"] != "mxc://test/a" || !ok || len(bob) != 2 || bob["avatar_url"] != nil {
			t.Errorf("joined = %v", got)
		}
		joined := w.get("bob", "/joined_rooms").ok()["joined_rooms"].([]any)
		if len(joined) != 1 || joined[0] != id {
			t.Errorf("bob's rooms are %v", joined)
		}
		if none := w.get("carol", "/joined_rooms").ok()["joined_rooms"].([]any); len(none) != 0 {
			t.Errorf("carol's rooms are %v", none)
		}
	})
}

// A room whose history is for everybody can be read without being there.
func TestPreviewOfWorldReadableRoom(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{"initial_state":[{"type":"m.room.history_visibility","content":{"history_visibility":"world_readable"}}]}`)
		said := w.say("alice", id, "hear")
		var state []event
		w.get("guest", "/rooms/%s/state", id).into(&state)
		if len(state) < 6 {
			t.Errorf("a guest sees %d pieces of state", len(state))
		}
		w.get("guest", "/rooms/%s/event/%s", id, said).ok()
		w.get("guest", "/rooms/%s/context/%s", id, said).ok()
		w.get("guest", "/rooms/%s/members", id).ok()
		w.get("bob", "/rooms/%s/aliases", id).ok()
		var page chunk
		w.get("guest", "/rooms/%s/messages?dir=b", id).into(&page)
		if texts(page.Chunk) != "hear" || page.Chunk[0].Unsigned["membership"] != "leave" {
			t.Errorf("a guest reads %+v", page.Chunk)
		}
		info := w.get("guest", "/rooms/%s/initialSync", id).ok()
		if info["membership"] != nil || info["visibility"] != "private" || len(info["messages"].(map[string]any)["chunk"].([]any)) == 0 {
			t.Errorf("initialSync = %v", info)
		}
		w.put("guest", `{}`, "/rooms/%s/send/m.x/1", id).fails(403, mxerr.Forbidden)
	})
}
