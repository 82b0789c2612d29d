package stateres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"hearth/matrix/authrules"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// room is a room for tests: its events, numbered from 1 as they were made.
type room struct {
	t      testing.TB
	v      *roomver.Version
	events []*Event
	byID   map[string]NID
	clock  int64
}

// state is a full room state.
type state map[Key]NID

func newRoom(t testing.TB, version string) *room {
	v, ok := roomver.Get(version)
	if !ok {
		t.Fatalf("no room version %q", version)
	}
	return &room{t: t, v: v, byID: map[string]NID{}, clock: 1_700_000_000_000}
}

func (rm *room) get(nid NID) *Event { return rm.events[nid-1] }

// draft is an event in the making.
type draft struct {
	sender, typ, key string
	content          string
	prev             []NID
	auth             []NID // instead of those of the state
	ts               int64 // instead of the next tick
	reject           bool
}

// try makes an event in the state s and returns its number, or 0 if the auth
// rules do not allow it.
func (rm *room) try(s state, d draft) NID {
	ev := rm.build(s, d)
	err := authrules.Check(ev.PDU, func(typ, key string) *pdu.Event {
		if nid := s[Key{typ, key}]; nid != 0 {
			return rm.get(nid).PDU
		}
		return nil
	})
	if err != nil || rm.byID[ev.PDU.ID] != 0 {
		return 0 // the same event twice is one event
	}
	return rm.add(ev)
}

// send makes an event that must be allowed and puts it in the state.
func (rm *room) send(s state, d draft) NID {
	rm.t.Helper()
	nid := rm.try(s, d)
	if nid == 0 {
		rm.t.Fatalf("%s %q by %s is not allowed", d.typ, d.key, d.sender)
	}
	s[Key{d.typ, d.key}] = nid
	return nid
}

func (rm *room) add(ev *Event) NID {
	ev.NID = NID(len(rm.events) + 1)
	rm.events = append(rm.events, ev)
	rm.byID[ev.PDU.ID] = ev.NID
	return ev.NID
}

func (rm *room) build(s state, d draft) *Event {
	rm.t.Helper()
	rm.clock += 1000
	if d.ts == 0 {
		d.ts = rm.clock
	}
	if d.auth == nil {
		for _, need := range authrules.Needed(rm.v, d.typ, &d.key, d.sender, []byte(d.content)) {
			if nid := s[Key(need)]; nid != 0 {
				d.auth = append(d.auth, nid)
			}
		}
	}
	depth := int64(1)
	for _, p := range d.prev {
		depth = max(depth, rm.get(p).PDU.Depth+1)
	}
	fields := map[string]any{
		"type": d.typ, "state_key": d.key, "sender": d.sender, "content": json.RawMessage(d.content),
		"origin_server_ts": d.ts, "depth": depth, "hashes": map[string]string{}, "signatures": map[string]string{},
		"prev_events": rm.refs(d.prev), "auth_events": rm.refs(d.auth),
	}
	switch {
	case !rm.v.RoomIDIsCreate:
		fields["room_id"] = "!r:a"
	case len(rm.events) > 0:
		fields["room_id"] = rm.get(1).PDU.RoomID
	}
	if rm.v.EventIDs == roomver.EventIDWithServer {
		// A multiplier makes the order of ids unlike that of events.
		fields["event_id"] = fmt.Sprintf("$%05d:a", (len(rm.events)+1)*7919%99991)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		rm.t.Fatal(err)
	}
	ev, err := pdu.Parse(rm.v, "", b)
	if err != nil {
		rm.t.Fatalf("%v: %s", err, b)
	}
	return &Event{PDU: ev, Auth: d.auth, Rejected: d.reject}
}

func (rm *room) refs(nids []NID) []any {
	out := []any{}
	for _, nid := range nids {
		if rm.v.EventIDs == roomver.EventIDWithServer {
			out = append(out, []any{rm.get(nid).PDU.ID, map[string]string{"sha256": ""}})
		} else {
			out = append(out, rm.get(nid).PDU.ID)
		}
	}
	return out
}

const (
	alice   = "@alice:a"
	bob     = "@bob:b"
	charlie = "@charlie:c"
	evil    = "@evil:e"
	zara    = "@zara:z"
)

// start creates a public room of alice's with power levels and a topic.
func start(t testing.TB, version string) (*room, state) {
	rm, s := newRoom(t, version), state{}
	rm.send(s, draft{sender: alice, typ: "m.room.create", content: createContent(rm.v, alice)})
	rm.send(s, member(alice, alice, "join", s[createKey]))
	rm.send(s, rm.levels(alice, map[string]int{alice: 100}))
	rm.send(s, joinRule(alice, "public"))
	return rm, s
}

func createContent(v *roomver.Version, creator string) string {
	if v.ImplicitCreator {
		return `{"room_version":"` + v.ID + `"}`
	}
	return `{"creator":"` + creator + `","room_version":"` + v.ID + `"}`
}

func member(sender, user, membership string, prev ...NID) draft {
	return draft{sender: sender, typ: "m.room.member", key: user, content: `{"membership":"` + membership + `"}`, prev: prev}
}

// levels is a power levels event; the creator of a version 12 room is left out.
func (rm *room) levels(sender string, users map[string]int) draft {
	users = maps.Clone(users)
	if rm.v.PrivilegedCreators {
		delete(users, rm.get(1).PDU.Sender)
	}
	b, err := json.Marshal(map[string]any{"users": users})
	if err != nil {
		rm.t.Fatal(err)
	}
	return draft{sender: sender, typ: "m.room.power_levels", content: string(b)}
}

func joinRule(sender, rule string) draft {
	return draft{sender: sender, typ: "m.room.join_rules", content: `{"join_rule":"` + rule + `"}`}
}

func topic(sender, text string) draft {
	return draft{sender: sender, typ: "m.room.topic", content: `{"topic":"` + text + `"}`}
}

func (s state) memberOf(user string) NID { return s[Key{"m.room.member", user}] }

// resolve merges full states with the package under test. Only the first
// state serves as the shared one, which Input allows.
func (rm *room) resolve(states ...state) state {
	rm.t.Helper()
	won, err := Resolve(context.Background(), rm.input(states...))
	if err != nil {
		rm.t.Fatal(err)
	}
	out := state(won)
	for k, nid := range states[0] {
		if agreeOn(k, states) {
			out[k] = nid
		}
	}
	return out
}

func (rm *room) input(states ...state) Input {
	in := Input{
		Version: rm.v,
		Shared:  func(k Key) (NID, error) { return states[0][k], nil },
		SharedAll: func(yield func(NID) bool) error {
			for _, nid := range states[0] {
				if !yield(nid) {
					break
				}
			}
			return nil
		},
		Load: func(_ context.Context, nids []NID) ([]*Event, error) {
			var out []*Event
			for _, nid := range slices.Backward(nids) {
				if 0 < nid && nid <= NID(len(rm.events)) {
					out = append(out, rm.get(nid))
				}
			}
			return out, nil
		},
	}
	for _, s := range states {
		fork := map[Key]NID{}
		for k, nid := range s {
			if !agreeOn(k, states) {
				fork[k] = nid
			}
		}
		in.Forks = append(in.Forks, fork)
	}
	return in
}

// agreeOn reports whether k has the same event, or none, in all states.
func agreeOn(k Key, states []state) bool {
	for _, s := range states[1:] {
		if s[k] != states[0][k] {
			return false
		}
	}
	return true
}
