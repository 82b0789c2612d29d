package clientapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
)

func TestAliases(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		body := `{"room_id":"` + id + `"}`
		set := func(who, alias, body string) reply { return w.put(who, body, "/directory/room/%s", alias) }
		set("alice", "#one:test", body).ok()
		set("bob", "#two:test", body).ok() // every member may
		set("alice", "#one:test", body).fails(409, mxerr.Unknown)
		set("carol", "#three:test", body).fails(403, mxerr.Forbidden)
		set("carol", "#three:test", `{"room_id":"!none:test"}`).fails(403, mxerr.Forbidden)
		set("guest", "#three:test", body).fails(403, mxerr.GuestAccessForbidden)
		set("alice", "#three:test", `{}`).fails(400, mxerr.MissingParam)
		set("alice", "#three:test", `{"room_id":"x"}`).fails(400, mxerr.InvalidParam)
		set("alice", "three", body).fails(400, mxerr.InvalidParam)
		set("alice", "#three:elsewhere.example", body).fails(400, mxerr.InvalidParam)

		got := w.get("", "/directory/room/%s", "#two:test").ok()
		if got["room_id"] != id || len(got["servers"].([]any)) != 1 {
			t.Errorf("the alias leads to %v", got)
		}
		w.get("", "/directory/room/%s", "#none:test").fails(404, mxerr.NotFound)
		w.get("", "/directory/room/%s", "none").fails(400, mxerr.InvalidParam)
		w.get("", "/directory/room/%s", "#a:elsewhere.example").fails(404, mxerr.NotFound)
		if all := w.get("bob", "/rooms/%s/aliases", id).ok()["aliases"]; fmt.Sprint(all) != "[#one:test #two:test]" {
			t.Errorf("aliases = %v", all)
		}
		w.get("carol", "/rooms/%s/aliases", id).fails(403, mxerr.Forbidden)

		remove := func(who, alias string) reply { return w.in(who, "DELETE", "", "/directory/room/%s", alias) }
		remove("bob", "#one:test").fails(403, mxerr.Forbidden)
		remove("carol", "#one:test").fails(403, mxerr.Forbidden)
		remove("bob", "#two:test").ok() // is bob's own
		remove("bob", "#two:test").fails(404, mxerr.NotFound)
		set("bob", "#two:test", body).ok()
		remove("alice", "#two:test").ok() // may choose the room's names
		set("bob", "#two:test", body).ok()
		remove("root", "#two:test").ok()
		if all := w.get("bob", "/rooms/%s/aliases", id).ok()["aliases"]; fmt.Sprint(all) != "[#one:test]" {
			t.Errorf("aliases = %v", all)
		}
		if all := w.get("alice", "/rooms/%s/aliases", w.create("alice", `{}`)).ok()["aliases"]; fmt.Sprint(all) != "[]" {
			t.Errorf("aliases of a new room = %v", all)
		}
	})
}

// listed are the rooms of a page by name.
func listed(page map[string]any) string {
	var names []string
	for _, e := range page["chunk"].([]any) {
		name, _ := e.(map[string]any)["name"].(string)
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestPublicRooms(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		if got := w.get("", "/publicRooms").ok(); len(got["chunk"].([]any)) != 0 || got["next_batch"] != nil {
			t.Errorf("a new server lists %v", got)
		}
		for i, name := range []string{"Ant", "Bee", "Cow", "Dog", "Elk"} {
			id := w.create("alice", `{"visibility":"public","name":"`+name+`","topic":"About `+name+`","room_alias_name":"`+strings.ToLower(name)+`"}`)
			for n := range i {
				w.post(fmt.Sprintf("u%d", n), "", "/rooms/%s/join", id).ok()
			}
		}
		space := w.create("alice", `{"visibility":"public","name":"Zoo","creation_content":{"type":"m.space"},"initial_state":[
			{"type":"m.room.history_visibility","content":{"history_visibility":"world_readable"}},
			{"type":"m.room.guest_access","content":{"guest_access":"can_join"}},
			{"type":"m.room.avatar","content":{"url":"mxc://test/zoo"}}]}`)
		w.create("alice", `{"preset":"public_chat","name":"Unlisted"}`)

		first := w.get("", "/publicRooms?limit=2").ok()
		if listed(first) != "Elk Dog" || first["prev_batch"] != nil || first["total_room_count_estimate"] != 6.0 {
			t.Errorf("the first page is %v", first)
		}
		second := w.get("", "/publicRooms?limit=2&since="+first["next_batch"].(string)).ok()
		if listed(second) != "Cow Bee" {
			t.Errorf("the second page is %v", second)
		}
		third := w.get("bob", "/publicRooms?limit=2&since="+second["next_batch"].(string)).ok()
		if listed(third) != "Ant Zoo" || third["next_batch"] != nil {
			t.Errorf("the third page is %v", third)
		}
		back := w.post("bob", `{"limit":2,"since":"`+third["prev_batch"].(string)+`"}`, "/publicRooms?server=test").ok()
		if listed(back) != "Cow Bee" || back["prev_batch"] == nil {
			t.Errorf("back from it is %v", back)
		}

		zoo := third["chunk"].([]any)[1].(map[string]any)
		for field, want := range map[string]any{
			"room_id": space, "name": "Zoo", "num_joined_members": 1.0, "world_readable": true, "guest_can_join": true,
			"join_rule": "public", "room_type": "m.space", "avatar_url": "mxc://test/zoo", "topic": nil,
		} {
			if zoo[field] != want {
				t.Errorf("%s = %v, want %v", field, zoo[field], want)
			}
		}
		elk := first["chunk"].([]any)[0].(map[string]any)
		if elk["canonical_alias"] != "#elk:test" || elk["topic"] != "About Elk" || elk["num_joined_members"] != 5.0 || elk["world_readable"] != false {
			t.Errorf("Elk is listed as %v", elk)
		}

		for _, tc := range []struct{ body, want string }{
			{`{"filter":{"generic_search_term":"ELK"}}`, "Elk"},
			{`{"filter":{"generic_search_term":"about d"}}`, "Dog"},
			{`{"filter":{"generic_search_term":"#bee:"}}`, "Bee"},
			{`{"filter":{"generic_search_term":"nothing"}}`, ""},
			{`{"filter":{"room_types":["m.space"]}}`, "Zoo"},
			{`{"filter":{"room_types":[null]}}`, "Elk Dog Cow Bee Ant"},
			{`{"filter":{"room_types":[null,"m.space"]},"limit":0}`, "Elk Dog Cow Bee Ant Zoo"},
			{`{"filter":{"room_types":[]}}`, ""},
			{`{"filter":{"generic_search_term":null,"room_types":null}}`, "Elk Dog Cow Bee Ant Zoo"},
			{`{"third_party_instance_id":"irc"}`, ""},
			{``, "Elk Dog Cow Bee Ant Zoo"},
		} {
			if got := listed(w.post("guest", tc.body, "/publicRooms").ok()); got != tc.want {
				t.Errorf("%s lists %s, want %s", tc.body, got, tc.want)
			}
		}

		// The list follows the rooms.
		w.put("alice", `{"name":"Zoological"}`, "/rooms/%s/state/m.room.name", space).ok()
		for n := range 9 {
			w.post(fmt.Sprintf("u%d", n), "", "/rooms/%s/join", space).ok()
		}
		if got := listed(w.get("", "/publicRooms?limit=1").ok()); got != "Zoological" {
			t.Errorf("the biggest room is %s", got)
		}

		w.post("", `{}`, "/publicRooms").fails(401, mxerr.MissingToken)
		w.get("", "/publicRooms?limit=-1").fails(400, mxerr.InvalidParam)
		w.get("", "/publicRooms?since=odd").fails(400, mxerr.InvalidParam)
		w.get("", "/publicRooms?since=n1").fails(400, mxerr.InvalidParam)
		w.get("", "/publicRooms?server=elsewhere.example").fails(404, mxerr.NotFound)
		w.get("", "/publicRooms?server=%s", "no server").fails(400, mxerr.InvalidParam)
		w.post("bob", `{"limit":-1}`, "/publicRooms").fails(400, mxerr.InvalidParam)
		w.post("bob", `{"limit":"1"}`, "/publicRooms").fails(400, mxerr.BadJSON)
		w.post("bob", `{"include_all_networks":true,"third_party_instance_id":"irc"}`, "/publicRooms").fails(400, mxerr.InvalidParam)
	})
}

func TestListingARoom(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{"preset":"public_chat","name":"Den"}`)
		w.post("bob", "", "/rooms/%s/join", id).ok()
		set := func(who, body string) reply { return w.put(who, body, "/directory/list/room/%s", id) }
		shown := func() string { return listed(w.get("", "/publicRooms").ok()) }
		if shown() != "" {
			t.Error("a room is listed that nobody listed")
		}
		set("bob", `{"visibility":"public"}`).fails(403, mxerr.Forbidden)
		set("carol", `{"visibility":"public"}`).fails(403, mxerr.Forbidden)
		set("guest", `{"visibility":"public"}`).fails(403, mxerr.GuestAccessForbidden)
		set("alice", `{"visibility":"odd"}`).fails(400, mxerr.InvalidParam)
		set("alice", `{}`).ok() // public if not said otherwise
		if v := w.get("", "/directory/list/room/%s", id).ok()["visibility"]; v != "public" || shown() != "Den" {
			t.Errorf("after listing: %v, %s", v, shown())
		}
		set("root", `{"visibility":"private"}`).ok()
		if v := w.get("", "/directory/list/room/%s", id).ok()["visibility"]; v != "private" || shown() != "" {
			t.Errorf("after hiding: %v, %s", v, shown())
		}
		w.get("", "/directory/list/room/%s", "!none:test").fails(404, mxerr.NotFound)
		w.put("alice", `{}`, "/directory/list/room/%s", "!none:test").fails(404, mxerr.NotFound)
	})
}

// Paging goes on where it was when rooms grow meanwhile.
func TestPublicRoomsPagingIsStable(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		var ids []string
		for n := range 7 {
			ids = append(ids, w.create("alice", fmt.Sprintf(`{"visibility":"public","name":"r%d"}`, n)))
		}
		var seen []string
		since := ""
		for n := range 4 {
			page := w.get("", "/publicRooms?limit=2&since="+since).ok()
			seen = append(seen, strings.Fields(listed(page))...)
			w.post("bob", "", "/rooms/%s/join", ids[n]).ok() // what was shown moves up
			since, _ = page["next_batch"].(string)
			if since == "" {
				break
			}
		}
		slices.Sort(seen)
		if got := strings.Join(seen, " "); got != "r0 r1 r2 r3 r4 r5 r6" {
			t.Errorf("seen: %s", got)
		}
	})
}
