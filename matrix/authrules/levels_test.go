package authrules

import (
	"fmt"
	"testing"

	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// changed by mod, who has level 50, from old to next. alice is left out of the
// users: in version 12 she must not be there.
func modChanges(old, next string) func(w *world) *pdu.Event {
	return func(w *world) *pdu.Event {
		w.levels(fmt.Sprintf(`{"users":{%q:50,%q:60,%q:50,%q:10}%s}`, mod, "@high:a", "@peer:a", "@low:a", old))
		return w.stateEvent(mod, "m.room.power_levels", "", next)
	}
}

// same are the users of modChanges.
const same = `"users":{"@mod:a.example":50,"@high:a":60,"@peer:a":50,"@low:a":10}`

func users(list string) string { return `{"users":{` + list + `}}` }

func TestPowerLevelValues(t *testing.T) {
	first := func(content string) func(w *world) *pdu.Event {
		return func(w *world) *pdu.Event {
			w.drop("m.room.power_levels", "")
			return w.stateEvent(alice, "m.room.power_levels", "", content)
		}
	}
	runRules(t, []rule{
		{"empty", 0, 0, first(`{}`), nil},
		{"integers", 0, 0, first(`{"ban":1,"events":{"x":-2},"notifications":{"room":3},"users":{"@bob:b.example":4}}`), nil},
		{"other fields", 0, 0, first(`{"m.custom":"text"}`), nil},

		{"a string", 1, 9, first(`{"ban":"50"}`), nil},
		{"strings in a map", 1, 9, first(`{"events":{"x":"50"},"users":{"@bob:b.example":" +007 "},"notifications":{"room":"-1"}}`), nil},
		{"a string", 10, 0, first(`{"ban":"50"}`), ErrLevelsValue},
		{"a string in events", 10, 0, first(`{"events":{"x":"50"}}`), ErrLevelsValue},
		{"a string in notifications", 10, 0, first(`{"notifications":{"room":"50"}}`), ErrLevelsValue},
		{"a string in users", 10, 0, first(`{"users":{"@bob:b.example":"50"}}`), ErrLevelsUsers},
		{"null", 10, 0, first(`{"ban":null}`), ErrLevelsValue},
		{"events null", 10, 0, first(`{"events":null}`), ErrLevelsValue},
		{"users null", 10, 0, first(`{"users":null}`), ErrLevelsUsers},

		{"no number in the string", 0, 0, first(`{"ban":"many"}`), ErrLevelsValue},
		{"a float in the string", 0, 0, first(`{"ban":"1.5"}`), ErrLevelsValue},
		{"boolean", 0, 0, first(`{"kick":true}`), ErrLevelsValue},
		{"events is a list", 0, 0, first(`{"events":[]}`), ErrLevelsValue},
		{"notifications is a list", 6, 0, first(`{"notifications":[]}`), ErrLevelsValue},
		{"notifications is a list, which nobody reads", 1, 5, first(`{"notifications":[]}`), nil},
		{"users is a list", 0, 0, first(`{"users":[]}`), ErrLevelsUsers},
		{"users has words", 0, 0, first(`{"users":{"@bob:b.example":"many"}}`), ErrLevelsUsers},
		{"users has something else", 0, 0, first(`{"users":{"bob":1}}`), ErrLevelsUsers},

		{"a float", 1, 5, first(`{"users":{"@bob:b.example":50.57}}`), nil},
		{"a float", 6, 0, first(`{"users":{"@bob:b.example":50.57}}`), ErrLevelsUsers},

		{"the creator in users", 12, 0, first(`{"users":{"@alice:a.example":100}}`), ErrLevelsCreator},
		{"the creator in users", 1, 11, first(`{"users":{"@alice:a.example":100}}`), nil},
		{"an additional creator in users", 12, 0, func(w *world) *pdu.Event {
			w.set("m.room.create", "", `{"additional_creators":["`+bob+`"]}`)
			w.room = w.create().RoomID
			return w.stateEvent(alice, "m.room.power_levels", "", `{"users":{"`+bob+`":1}}`)
		}, ErrLevelsCreator},
		{"without the level for it", 0, 0, func(w *world) *pdu.Event {
			return w.stateEvent(bob, "m.room.power_levels", "", `{}`)
		}, ErrEventLevel},
	})
}

func TestPowerLevelChanges(t *testing.T) {
	var table []rule
	for _, f := range fieldNames {
		q := `"` + f + `":`
		// The field must not decide whether mod may send the event at all.
		if f == "state_default" || f == "users_default" {
			continue
		}
		table = append(table, []rule{
			{f + " same above own level", 0, 0, modChanges(","+q+"60", "{"+same+","+q+"60}"), nil},
			{f + " lowered from above", 0, 0, modChanges(","+q+"60", "{"+same+","+q+"40}"), ErrLevelsChange},
			{f + " removed from above", 0, 0, modChanges(","+q+"60", "{"+same+"}"), ErrLevelsChange},
			{f + " raised above", 0, 0, modChanges(","+q+"40", "{"+same+","+q+"60}"), ErrLevelsChange},
			{f + " added above", 0, 0, modChanges("", "{"+same+","+q+"60}"), ErrLevelsChange},
			{f + " raised to own level", 0, 0, modChanges(","+q+"40", "{"+same+","+q+"50}"), nil},
			{f + " removed from own level", 0, 0, modChanges(","+q+"50", "{"+same+"}"), nil},
		}...)
	}
	for _, m := range []struct {
		name  string
		first int
	}{{"events", 1}, {"notifications", 6}} {
		in := func(entries string) string { return `,"` + m.name + `":{` + entries + `}` }
		table = append(table, []rule{
			{m.name + " same above", m.first, 0, modChanges(in(`"x":60`), "{"+same+in(`"x":60`)+"}"), nil},
			{m.name + " lowered from above", m.first, 0, modChanges(in(`"x":60`), "{"+same+in(`"x":40`)+"}"), ErrLevelsChange},
			{m.name + " removed from above", m.first, 0, modChanges(in(`"x":60`), "{"+same+"}"), ErrLevelsChange},
			{m.name + " raised above", m.first, 0, modChanges(in(`"x":40`), "{"+same+in(`"x":60`)+"}"), ErrLevelsChange},
			{m.name + " added above", m.first, 0, modChanges("", "{"+same+in(`"x":60`)+"}"), ErrLevelsChange},
			{m.name + " added at own level", m.first, 0, modChanges("", "{"+same+in(`"x":50`)+"}"), nil},
			{m.name + " removed from own level", m.first, 0, modChanges(in(`"x":50`), "{"+same+"}"), nil},
		}...)
	}
	table = append(table, []rule{
		{"notifications had no rule", 1, 5, modChanges("", "{"+same+`,"notifications":{"room":60}}`), nil},
		{"strings and integers are the same", 1, 9, modChanges(`,"ban":"60"`, "{"+same+`,"ban":60}`), nil},
		{"state_default above", 0, 0, modChanges("", "{"+same+`,"state_default":51}`), ErrLevelsChange},
		{"users_default above", 0, 0, modChanges("", "{"+same+`,"users_default":51}`), ErrLevelsChange},
		{"users_default at own level", 0, 0, modChanges("", "{"+same+`,"users_default":50}`), nil},
	}...)
	runRules(t, table)
}

func TestPowerLevelsOfUsers(t *testing.T) {
	const m, high, peer, low = `"@mod:a.example":50`, `"@high:a":60`, `"@peer:a":50`, `"@low:a":10`
	runRules(t, []rule{
		{"nothing", 0, 0, modChanges("", users(m+","+high+","+peer+","+low)), nil},
		{"raise a lower user", 0, 0, modChanges("", users(m+","+high+","+peer+`,"@low:a":50`)), nil},
		{"raise a lower user too far", 0, 0, modChanges("", users(m+","+high+","+peer+`,"@low:a":51`)), ErrLevelsRaise},
		{"remove a lower user", 0, 0, modChanges("", users(m+","+high+","+peer)), nil},
		{"lower a peer", 0, 0, modChanges("", users(m+","+high+`,"@peer:a":1,`+low)), ErrLevelsPeer},
		{"remove a peer", 0, 0, modChanges("", users(m+","+high+","+low)), ErrLevelsPeer},
		{"lower who is higher", 0, 0, modChanges("", users(m+`,"@high:a":1,`+peer+","+low)), ErrLevelsPeer},
		{"lower oneself", 0, 0, modChanges("", users(`"@mod:a.example":1,`+high+","+peer+","+low)), nil},
		{"remove oneself", 0, 0, modChanges("", users(high+","+peer+","+low)), nil},
		{"raise oneself", 0, 0, modChanges("", users(`"@mod:a.example":51,`+high+","+peer+","+low)), ErrLevelsRaise},
		{"a new user", 0, 0, modChanges("", users(m+","+high+","+peer+","+low+`,"@new:a":50`)), nil},
		{"a new user too high", 0, 0, modChanges("", users(m+","+high+","+peer+","+low+`,"@new:a":51`)), ErrLevelsRaise},
	})
}

func TestReadingPowerLevels(t *testing.T) {
	for n := 1; n <= 12; n++ {
		w := newWorld(t, n)
		none := ParsePowerLevels(w.v, nil, w.create())
		if none.Ban != 50 || none.Kick != 50 || none.Redact != 50 || none.Invite != 0 ||
			none.ForEvent("x", true) != 50 || none.ForEvent("x", false) != 0 || none.Notification("room") != 50 || none.User(bob) != 0 {
			t.Errorf("version %d: without an event: %+v", n, none)
		}
		want := int64(100)
		if n == 12 {
			want = CreatorLevel
		}
		if got := none.User(alice); got != want {
			t.Errorf("version %d: creator has %d", n, got)
		}
		pl := w.set("m.room.power_levels", "", `{"ban":1,"kick":2,"redact":3,"invite":4,"state_default":5,"events_default":6,"users_default":7,"events":{"e":8},"users":{"`+bob+`":9},"notifications":{"room":10}}`)
		all := ParsePowerLevels(w.v, pl, w.create())
		got := []int64{all.Ban, all.Kick, all.Redact, all.Invite, all.ForEvent("x", true), all.ForEvent("x", false), all.User(carol), all.ForEvent("e", true), all.User(bob), all.Notification("room")}
		for i, g := range got {
			if g != int64(i+1) {
				t.Errorf("version %d: %v", n, got)
				break
			}
		}
		if all.Notification("other") != 50 {
			t.Errorf("version %d: other notifications need %d", n, all.Notification("other"))
		}
		if got := all.User(alice); n < 12 && got != 7 || n == 12 && got != CreatorLevel {
			t.Errorf("version %d: creator has %d", n, got)
		}
	}
}

// rooms/v1/#deprecated-event-content-schemas
func TestPowerLevelForms(t *testing.T) {
	for _, tc := range []struct {
		raw       string
		want      int64
		first, up int // accepted in versions first to up
	}{
		{"5", 5, 1, 12},
		{"-5", -5, 1, 12},
		{`"100"`, 100, 1, 9},
		{`"000100"`, 100, 1, 9},
		{`"+100"`, 100, 1, 9},
		{`"-100"`, -100, 1, 9},
		{`" -100  "`, -100, 1, 9},
		{`"99999999999999999999"`, 1<<63 - 1, 1, 9},
		{"50.57", 50, 1, 5},
		{"-50.57", -50, 1, 5},
		{"5.114698E4", 51146, 1, 5},
		{"1e300", 1<<63 - 1, 1, 5},
		{"-1e300", -1 << 63, 1, 5},
		{"99999999999999999999", 1<<63 - 1, 1, 5},
		{`""`, 0, 0, 0},
		{`"+"`, 0, 0, 0},
		{`"1.0"`, 0, 0, 0},
		{`"1e3"`, 0, 0, 0},
		{`"+-1"`, 0, 0, 0},
		{`"1 2"`, 0, 0, 0},
		{`"0x10"`, 0, 0, 0},
		{"null", 0, 0, 0},
		{"[]", 0, 0, 0},
		{"true", 0, 0, 0},
	} {
		for i, v := range roomver.All() {
			got, ok := parseLevel(v, []byte(tc.raw))
			if want := tc.first <= i+1 && i+1 <= tc.up; ok != want || ok && got != tc.want {
				t.Errorf("version %s: %s is %d, %v; want %d, %v", v.ID, tc.raw, got, ok, tc.want, want)
			}
		}
	}
}
