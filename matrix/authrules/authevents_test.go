package authrules

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"hearth/matrix/pdu"
)

func TestNeeded(t *testing.T) {
	key := func(s string) *string { return &s }
	for _, tc := range []struct {
		name, typ string
		stateKey  *string
		content   string
		want      string // without create
		since     int    // version in which it came to be so
	}{
		{"message", "m.room.message", nil, `{}`, "levels member:S", 1},
		{"state", "m.room.topic", key(""), `{}`, "levels member:S", 1},
		{"aliases", "m.room.aliases", key("s"), `{}`, "levels member:S", 1},
		{"leave", "m.room.member", key("@t:t"), `{"membership":"leave"}`, "levels member:S member:@t:t", 1},
		{"own leave", "m.room.member", key("S"), `{"membership":"leave"}`, "levels member:S", 1},
		{"ban", "m.room.member", key("@t:t"), `{"membership":"ban"}`, "levels member:S member:@t:t", 1},
		{"join", "m.room.member", key("S"), `{"membership":"join"}`, "levels member:S rules", 1},
		{"knock", "m.room.member", key("S"), `{"membership":"knock"}`, "levels member:S rules", 1},
		{"invite", "m.room.member", key("@t:t"), `{"membership":"invite"}`, "levels member:S member:@t:t rules", 1},
		{"third-party invite", "m.room.member", key("@t:t"), `{"membership":"invite","third_party_invite":{"signed":{"token":"tok"}}}`, "levels member:S member:@t:t rules third:tok", 1},
		{"third-party invite without a token", "m.room.member", key("@t:t"), `{"membership":"invite","third_party_invite":{}}`, "levels member:S member:@t:t rules", 1},
		{"third_party_invite in a join", "m.room.member", key("S"), `{"membership":"join","third_party_invite":{"signed":{"token":"tok"}}}`, "levels member:S rules", 1},
		{"restricted join", "m.room.member", key("S"), `{"join_authorised_via_users_server":"@v:v","membership":"join"}`, "levels member:S rules member:@v:v", 8},
		{"restricted join before it existed", "m.room.member", key("S"), `{"join_authorised_via_users_server":"@v:v","membership":"join"}`, "levels member:S rules", -7},
		{"member without state key", "m.room.member", nil, `{"membership":"join"}`, "levels member:S", 1},
	} {
		for n := 1; n <= 12; n++ {
			if tc.since > 0 && n < tc.since || tc.since < 0 && n > -tc.since {
				continue
			}
			w := newWorld(t, n)
			got := strings.TrimPrefix(short(Needed(w.v, tc.typ, tc.stateKey, "S", []byte(tc.content))), "create ")
			if got != tc.want {
				t.Errorf("version %d: %s: %s, want %s", n, tc.name, got, tc.want)
			}
			hasCreate := slices.Contains(Needed(w.v, tc.typ, tc.stateKey, "S", []byte(tc.content)), Tuple{"m.room.create", ""})
			if hasCreate == (n == 12) {
				t.Errorf("version %d: %s: create event: %v", n, tc.name, hasCreate)
			}
		}
	}
	w := newWorld(t, 11)
	if got := Needed(w.v, "m.room.create", key(""), "S", []byte(`{}`)); len(got) != 0 {
		t.Errorf("create event needs %v", got)
	}
}

func short(ts []Tuple) string {
	names := map[string]string{"m.room.create": "create", "m.room.power_levels": "levels", "m.room.join_rules": "rules", "m.room.member": "member", "m.room.third_party_invite": "third"}
	var out []string
	for _, t := range ts {
		s := names[t.Type]
		if t.StateKey != "" {
			s += ":" + t.StateKey
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestCheckAuthEvents(t *testing.T) {
	for n := 1; n <= 12; n++ {
		w := newWorld(t, n)
		ev := w.message(bob, "m.room.message")
		get := func(typ, key string) *pdu.Event { return w.state[Tuple{typ, key}] }
		usual := []*pdu.Event{get("m.room.power_levels", ""), get("m.room.member", bob)}
		if n < 12 {
			usual = append(usual, w.create())
		}
		foreign := newWorld(t, n)
		foreign.room = "!elsewhere:a.example"
		foreign.levels(`{}`)
		for _, tc := range []struct {
			name string
			auth []*pdu.Event
			want error
		}{
			{"usual", usual, nil},
			{"fewer", usual[1:], nil},
			{"twice", append(slices.Clone(usual), usual[0]), ErrAuthDuplicate},
			{"two power levels", append(slices.Clone(usual), w.set("m.room.power_levels", "", `{}`)), ErrAuthDuplicate},
			{"another member", append(slices.Clone(usual), get("m.room.member", carol)), ErrAuthUnexpected},
			{"join rules", append(slices.Clone(usual), get("m.room.join_rules", "")), ErrAuthUnexpected},
			{"a message", append(slices.Clone(usual), ev), ErrAuthUnexpected},
			{"of another room", append(slices.Clone(usual[1:]), foreign.st("m.room.power_levels", "")), ErrAuthRoom},
		} {
			if got := CheckAuthEvents(ev, tc.auth); !errors.Is(got, tc.want) {
				t.Errorf("version %d: %s: %v, want %v", n, tc.name, got, tc.want)
			}
		}
		if n == 12 {
			if got := CheckAuthEvents(ev, append(usual, w.create())); !errors.Is(got, ErrAuthUnexpected) {
				t.Errorf("version 12: with create event: %v", got)
			}
		} else if got := CheckAuthEvents(ev, usual[:2]); !errors.Is(got, ErrNoCreate) {
			t.Errorf("version %d: without create event: %v", n, got)
		}
		if got := CheckAuthEvents(w.create(), nil); got != nil {
			t.Errorf("version %d: create event: %v", n, got)
		}
	}
}

// An event is allowed by the events that it names, without the rest of the state.
func TestFromAuthEvents(t *testing.T) {
	for n := 1; n <= 12; n++ {
		w := newWorld(t, n)
		ev := w.stateEvent(mod, "m.room.topic", "", `{}`)
		var auth []*pdu.Event
		for _, need := range Needed(w.v, ev.Type, ev.StateKey, ev.Sender, ev.Content) {
			if a := w.state[need]; a != nil {
				auth = append(auth, a)
			}
		}
		if err := CheckAuthEvents(ev, auth); err != nil {
			t.Errorf("version %d: %v", n, err)
		}
		if err := Check(ev, FromAuthEvents(w.create(), auth)); err != nil {
			t.Errorf("version %d: %v", n, err)
		}
	}
}
