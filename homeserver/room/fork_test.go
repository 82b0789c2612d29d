package room_test

import (
	"crypto/ed25519"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
	"hearth/matrix/authrules"
	"hearth/matrix/pdu"
)

// otherServer makes events as another server in the room would, on top of the
// events it has seen.
type otherServer struct {
	t *testing.T
	e *room.Engine
	r *room.Room
}

func (o otherServer) make(after *room.Event, sender, typ string, stateKey *string, content any) *pdu.Event {
	o.t.Helper()
	raw, err := json.Marshal(content)
	if err != nil {
		o.t.Fatal(err)
	}
	var auth []string
	for _, need := range authrules.Needed(o.r.Version, typ, stateKey, sender, raw) {
		ev, err := o.e.StateEvent(o.t.Context(), o.r, after.StateAfter, need.Type, need.StateKey)
		if err != nil {
			o.t.Fatal(err)
		}
		if ev != nil {
			auth = append(auth, ev.ID)
		}
	}
	ev, err := pdu.Build(o.r.Version, pdu.Draft{
		RoomID: o.r.ID, Sender: sender, Type: typ, StateKey: stateKey, Content: raw,
		PrevEvents: []string{after.ID}, AuthEvents: auth, Depth: after.Depth + 1, OriginServerTS: after.OriginServerTS + 1,
	}, "other", "ed25519:1", ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		o.t.Fatal(err)
	}
	return ev
}

func (o otherServer) send(after *room.Event, sender, typ string, stateKey *string, content any) *room.Event {
	o.t.Helper()
	ev, err := o.e.Receive(o.t.Context(), o.r.ID, o.make(after, sender, typ, stateKey, content))
	if err != nil {
		o.t.Fatal(err)
	}
	return ev
}

func ptr[T any](v T) *T { return &v }

// While alice bans bob here, bob sets the topic on a server that has not heard
// of it: his topic is lost, her ban holds, and the next message here heals the
// fork.
func TestForkIsResolvedAndHealed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		for _, version := range []string{"6", "10", "11", "12"} {
			e := newEngine(d)
			r := create(t, e, room.CreateRequest{Preset: "public_chat", RoomVersion: version, PowerLevels: map[string]json.RawMessage{"events": []byte(`{"m.room.topic":0}`)}})
			join(t, e, r, bob)
			base := say(t, e, r, alice, "before the fork")
			other := otherServer{t, e, r}

			if err := e.Ban(t.Context(), alice, r.ID, bob, "spam"); err != nil {
				t.Fatal(err)
			}
			topic := other.send(base, bob, "m.room.topic", ptr(""), map[string]string{"topic": "bob was here"})
			if topic.Flags&store.SoftFailed == 0 {
				t.Errorf("version %s: a banned user's late event was not soft-failed", version)
			}

			// A fork between members in good standing.
			join(t, e, r, carol)
			tip := say(t, e, r, alice, "tip")
			here, err := e.Send(t.Context(), r.ID, room.Draft{Sender: alice, Type: "m.room.topic", StateKey: ptr(""), Content: []byte(`{"topic":"here"}`)})
			if err != nil {
				t.Fatal(err)
			}
			there := other.send(tip, carol, "m.room.name", ptr("x"), map[string]string{"name": "there"})
			_ = there
			side := other.send(tip, carol, "m.room.topic", ptr(""), map[string]string{"topic": "there"})
			if side.Flags != 0 {
				t.Fatalf("version %s: carol's event was refused: %v", version, side.Flags)
			}
			cur := r.Current()
			if len(cur.Heads) < 2 {
				t.Fatalf("version %s: heads = %v, want a fork", version, cur.HeadIDs)
			}
			now, err := e.StateEvent(t.Context(), r, cur.State, "m.room.topic", "")
			if err != nil || now == nil {
				t.Fatal(err)
			}
			if now.ID != here.ID && now.ID != side.ID {
				t.Errorf("version %s: the topic is neither of the two", version)
			}
			if m, _ := e.Membership(t.Context(), r.ID, bob); m != store.Ban {
				t.Errorf("version %s: bob is %v, want ban", version, m)
			}
			healed := say(t, e, r, alice, "healed")
			if len(healed.PrevEvents) != len(cur.Heads) || healed.State != cur.State {
				t.Errorf("version %s: the next event follows %d of %d heads", version, len(healed.PrevEvents), len(cur.Heads))
			}
			if again, err := newEngine(d).Room(t.Context(), r.ID); err != nil || again.Current().State != cur.State {
				t.Errorf("version %s: another state after a restart: %v", version, err)
			}
		}
	})
}

// Two servers that get the same events in different orders agree on the state.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := newEngine(d)
		r := create(t, e, room.CreateRequest{Preset: "public_chat", RoomVersion: "11"})
		for _, u := range []string{bob, carol} {
			join(t, e, r, u)
		}
		levels := map[string]any{"users": map[string]int{alice: 100, bob: 50, carol: 50}}
		raw, _ := json.Marshal(levels)
		if _, err := e.Send(t.Context(), r.ID, room.Draft{Sender: alice, Type: "m.room.power_levels", StateKey: ptr(""), Content: raw}); err != nil {
			t.Fatal(err)
		}
		tip := say(t, e, r, alice, "tip")
		other := otherServer{t, e, r}
		made := []*pdu.Event{
			other.make(tip, bob, "m.room.topic", ptr(""), map[string]string{"topic": "bob's"}),
			other.make(tip, carol, "m.room.topic", ptr(""), map[string]string{"topic": "carol's"}),
			other.make(tip, bob, "m.room.name", ptr(""), map[string]string{"name": "bob's"}),
			other.make(tip, alice, "m.room.power_levels", ptr(""), map[string]any{"users": map[string]int{alice: 100, carol: 50}}),
			other.make(tip, carol, "m.room.member", ptr(carol), map[string]string{"membership": "leave"}),
		}
		for _, ev := range made {
			if _, err := e.Receive(t.Context(), r.ID, ev); err != nil {
				t.Fatal(err)
			}
		}
		want := state(t, e, r)

		// The same room on a second database, with the events shuffled.
		src := events(t, e, r, tip.Ord)
		for seed := range uint64(3) {
			e2 := copyRoom(t, r, src)
			r2, err := e2.Room(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			order := rand.New(rand.NewPCG(seed, 9)).Perm(len(made))
			for _, i := range order {
				if _, err := e2.Receive(t.Context(), r.ID, made[i]); err != nil {
					t.Fatal(err)
				}
			}
			got := state(t, e2, r2)
			for k, id := range want {
				if got[k] != id {
					t.Errorf("order %v: %v is held by %s, want %s", order, k, got[k], id)
				}
			}
		}
	})
}

func state(t *testing.T, e *room.Engine, r *room.Room) map[room.Key]string {
	t.Helper()
	events, err := e.State(t.Context(), r, r.Current().State, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := map[room.Key]string{}
	for _, ev := range events {
		out[room.Key{Type: ev.Type, StateKey: *ev.StateKey}] = ev.ID
	}
	return out
}

func events(t *testing.T, e *room.Engine, r *room.Room, upto int64) []*room.Event {
	t.Helper()
	out, err := e.After(t.Context(), r, 0, upto+1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
