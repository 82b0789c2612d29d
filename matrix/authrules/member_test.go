package authrules

import (
	"fmt"
	"strings"
	"testing"

	"hearth/matrix/pdu"
)

// after runs the preparation of a rule and then the attempt.
func after(prepare func(w *world), try func(w *world) *pdu.Event) func(w *world) *pdu.Event {
	return func(w *world) *pdu.Event { prepare(w); return try(w) }
}

func changes(sender, target, membership string) func(w *world) *pdu.Event {
	return func(w *world) *pdu.Event { return w.membership(sender, target, membership) }
}

func rules(rule string) func(w *world) {
	return func(w *world) { w.joinRule(rule) }
}

func TestMemberForm(t *testing.T) {
	with := func(key *string, content string) func(w *world) *pdu.Event {
		return func(w *world) *pdu.Event { return w.event("m.room.member", bob, key, content) }
	}
	user := bob
	runRules(t, []rule{
		{"no state key", 0, 0, with(nil, `{"membership":"join"}`), ErrMemberForm},
		{"no membership", 0, 0, with(&user, `{}`), ErrMemberForm},
		{"membership is a number", 0, 0, with(&user, `{"membership":1}`), ErrMembership},
		{"unknown membership", 0, 0, with(&user, `{"membership":"sit"}`), ErrMembership},
		{"knock before it existed", 1, 6, with(&user, `{"membership":"knock"}`), ErrMembership},
	})
}

func TestJoin(t *testing.T) {
	in := func(membership string, rule string) func(w *world) {
		return func(w *world) { w.member(dave, membership); w.joinRule(rule) }
	}
	first := func(sender, target string) func(w *world) *pdu.Event {
		return func(w *world) *pdu.Event {
			create := w.create()
			w.state = map[Tuple]*pdu.Event{{"m.room.create", ""}: create}
			ref := `["` + create.ID + `"]`
			if w.v.RedactionAuth {
				ref = `[["` + create.ID + `",{"sha256":"x"}]]`
			}
			return w.membership(sender, target, "join", "prev_events", ref)
		}
	}
	runRules(t, []rule{
		{"creator's first join", 0, 0, first(alice, alice), nil},
		{"somebody else first", 0, 0, first(bob, bob), ErrJoinNotInvited},
		{"creator, but not first", 0, 0, after(func(w *world) { w.drop("m.room.member", alice) }, changes(alice, alice, "join")), ErrJoinNotInvited},
		{"for somebody else", 0, 0, after(rules("public"), changes(bob, dave, "join")), ErrJoinOther},
		{"banned", 0, 0, after(in("ban", "public"), changes(dave, dave, "join")), ErrJoinBanned},
		{"public", 0, 0, after(rules("public"), changes(dave, dave, "join")), nil},
		{"again", 0, 0, after(rules("invite"), changes(bob, bob, "join")), nil},
		{"not invited", 0, 0, after(rules("invite"), changes(dave, dave, "join")), ErrJoinNotInvited},
		{"invited", 0, 0, after(in("invite", "invite"), changes(dave, dave, "join")), nil},
		{"no join rules", 0, 0, after(func(w *world) { w.drop("m.room.join_rules", "") }, changes(dave, dave, "join")), ErrJoinNotInvited},
		{"invited, no join rules", 0, 0, after(func(w *world) { w.member(dave, "invite"); w.drop("m.room.join_rules", "") }, changes(dave, dave, "join")), nil},
		{"knocked", 7, 0, after(in("knock", "knock"), changes(dave, dave, "join")), ErrJoinNotInvited},
		{"invited under knock", 7, 0, after(in("invite", "knock"), changes(dave, dave, "join")), nil},
		{"invited under knock before it existed", 1, 6, after(in("invite", "knock"), changes(dave, dave, "join")), ErrJoinRule},
		{"invited under restricted", 8, 0, after(in("invite", "restricted"), changes(dave, dave, "join")), nil},
		{"invited under restricted before it existed", 1, 7, after(in("invite", "restricted"), changes(dave, dave, "join")), ErrJoinRule},
		{"invited under knock_restricted", 10, 0, after(in("invite", "knock_restricted"), changes(dave, dave, "join")), nil},
		{"invited under knock_restricted before it existed", 1, 9, after(in("invite", "knock_restricted"), changes(dave, dave, "join")), ErrJoinRule},
		{"private", 0, 0, after(in("invite", "private"), changes(dave, dave, "join")), ErrJoinRule},
		{"unknown rule, already in", 0, 0, after(rules("made.up"), changes(bob, bob, "join")), ErrJoinRule},
	})
}

func TestRestrictedJoin(t *testing.T) {
	join := func(via, signer string) func(w *world) *pdu.Event {
		return func(w *world) *pdu.Event {
			user := dave
			return w.event("m.room.member", dave, &user, fmt.Sprintf(`{"membership":"join","join_authorised_via_users_server":%s}`, via),
				"signatures", `{"`+signer+`":{"ed25519:1":"abc"}}`)
		}
	}
	quoted := func(s string) string { return `"` + s + `"` }
	inviteLevel := func(w *world) {
		w.levels(`{"invite":50,"users":{"` + mod + `":50}}`)
		w.joinRule("restricted")
	}
	runRules(t, []rule{
		{"nobody vouches", 8, 0, after(rules("restricted"), changes(dave, dave, "join")), ErrJoinNotAuthorised},
		{"a member vouches", 8, 0, after(rules("restricted"), join(quoted(carol), "c.example")), nil},
		{"a member vouches, knock_restricted", 10, 0, after(rules("knock_restricted"), join(quoted(carol), "c.example")), nil},
		{"not signed by that server", 8, 0, after(rules("restricted"), join(quoted(carol), "b.example")), ErrNotCosigned},
		{"not signed matters for any rule", 8, 0, after(rules("public"), join(quoted(carol), "b.example")), ErrNotCosigned},
		{"no user id", 8, 0, after(rules("public"), join(`"carol"`, "c.example")), ErrNotCosigned},
		{"not a string", 8, 0, after(rules("public"), join(`1`, "c.example")), ErrNotCosigned},
		{"no meaning before version 8", 1, 7, after(rules("public"), join(`1`, "c.example")), nil},
		{"who vouches is not in the room", 8, 0, after(rules("restricted"), join(quoted("@eve:c.example"), "c.example")), ErrJoinNotAuthorised},
		{"who vouches may not invite", 8, 0, after(inviteLevel, join(quoted(carol), "c.example")), ErrJoinNotAuthorised},
		{"who vouches may invite", 8, 0, after(inviteLevel, join(quoted(mod), "a.example")), nil},
		{"banned all the same", 8, 0, after(func(w *world) { inviteLevel(w); w.member(dave, "ban") }, join(quoted(mod), "a.example")), ErrJoinBanned},
	})
}

func TestInvite(t *testing.T) {
	level := func(w *world) { w.levels(`{"invite":50,"users":{"` + mod + `":50}}`) }
	runRules(t, []rule{
		{"by a member", 0, 0, changes(bob, dave, "invite"), nil},
		{"by a stranger", 0, 0, changes(dave, "@eve:e.example", "invite"), ErrInviteNotJoined},
		{"of a member", 0, 0, changes(bob, carol, "invite"), ErrInviteMember},
		{"of a banned user", 0, 0, after(func(w *world) { w.member(dave, "ban") }, changes(alice, dave, "invite")), ErrInviteMember},
		{"again", 0, 0, after(func(w *world) { w.member(dave, "invite") }, changes(bob, dave, "invite")), nil},
		{"who knocked", 7, 0, after(func(w *world) { w.member(dave, "knock") }, changes(bob, dave, "invite")), nil},
		{"with too low a level", 0, 0, after(level, changes(bob, dave, "invite")), ErrInviteLevel},
		{"with the level", 0, 0, after(level, changes(mod, dave, "invite")), nil},
		{"of oneself", 0, 0, changes(bob, bob, "invite"), ErrInviteMember},
	})
}

func TestLeaveAndKick(t *testing.T) {
	as := func(m string) func(w *world) { return func(w *world) { w.member(dave, m) } }
	peers := func(w *world) { w.levels(`{"users":{"` + mod + `":50,"` + bob + `":50}}`) }
	bans := func(w *world) {
		w.member(dave, "ban")
		w.levels(`{"ban":60,"users":{"` + mod + `":50}}`)
	}
	runRules(t, []rule{
		{"leave", 0, 0, changes(bob, bob, "leave"), nil},
		{"decline", 0, 0, after(as("invite"), changes(dave, dave, "leave")), nil},
		{"withdraw a knock", 7, 0, after(as("knock"), changes(dave, dave, "leave")), nil},
		{"withdraw a knock before it existed", 1, 6, after(as("knock"), changes(dave, dave, "leave")), ErrLeaveNotIn},
		{"leave without being in", 0, 0, changes(dave, dave, "leave"), ErrLeaveNotIn},
		{"leave twice", 0, 0, after(as("leave"), changes(dave, dave, "leave")), ErrLeaveNotIn},
		{"leave while banned", 0, 0, after(as("ban"), changes(dave, dave, "leave")), ErrLeaveNotIn},
		{"kick by a stranger", 0, 0, changes(dave, bob, "leave"), ErrKickNotJoined},
		{"kick", 0, 0, changes(mod, bob, "leave"), nil},
		{"kick who is not in", 0, 0, changes(mod, dave, "leave"), nil},
		{"kick with too low a level", 0, 0, changes(bob, carol, "leave"), ErrKickLevel},
		{"kick a peer", 0, 0, after(peers, changes(mod, bob, "leave")), ErrKickLevel},
		{"kick upwards", 0, 0, changes(mod, alice, "leave"), ErrKickLevel},
		{"unban", 0, 0, after(as("ban"), changes(mod, dave, "leave")), nil},
		{"unban below the ban level", 0, 0, after(bans, changes(mod, dave, "leave")), ErrUnbanLevel},
		{"unban without the kick level", 0, 0, after(func(w *world) {
			w.member(dave, "ban")
			w.levels(`{"kick":60,"users":{"` + mod + `":50}}`)
		}, changes(mod, dave, "leave")), ErrKickLevel},
	})
}

func TestBan(t *testing.T) {
	runRules(t, []rule{
		{"by a moderator", 0, 0, changes(mod, bob, "ban"), nil},
		{"of a stranger", 0, 0, changes(mod, dave, "ban"), nil},
		{"by a stranger", 0, 0, changes(dave, bob, "ban"), ErrBanNotJoined},
		{"with too low a level", 0, 0, changes(bob, carol, "ban"), ErrBanLevel},
		{"upwards", 0, 0, changes(mod, alice, "ban"), ErrBanLevel},
		{"of oneself", 0, 0, changes(mod, mod, "ban"), ErrBanLevel},
	})
}

func TestKnock(t *testing.T) {
	as := func(m string) func(w *world) { return func(w *world) { w.member(dave, m); w.joinRule("knock") } }
	runRules(t, []rule{
		{"where it is allowed", 7, 0, after(rules("knock"), changes(dave, dave, "knock")), nil},
		{"twice", 7, 0, after(as("knock"), changes(dave, dave, "knock")), nil},
		{"after leaving", 7, 0, after(as("leave"), changes(dave, dave, "knock")), nil},
		{"knock_restricted", 10, 0, after(rules("knock_restricted"), changes(dave, dave, "knock")), nil},
		{"knock_restricted before it existed", 7, 9, after(rules("knock_restricted"), changes(dave, dave, "knock")), ErrKnockRule},
		{"public", 7, 0, after(rules("public"), changes(dave, dave, "knock")), ErrKnockRule},
		{"no join rules", 7, 0, after(func(w *world) { w.drop("m.room.join_rules", "") }, changes(dave, dave, "knock")), ErrKnockRule},
		{"for somebody else", 7, 0, after(rules("knock"), changes(bob, dave, "knock")), ErrKnockOther},
		{"banned", 7, 0, after(as("ban"), changes(dave, dave, "knock")), ErrKnockMember},
		{"invited", 7, 0, after(as("invite"), changes(dave, dave, "knock")), ErrKnockMember},
		{"already in", 7, 0, after(rules("knock"), changes(bob, bob, "knock")), ErrKnockMember},
	})
}

func TestSigners(t *testing.T) {
	names := func(ev *pdu.Event) string {
		var s []string
		for _, n := range Signers(ev) {
			s = append(s, string(n))
		}
		return strings.Join(s, " ")
	}
	for n := 1; n <= 12; n++ {
		w := newWorld(t, n)
		want := "b.example"
		if got := names(w.message(bob, "m.room.message")); got != want {
			t.Errorf("version %d: message: %s", n, got)
		}
		user := dave
		join := w.event("m.room.member", dave, &user, `{"membership":"join","join_authorised_via_users_server":"`+carol+`"}`)
		if n >= 8 {
			want = "b.example c.example"
		}
		if got := names(join); got != want {
			t.Errorf("version %d: restricted join: %s", n, got)
		}
		third := w.event("m.room.member", bob, &user, `{"membership":"invite","third_party_invite":{}}`)
		want = ""
		if n <= 2 {
			want = "b.example"
		}
		if got := names(third); got != want {
			t.Errorf("version %d: third-party invite: %s", n, got)
		}
	}
}
