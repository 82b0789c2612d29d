package feed_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hearth/homeserver/room"
)

// replica is what a client makes of the answers that it gets.
type replica struct {
	membership, name, heroes string
	joined, notify           int
	state                    map[string]string // event ids by type and state key
	timeline                 []string          // event ids
}

func (r *replica) String() string {
	if r.membership != "join" {
		return r.membership
	}
	keys := slices.Sorted(maps.Keys(r.state))
	for i, k := range keys {
		keys[i] = k + "=" + r.state[k]
	}
	return fmt.Sprintf("%s %s [%s] %d %d\n%s\n%s", r.membership, r.name, r.heroes, r.joined, r.notify, strings.Join(keys, "\n"), strings.Join(r.timeline, " "))
}

func (r *replica) apply(a slideAnswerRoom) {
	if a.Initial {
		*r = replica{state: map[string]string{}}
	}
	r.membership = a.Membership
	if a.Name != nil {
		if r.name = string(a.Name); r.name == "null" {
			r.name = ""
		} else {
			r.heroes = ""
		}
	}
	if a.Heroes != nil {
		r.heroes = fmt.Sprint(a.Heroes)
	}
	if a.Joined != nil {
		r.joined = *a.Joined
	}
	if a.Notify != nil {
		r.notify = *a.Notify
	}
	for _, ev := range a.RequiredState {
		key := ev.Type + " " + *ev.StateKey
		if delete(r.state, key); ev.Content != nil {
			r.state[key] = ev.EventID
		}
	}
	if a.Limited || a.Expanded {
		r.timeline = nil
	}
	for _, ev := range a.Timeline {
		r.timeline = append(r.timeline, ev.EventID)
	}
}

// A client that loses answers, scrolls and subscribes knows in the end what a
// client knows that asks for the first time.
func TestSlideModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			eachTown(t, func(t *testing.T, w *town) { playSlide(t, w, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func playSlide(t *testing.T, w *town, dice *rand.Rand) {
	ctx := t.Context()
	var rooms []*room.Room
	for i := range 4 {
		r, err := w.rooms.Create(ctx, bob, room.CreateRequest{Name: fmt.Sprint("Room ", i), Preset: "public_chat"})
		w.ok(err)
		w.ok(w.rooms.Join(ctx, alice, r.ID, room.JoinRequest{}))
		rooms = append(rooms, r)
	}
	const whole = `"timeline_limit":4,"required_state":[["*","*"]]`
	p := w.phone(alice, "")
	known := map[string]*replica{}
	take := func() {
		n := dice.IntN(4)
		p.query = fmt.Sprintf(`{"lists":{"l":{"ranges":[[0,%d]],%s},"names":{"timeline_limit":%d,"required_state":[["m.room.name",""]]}}}`, n, whole, dice.IntN(3))
		if dice.IntN(3) == 0 {
			p.query = fmt.Sprintf(`{"room_subscriptions":{%q:{%s}}}`, rooms[dice.IntN(4)].ID, whole)
		}
		a := p.ask()
		if dice.IntN(3) == 0 {
			return // the answer is lost
		}
		p.pos = a.Pos
		for id, r := range a.Rooms {
			if known[id] == nil {
				known[id] = &replica{state: map[string]string{}}
			}
			known[id].apply(r)
		}
	}
	for i := range 80 {
		r := rooms[dice.IntN(len(rooms))]
		// Who is not there cannot leave, which does not matter.
		switch dice.IntN(9) {
		case 0:
			w.set(r, bob, "org.example.shelf", fmt.Sprint(dice.IntN(3)), fmt.Sprintf(`{"n":%d}`, i))
		case 1:
			w.set(r, bob, "m.room.name", "", []string{`{}`, `{"name":"New"}`}[dice.IntN(2)])
		case 2:
			_ = w.rooms.Leave(ctx, alice, r.ID, "")
		case 3:
			_ = w.rooms.Join(ctx, alice, r.ID, room.JoinRequest{})
		case 4:
			_ = w.rooms.Join(ctx, fmt.Sprintf("@user%d:test", dice.IntN(3)), r.ID, room.JoinRequest{})
		case 5:
			_ = w.rooms.Leave(ctx, fmt.Sprintf("@user%d:test", dice.IntN(3)), r.ID, "")
		default:
			w.say(r, bob, fmt.Sprint("message ", i))
		}
		if dice.IntN(2) == 0 {
			take()
		}
	}
	p.query = `{"lists":{"l":{` + whole + `}}}`
	for range 2 { // the second time for what may have been lost
		a := p.sync()
		for id, r := range a.Rooms {
			if known[id] == nil {
				known[id] = &replica{state: map[string]string{}}
			}
			known[id].apply(r)
		}
	}
	fresh := w.phone(alice, p.query)
	fresh.device = "LAPTOP"
	for id, r := range fresh.sync().Rooms {
		want := &replica{}
		want.apply(r)
		got := known[id]
		if got == nil {
			t.Errorf("the client misses a room in which it is %s", want.membership)
			continue
		}
		if n := len(got.timeline) - len(want.timeline); n > 0 {
			got.timeline = got.timeline[n:]
		}
		if got.String() != want.String() {
			t.Errorf("the client knows\n%v\nbut the room is\n%v", got, want)
		}
	}
}
