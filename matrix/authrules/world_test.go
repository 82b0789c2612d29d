package authrules

import (
	"fmt"
	"strconv"
	"testing"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// The people of the tests. alice makes the room. Unless a test says otherwise,
// alice has level 100, mod has 50, bob and carol have none; they are all in the
// room. dave is not.
const (
	alice = "@alice:a.example"
	mod   = "@mod:a.example"
	bob   = "@bob:b.example"
	carol = "@carol:c.example"
	dave  = "@dave:b.example"
)

// world is a room as far as the rules see it.
type world struct {
	t     testing.TB
	v     *roomver.Version
	state map[Tuple]*pdu.Event
	room  string
	n     int
}

func newWorld(t testing.TB, version int) *world {
	t.Helper()
	w := &world{t: t, v: roomver.All()[version-1], state: map[Tuple]*pdu.Event{}}
	w.room = "!room:a.example"
	content := fmt.Sprintf(`{"creator":%q,"room_version":%q}`, alice, w.v.ID)
	create := w.event("m.room.create", alice, new(string), content)
	w.room = create.RoomID
	w.state[Tuple{"m.room.create", ""}] = create
	for _, user := range []string{alice, mod, bob, carol} {
		w.member(user, "join")
	}
	users := fmt.Sprintf(`%q:100,%q:50`, alice, mod)
	if w.v.PrivilegedCreators {
		users = fmt.Sprintf(`%q:50`, mod)
	}
	w.set("m.room.power_levels", "", `{"users":{`+users+`}}`)
	w.set("m.room.join_rules", "", `{"join_rule":"invite"}`)
	return w
}

func (w *world) create() *pdu.Event { return w.state[Tuple{"m.room.create", ""}] }

// event makes an event of this version; extra are more top-level fields.
func (w *world) event(typ, sender string, stateKey *string, content string, extra ...string) *pdu.Event {
	w.t.Helper()
	w.n++
	obj := []byte(`{}`)
	set := func(key, val string) { obj = canonjson.With(nil, obj, key, []byte(val)) }
	set("auth_events", "[]")
	set("depth", "5")
	set("hashes", "{}")
	set("origin_server_ts", "1")
	set("prev_events", `[]`)
	if typ != "m.room.create" {
		prev := `["$prev"]`
		if w.v.EventIDs == roomver.EventIDWithServer {
			prev = `[["$prev:a.example",{"sha256":"abc"}]]`
		}
		set("prev_events", prev)
	}
	if typ != "m.room.create" || !w.v.RoomIDIsCreate {
		set("room_id", strconv.Quote(w.room))
	}
	set("sender", strconv.Quote(sender))
	set("signatures", `{}`)
	set("type", strconv.Quote(typ))
	if stateKey != nil {
		set("state_key", strconv.Quote(*stateKey))
	}
	c, err := canonjson.Canonical(nil, []byte(content), canonjson.Options{Numbers: canonjson.Loose})
	if err != nil {
		w.t.Fatalf("%s: %v", content, err)
	}
	set("content", string(c))
	id := fmt.Sprintf("$e%d:%s", w.n, mxid.ServerOf(sender))
	if w.v.EventIDs != roomver.EventIDWithServer {
		id = ""
		set("nonce", strconv.Itoa(w.n))
		set("hashes", fmt.Sprintf(`{"sha256":"%d"}`, w.n))
	} else {
		set("event_id", strconv.Quote(id))
	}
	for i := 0; i < len(extra); i += 2 {
		set(extra[i], extra[i+1])
	}
	ev, err := pdu.Parse(w.v, id, obj)
	if err != nil {
		w.t.Fatalf("%s: %v", obj, err)
	}
	return ev
}

// set puts a state event of alice into the room, whether allowed or not.
func (w *world) set(typ, key, content string) *pdu.Event {
	w.t.Helper()
	ev := w.event(typ, alice, &key, content)
	w.state[Tuple{typ, key}] = ev
	return ev
}

func (w *world) drop(typ, key string) { delete(w.state, Tuple{typ, key}) }

func (w *world) member(user, membership string) {
	w.t.Helper()
	ev := w.event("m.room.member", user, &user, fmt.Sprintf(`{"membership":%q}`, membership))
	w.state[Tuple{"m.room.member", user}] = ev
}

// levels sets the power levels to the content given.
func (w *world) levels(content string) { w.t.Helper(); w.set("m.room.power_levels", "", content) }

func (w *world) joinRule(rule string) {
	w.t.Helper()
	w.set("m.room.join_rules", "", fmt.Sprintf(`{"join_rule":%q}`, rule))
}

func (w *world) st(typ, key string) *pdu.Event { return w.state[Tuple{typ, key}] }

func (w *world) check(ev *pdu.Event) error { return Check(ev, w.st) }

// membership is a member event that sender sends about target.
func (w *world) membership(sender, target, membership string, extra ...string) *pdu.Event {
	w.t.Helper()
	return w.event("m.room.member", sender, &target, fmt.Sprintf(`{"membership":%q}`, membership), extra...)
}

// message and stateEvent are what people send.
func (w *world) message(sender, typ string, extra ...string) *pdu.Event {
	w.t.Helper()
	return w.event(typ, sender, nil, `{"body":"x"}`, extra...)
}

func (w *world) stateEvent(sender, typ, key, content string) *pdu.Event {
	w.t.Helper()
	return w.event(typ, sender, &key, content)
}

// rule is a line of a table: what somebody tries in a room, and the rule that
// stands against it (nil for none), in the room versions from first to last.
type rule struct {
	name        string
	first, last int // 0 for 1 and for 12
	try         func(w *world) *pdu.Event
	want        error
}

func runRules(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		first, last := max(r.first, 1), r.last
		if last == 0 {
			last = 12
		}
		for n := first; n <= last; n++ {
			w := newWorld(t, n)
			ev := r.try(w)
			if got := w.check(ev); got != r.want {
				t.Errorf("version %d: %s: %v, want %v", n, r.name, got, r.want)
			}
		}
	}
}
