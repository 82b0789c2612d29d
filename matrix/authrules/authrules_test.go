package authrules

import (
	"testing"

	"hearth/matrix/pdu"
)

func says(sender, typ string, extra ...string) func(w *world) *pdu.Event {
	return func(w *world) *pdu.Event { return w.message(sender, typ, extra...) }
}

func sets(sender, typ, key string) func(w *world) *pdu.Event {
	return func(w *world) *pdu.Event { return w.stateEvent(sender, typ, key, `{}`) }
}

func where(content string) func(w *world) {
	return func(w *world) { w.levels(content) }
}

func TestAliasesBeforeVersion6(t *testing.T) {
	runRules(t, []rule{
		{"own server", 1, 5, sets(dave, "m.room.aliases", "b.example"), nil},
		{"other server", 1, 5, sets(alice, "m.room.aliases", "b.example"), ErrAliasesServer},
		{"no state key", 1, 5, says(alice, "m.room.aliases"), ErrAliasesStateKey},
		{"an event like others later", 6, 0, sets(dave, "m.room.aliases", "b.example"), ErrSenderNotJoined},
		{"by its level later", 6, 0, sets(mod, "m.room.aliases", "b.example"), nil},
	})
}

func TestSending(t *testing.T) {
	runRules(t, []rule{
		{"a member", 0, 0, says(bob, "m.room.message"), nil},
		{"a stranger", 0, 0, says(dave, "m.room.message"), ErrSenderNotJoined},
		{"an invited user", 0, 0, after(func(w *world) { w.member(dave, "invite") }, says(dave, "m.room.message")), ErrSenderNotJoined},
		{"a banned user", 0, 0, after(func(w *world) { w.member(bob, "ban") }, says(bob, "m.room.message")), ErrSenderNotJoined},
		{"state without the level", 0, 0, sets(bob, "m.room.topic", ""), ErrEventLevel},
		{"state with the level", 0, 0, sets(mod, "m.room.topic", ""), nil},
		{"state_default", 0, 0, after(where(`{"state_default":0}`), sets(bob, "m.room.topic", "")), nil},
		{"events_default", 0, 0, after(where(`{"events_default":1}`), says(bob, "m.room.message")), ErrEventLevel},
		{"users_default", 0, 0, after(where(`{"events_default":1,"users_default":1}`), says(bob, "m.room.message")), nil},
		{"level of the type", 0, 0, after(where(`{"events":{"x":1}}`), says(bob, "x")), ErrEventLevel},
		{"level of the type is lower", 0, 0, after(where(`{"events":{"x":0}}`), sets(bob, "x", "")), nil},
		{"negative level", 0, 0, after(where(`{"users":{"`+bob+`":-1}}`), says(bob, "m.room.message")), ErrEventLevel},
		{"no power levels, message", 0, 0, after(func(w *world) { w.drop("m.room.power_levels", "") }, says(bob, "m.room.message")), nil},
		{"no power levels, state", 0, 0, after(func(w *world) { w.drop("m.room.power_levels", "") }, sets(mod, "m.room.topic", "")), ErrEventLevel},
		{"no power levels, creator", 0, 0, after(func(w *world) { w.drop("m.room.power_levels", "") }, sets(alice, "m.room.topic", "")), nil},
		{"own state key", 0, 0, after(where(`{"state_default":0}`), sets(bob, "x", bob)), nil},
		{"another user's state key", 0, 0, after(where(`{"state_default":0}`), sets(bob, "x", carol)), ErrForeignStateKey},
		{"another user's state key, by an admin", 0, 0, sets(alice, "x", carol), ErrForeignStateKey},
		{"state key with something before the id", 0, 0, after(where(`{"state_default":0}`), sets(bob, "x", "_"+carol)), nil},
	})
}

func TestCreatorsStandAboveAll(t *testing.T) {
	runRules(t, []rule{
		{"creator may do anything", 12, 0, after(where(`{"events":{"x":9007199254740991}}`), says(alice, "x")), nil},
		{"a moderator may not", 12, 0, after(where(`{"events":{"x":9007199254740991}}`), says(mod, "x")), ErrEventLevel},
		{"nobody kicks a creator", 12, 0, after(where(`{"users":{"`+mod+`":9007199254740991}}`), changes(mod, alice, "leave")), ErrKickLevel},
		{"nor do creators each other", 12, 0, func(w *world) *pdu.Event {
			w.set("m.room.create", "", `{"additional_creators":["`+bob+`"]}`)
			w.room = w.create().RoomID
			return w.membership(alice, bob, "leave")
		}, ErrKickLevel},
		{"additional creators are creators", 12, 0, func(w *world) *pdu.Event {
			w.set("m.room.create", "", `{"additional_creators":["`+bob+`"]}`)
			w.room = w.create().RoomID
			return w.stateEvent(bob, "m.room.topic", "", `{}`)
		}, nil},
		{"not before version 12", 1, 11, func(w *world) *pdu.Event {
			w.set("m.room.create", "", `{"creator":"`+alice+`","additional_creators":["`+bob+`"]}`)
			return w.stateEvent(bob, "m.room.topic", "", `{}`)
		}, ErrEventLevel},
	})
}

func TestThirdPartyInviteEvent(t *testing.T) {
	runRules(t, []rule{
		{"anybody by default", 0, 0, sets(bob, "m.room.third_party_invite", "token"), nil},
		{"below the invite level", 0, 0, after(where(`{"invite":1}`), sets(bob, "m.room.third_party_invite", "token")), ErrThirdPartyInviteLevel},
		{"the level of the type has no say", 0, 0, after(where(`{"events":{"m.room.third_party_invite":50}}`), sets(bob, "m.room.third_party_invite", "token")), nil},
		{"a stranger", 0, 0, sets(dave, "m.room.third_party_invite", "token"), ErrSenderNotJoined},
	})
}

func TestRedactions(t *testing.T) {
	// Event ids of versions 1 and 2 have the server of the sender here.
	runRules(t, []rule{
		{"by the level", 1, 2, says(mod, "m.room.redaction", "redacts", `"$x:c.example"`), nil},
		{"of the own server", 1, 2, says(bob, "m.room.redaction", "redacts", `"$x:b.example"`), nil},
		{"of another server", 1, 2, says(bob, "m.room.redaction", "redacts", `"$x:c.example"`), ErrRedaction},
		{"of nothing", 1, 2, says(bob, "m.room.redaction"), ErrRedaction},
		{"redact level", 1, 2, after(where(`{"redact":0}`), says(bob, "m.room.redaction", "redacts", `"$x:c.example"`)), nil},
		{"always later", 3, 0, says(bob, "m.room.redaction", "redacts", `"$x:c.example"`), nil},
		{"unless the type has a level", 3, 0, after(where(`{"events":{"m.room.redaction":1}}`), says(bob, "m.room.redaction")), ErrEventLevel},
	})
}
