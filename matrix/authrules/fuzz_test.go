package authrules

import (
	"testing"

	"hearth/matrix/pdu"
)

// FuzzCheck judges any event that passes the format checks in a room whose state
// is made of such events too. Whatever they hold, the rules must answer, give the
// same answer twice, and never let a stranger write.
func FuzzCheck(f *testing.F) {
	for _, n := range []uint8{1, 6, 10, 12} {
		w := newWorld(f, int(n))
		f.Add(n, []byte(`{"ban":"x","users":{"@a:b":1e9},"events":[],"notifications":{"a":null}}`), []byte(`{"join_rule":1}`), []byte(`{"membership":"join"}`), "m.room.power_levels", "")
		f.Add(n, []byte(w.st(typeLevels, "").Content), []byte(`{"join_rule":"restricted"}`), []byte(`{"membership":"join","join_authorised_via_users_server":7}`), "m.room.member", dave)
		f.Add(n, []byte(`{}`), []byte(`{}`), []byte(`{"membership":"invite","third_party_invite":{"signed":{"mxid":"`+dave+`","token":"","signatures":{"a":{"ed25519:1":1}}}}}`), "m.room.member", dave)
		f.Add(n, []byte(`{}`), []byte(`{}`), []byte(`{"additional_creators":{}}`), "m.room.create", "")
	}
	f.Fuzz(func(t *testing.T, n uint8, levels, joinRules, content []byte, typ, stateKey string) {
		w := newWorld(t, int(n%12)+1)
		build := func(typ, sender, key string, content []byte) *pdu.Event {
			d := pdu.Draft{
				RoomID: w.room, Sender: sender, Type: typ, StateKey: &key, Content: content, PrevEvents: []string{"$x:y"},
				Hash: func(string) string { return "" },
			}
			ev, err := pdu.Build(w.v, d, "a.example", "ed25519:1", identityKey(0))
			if err != nil {
				return nil // no event can hold this
			}
			return ev
		}
		for key, content := range map[Tuple][]byte{
			{typeLevels, ""}: levels, {typeJoinRules, ""}: joinRules, {typeThirdParty, stateKey}: content,
		} {
			if ev := build(key.Type, alice, key.StateKey, content); ev != nil {
				w.state[key] = ev
			}
		}
		for _, sender := range []string{alice, bob, dave} {
			ev := build(typ, sender, stateKey, content)
			if ev == nil {
				return
			}
			err := w.check(ev)
			if again := w.check(ev); again != err {
				t.Fatalf("%v, then %v", err, again)
			}
			if err == nil && sender == dave && typ != typeMember && typ != typeCreate && typ != typeAliases {
				t.Fatalf("a stranger may send %s", ev.JSON)
			}
			Needed(w.v, ev.Type, ev.StateKey, ev.Sender, ev.Content)
			Signers(ev)
		}
	})
}

func BenchmarkCheckMessage(b *testing.B) {
	w := newWorld(b, 12)
	ev := w.message(bob, "m.room.message")
	b.ReportAllocs()
	for b.Loop() {
		if err := w.check(ev); err != nil {
			b.Fatal(err)
		}
	}
}
