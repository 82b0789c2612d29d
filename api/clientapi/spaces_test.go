package clientapi

import (
	"fmt"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
)

// node is a room of a space as a client reads it.
type node struct {
	ID       string `json:"room_id"`
	Name     string
	Type     string   `json:"room_type"`
	Rule     string   `json:"join_rule"`
	Version  string   `json:"room_version"`
	Allowed  []string `json:"allowed_room_ids"`
	Joined   int      `json:"num_joined_members"`
	Children []struct {
		Key string `json:"state_key"`
		TS  int64  `json:"origin_server_ts"`
	} `json:"children_state"`
	Membership string
}

type tree struct {
	Rooms []node
	Next  string `json:"next_batch"`
}

func (t tree) names() string {
	var all []string
	for _, n := range t.Rooms {
		all = append(all, n.Name)
	}
	return strings.Join(all, " ")
}

func (w *town) space(who, name, more string) string {
	w.t.Helper()
	return w.create(who, fmt.Sprintf(`{"preset":"public_chat","name":%q,"creation_content":{"type":"m.space"}%s}`, name, more))
}

func (w *town) link(who, parent, child, more string) {
	w.t.Helper()
	w.put(who, `{"via":["test"]`+more+`}`, "/rooms/%s/state/m.space.child/%s", parent, child).ok()
}

func (w *town) hierarchy(who, root, query string) (t tree) {
	w.t.Helper()
	w.get(who, "/_matrix/client/v1/rooms/"+root+"/hierarchy"+query).into(&t)
	return t
}

func TestSpaceHierarchy(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		named := func(who, name, more string) string {
			return w.create(who, fmt.Sprintf(`{"preset":"public_chat","name":%q%s}`, name, more))
		}
		root, ss1, ss2 := w.space("alice", "root", ""), w.space("alice", "ss1", ""), w.space("alice", "ss2", "")
		r1, r2, r3 := named("alice", "r1", ""), named("alice", "r2", ""), named("bob", "r3", "")
		secret := w.create("bob", `{"preset":"private_chat","name":"secret"}`)
		knock := w.create("bob", `{"preset":"private_chat","name":"knock","initial_state":[{"type":"m.room.join_rules","content":{"join_rule":"knock"}}]}`)
		member := w.create("bob", `{"preset":"private_chat","name":"member","initial_state":[{"type":"m.room.join_rules","content":{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"`+root+`"}]}}]}`)
		w.link("alice", root, r1, `,"suggested":true,"order":"b"`)
		w.link("alice", root, ss1, "")
		w.link("alice", root, r2, `,"suggested":true,"order":" "`)
		w.link("alice", ss1, ss2, "")
		w.link("alice", ss1, root, "") // round and round
		for i, id := range []string{r3, secret, knock, member} {
			w.link("alice", ss2, id, fmt.Sprintf(`,"order":"%d"`, i))
		}
		w.link("alice", r2, secret, "") // r2 is no space

		whole := w.hierarchy("alice", root, "")
		if got := whole.names(); got != "root r2 r1 ss1 ss2 r3 knock member" || whole.Next != "" {
			t.Errorf("alice sees %s", got)
		}
		first := whole.Rooms[0]
		if first.Type != "m.space" || first.Version == "" || first.Joined != 1 || len(first.Children) != 3 || first.Children[0].Key != r2 || first.Children[0].TS == 0 {
			t.Errorf("the root is %+v", first)
		}
		if n := len(whole.Rooms[1].Children); n != 0 {
			t.Errorf("a room that is no space has %d children", n)
		}
		if got := w.hierarchy("carol", root, "").names(); got != "root r2 r1 ss1 ss2 r3 knock" {
			t.Errorf("carol, who is in none, sees %s", got)
		}
		w.post("bob", `{"user_id":"@carol:test"}`, "/rooms/%s/invite", secret).ok()
		if got := w.hierarchy("carol", root, "").names(); got != "root r2 r1 ss1 ss2 r3 secret knock" {
			t.Errorf("carol, invited, sees %s", got)
		}
		if got := w.hierarchy("alice", root, "?max_depth=1").names(); got != "root r2 r1 ss1" {
			t.Errorf("one step down there is %s", got)
		}
		only := w.hierarchy("alice", root, "?suggested_only=true")
		if only.names() != "root r2 r1" || len(only.Rooms[0].Children) != 2 {
			t.Errorf("suggested: %+v", only)
		}
		page := w.hierarchy("alice", root, "?limit=4")
		rest := w.hierarchy("alice", root, "?from="+page.Next)
		if page.names() != "root r2 r1 ss1" || rest.names() != "ss2 r3 knock member" || rest.Next != "" {
			t.Errorf("pages: %s / %s", page.names(), rest.names())
		}
		path := "/_matrix/client/v1/rooms/" + root + "/hierarchy"
		for _, bad := range []string{"?from=odd", "?limit=0", "?max_depth=-1", "?suggested_only=x", "?suggested_only=true&from=" + page.Next, "?max_depth=2&from=" + page.Next} {
			w.get("alice", path+bad).fails(400, mxerr.InvalidParam)
		}
		w.get("alice", "/_matrix/client/v1/rooms/%s/hierarchy", "!none:test").fails(403, mxerr.Forbidden)
		w.get("alice", "/_matrix/client/v1/rooms/%s/hierarchy", secret).fails(403, mxerr.Forbidden)
		w.put("alice", `{}`, "/rooms/%s/state/m.space.child/%s", root, ss1).ok()
		if got := w.hierarchy("alice", root, "").names(); got != "root r2 r1" {
			t.Errorf("without the link there is %s", got)
		}
	})
}

func TestRoomSummary(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		root := w.space("alice", "root", "")
		open := w.create("alice", `{"preset":"public_chat","name":"open","topic":"all"}`)
		closed := w.create("alice", `{"preset":"private_chat","name":"closed"}`)
		member := w.create("alice", `{"preset":"private_chat","name":"member","initial_state":[
			{"type":"m.room.join_rules","content":{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"`+root+`"}]}},
			{"type":"m.room.encryption","content":{"algorithm":"m.megolm.v1.aes-sha2"}}]}`)
		ask := func(who, id string) reply { return w.get(who, "/_matrix/client/v1/room_summary/%s", id) }
		var n node
		ask("bob", open).into(&n)
		if n.Name != "open" || n.Rule != "public" || n.Membership != "leave" || n.Joined != 1 || n.Allowed != nil {
			t.Errorf("bob reads %+v", n)
		}
		ask("", open).into(&n)
		ask("alice", closed).into(&n)
		if n.Membership != "join" {
			t.Errorf("alice reads %+v", n)
		}
		for _, id := range []string{closed, member, "!none:test", "#none:test"} {
			ask("bob", id).fails(404, mxerr.NotFound)
			ask("", id).fails(404, mxerr.NotFound)
		}
		w.post("bob", "", "/rooms/%s/join", root).ok()
		got := ask("bob", member).ok()
		if got["encryption"] != "m.megolm.v1.aes-sha2" || got["room_version"] == "" || got["allowed_room_ids"].([]any)[0] != root {
			t.Errorf("bob, who may come in, reads %v", got)
		}
		w.get("bob", "/_matrix/client/unstable/im.nheko.summary/summary/%s", open).ok()
		ask("bob", "odd").fails(400, mxerr.InvalidParam)
	})
}

func TestMutualRooms(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		var want []string
		for range 3 {
			want = append(want, w.public("bob"))
		}
		w.public()
		w.post("bob", "", "/rooms/%s/leave", want[2]).ok()
		got := w.get("alice", "/_matrix/client/v1/mutual_rooms?user_id=%s", "@bob:test").ok()
		if list := fmt.Sprint(got["joined"]); list != fmt.Sprint(want[:2]) || got["count"] != 2.0 || got["next_batch"] != nil {
			t.Errorf("alice and bob share %v, want %v", got, want[:2])
		}
		if got := w.get("alice", "/_matrix/client/v1/mutual_rooms?user_id=%s", "@none:elsewhere").ok(); got["count"] != 0.0 {
			t.Errorf("alice shares rooms with nobody: %v", got)
		}
		for range maxMutual {
			w.public("bob")
		}
		got = w.get("alice", "/_matrix/client/v1/mutual_rooms?user_id=%s", "@bob:test").ok()
		rest := w.get("alice", "/_matrix/client/v1/mutual_rooms?user_id=%s&from=%s", "@bob:test", got["next_batch"].(string)).ok()
		if len(got["joined"].([]any)) != maxMutual || len(rest["joined"].([]any)) != 2 || rest["next_batch"] != nil {
			t.Errorf("pages: %d, then %v", len(got["joined"].([]any)), rest)
		}
		w.get("alice", "/_matrix/client/v1/mutual_rooms?user_id=%s", "@alice:test").fails(400, mxerr.InvalidParam)
		w.get("alice", "/_matrix/client/v1/mutual_rooms?user_id=odd").fails(400, mxerr.InvalidParam)
		w.get("alice", "/_matrix/client/v1/mutual_rooms").fails(400, mxerr.MissingParam)
		w.get("alice", "/_matrix/client/v1/mutual_rooms?user_id=%s&from=x", "@bob:test").fails(400, mxerr.InvalidParam)
	})
}

// Of a space with more rooms than are looked at, as many come, the first of them
// first, on however many pages; each once, though it is named twice.
func TestLargeSpace(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		root := w.space("alice", "root", "")
		for i, name := range []string{"a", "b", "c"} {
			floor := w.space("alice", name, "")
			w.link("alice", root, floor, fmt.Sprintf(`,"order":"%d"`, i))
			for j := range 3 {
				w.link("alice", floor, w.space("alice", fmt.Sprint(name, j), ""), fmt.Sprintf(`,"order":"%d"`, j))
			}
			w.link("alice", floor, root, "")
		}
		for most, want := range map[int]string{
			0: "root a a0 a1 a2 b b0 b1 b2 c c0 c1 c2", 13: "root a a0 a1 a2 b b0 b1 b2 c c0 c1 c2", 12: "root a a0 a1 a2 b b0 b1 b2 c c0 c1",
			8: "root a a0 a1 a2 b b0 c", 4: "root a b c", 3: "root a b", 1: "root",
		} {
			w.doors.Spaces.MaxWalk = most
			var got []string
			for query, next := "?limit=2", "-"; next != ""; query = "?limit=2&from=" + next {
				page := w.hierarchy("alice", root, query)
				got, next = append(got, page.names()), page.Next
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("of %d: %s, want %s", most, s, want)
			}
		}
	})
}
