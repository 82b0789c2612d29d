package feed_test

import (
	"fmt"
	"testing"

	"hearth/homeserver/room"
)

const carol = "@carol:test"

func slideList(limit int, required string) string {
	return fmt.Sprintf(`{"lists":{"all":{"ranges":[[0,9]],"timeline_limit":%d,"required_state":%s}}}`, limit, required)
}

// With lazy members a client gets those who appear in the timeline, once, and
// all changes while there is no gap.
func TestSlideLazyMembers(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		ctx := t.Context()
		r := w.room("Kitchen", bob, carol)
		for range 3 {
			w.say(r, bob, "m")
		}
		p := w.phone(alice, slideList(2, `[["m.room.member","$LAZY"],["m.room.member","$ME"]]`))
		state := func(want string) {
			t.Helper()
			if got := slideSorted(p.room(p.sync(), r).RequiredState); got != want {
				t.Errorf("required_state is %q, want %q", got, want)
			}
		}
		state("m.room.memberjoin @alice:test, m.room.memberjoin @bob:test")
		w.say(r, bob, "again")
		state("")
		w.say(r, carol, "hello")
		state("m.room.memberjoin @carol:test")
		w.say(r, carol, "hello")
		state("")
		w.ok(w.rooms.Join(ctx, "@dave:test", r.ID, room.JoinRequest{}))
		state("m.room.memberjoin @dave:test")
		w.say(r, "@dave:test", "hi")
		state("")
		// A gap: the client forgets its members and gets only those it needs.
		w.ok(w.rooms.Join(ctx, "@erin:test", r.ID, room.JoinRequest{}))
		for range 3 {
			w.say(r, bob, "m")
		}
		state("m.room.memberjoin @bob:test")
		w.say(r, carol, "hello")
		state("m.room.memberjoin @carol:test")
	})
}

func TestSlideRequiredState(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := w.room("Kitchen", bob, carol)
		w.set(r, alice, "org.example.shelf", "a", `{}`)
		w.set(r, alice, "org.example.shelf", "b", `{}`)
		w.say(r, bob, "m")
		const everybody = `m.room.memberjoin @alice:test, m.room.memberjoin @bob:test, m.room.memberjoin @carol:test`
		const ofTheRoom = `m.room.create, m.room.guest_access, m.room.history_visibility, m.room.join_rules`
		for _, tc := range []struct{ name, required, want string }{
			{"none", `[]`, ``},
			{"null", `null`, ``},
			{"one", `[["m.room.name",""]]`, `m.room.nameKitchen`},
			{"a type", `[["org.example.shelf","*"]]`, `org.example.shelf a, org.example.shelf b`},
			{"a state key", `[["*","a"]]`, `org.example.shelf a`},
			{"all but members", `[["*","*"],["m.room.member","$LAZY"]]`, ofTheRoom + `, m.room.memberjoin @bob:test, m.room.nameKitchen, m.room.power_levels, org.example.shelf a, org.example.shelf b`},
			{"me", `[["m.room.member","$ME"]]`, `m.room.memberjoin @alice:test`},
			{"all members", `[["m.room.member","*"],["m.room.member","$LAZY"]]`, everybody},
			{"an object", `{"include":[{"type":"m.room.name","state_key":""},{"type":"org.example.shelf"}],"exclude":[{"state_key":"b"}]}`, `m.room.nameKitchen, org.example.shelf a`},
			{"an object with everything", `{"include":[{}],"exclude":[{"state_key":""}]}`, everybody + `, org.example.shelf a, org.example.shelf b`},
			{"lazily", `{"include":[{}],"exclude":[{"state_key":""}],"lazy_members":true}`, `m.room.memberjoin @bob:test, org.example.shelf a, org.example.shelf b`},
		} {
			p := w.phone(alice, slideList(1, tc.required))
			if got := slideSorted(p.room(p.sync(), r).RequiredState); got != tc.want {
				t.Errorf("%s:\ngot  %s\nwant %s", tc.name, got, tc.want)
			}
		}
	})
}

// What changes later is told by the same rules, in the same room and out of
// many rules.
func TestSlideChangedState(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := w.room("Kitchen", bob)
		p := w.phone(alice, `{"lists":{
			"a":{"timeline_limit":1,"required_state":[["org.example.shelf","*"]]},
			"b":{"timeline_limit":3,"range":[0,0],"required_state":{"include":[{}],"exclude":[{"type":"org.example.secret"}]}}}}`)
		p.sync()
		w.set(r, alice, "org.example.shelf", "a", `{}`)
		w.set(r, alice, "org.example.secret", "a", `{}`)
		got := p.room(p.sync(), r)
		if s := slideTexts(got.RequiredState); s != "org.example.shelf a" || len(got.Timeline) != 2 {
			t.Errorf("got %s, %+v", s, got)
		}
	})
}

func TestSlideDirectChat(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := newRoom(t, w.rooms, room.CreateRequest{Preset: "trusted_private_chat", Invite: []string{bob}})
		p := w.phone(alice, slideWindow)
		got := p.room(p.sync(), r)
		if got.IsDM != nil || len(got.Heroes) != 1 || got.Heroes[0].UserID != bob || got.Name != nil || *got.Invited != 1 {
			t.Errorf("the room is %+v", got)
		}
		w.put(alice, nil, "m.direct", `{"@bob:test":["`+r.ID+`"]}`)
		if got = p.room(p.sync(), r); got.IsDM == nil || !*got.IsDM || got.Initial || got.Timeline != nil {
			t.Errorf("a direct chat is %+v", got)
		}
		w.ok(w.rooms.Join(t.Context(), bob, r.ID, room.JoinRequest{}))
		if got = p.room(p.sync(), r); *got.Joined != 2 || *got.Invited != 0 || len(got.Heroes) != 1 || got.IsDM != nil {
			t.Errorf("the answer to the invite is %+v", got)
		}
		w.put(alice, nil, "m.direct", `{}`)
		if got = p.room(p.sync(), r); got.IsDM == nil || *got.IsDM {
			t.Errorf("a direct chat no more is %+v", got)
		}
	})
}
