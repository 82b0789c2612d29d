package stateres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOrderDoesNotMatter: neither the order of the forks, nor that in which
// events are read, nor the numbers a server gave them, nor a fork that comes
// twice.
func TestOrderDoesNotMatter(t *testing.T) {
	for i := range 600 {
		r := randomRoom(t, fmt.Sprint(1+i%12), uint64(i))
		forks := r.forks()
		want := r.resolve(forks...)
		for range 3 {
			again := slices.Clone(forks)
			r.rng.Shuffle(len(again), func(a, b int) { again[a], again[b] = again[b], again[a] })
			if got := r.resolve(append(again, again[0])...); !maps.Equal(got, want) {
				t.Fatalf("room %d: %s\nother order: %s", i, r.describe(want), r.describe(got))
			}
		}
		other, renamed := r.renumber()
		var theirs []state
		for _, s := range forks {
			theirs = append(theirs, renamed(s))
		}
		if got := other.resolve(theirs...); !maps.Equal(got, renamed(want)) {
			t.Fatalf("room %d: %s\nother numbers: %s", i, other.describe(renamed(want)), other.describe(got))
		}
	}
}

// renumber is the same room on a server that received its events in another
// order. renamed translates states.
func (r *random) renumber() (other *room, renamed func(state) state) {
	number := map[NID]NID{}
	other = &room{t: r.t, v: r.v, byID: map[string]NID{}}
	left := slices.Clone(r.events)
	for len(left) > 0 {
		i := r.rng.IntN(len(left))
		ready := !slices.ContainsFunc(left[i].Auth, func(a NID) bool { return number[a] == 0 })
		if !ready {
			continue
		}
		ev := *left[i]
		ev.Auth = nil
		for _, a := range left[i].Auth {
			ev.Auth = append(ev.Auth, number[a])
		}
		number[left[i].NID] = other.add(&ev)
		left = slices.Delete(left, i, i+1)
	}
	return other, func(s state) state {
		out := state{}
		for k, nid := range s {
			out[k] = number[nid]
		}
		return out
	}
}

func TestEqualForks(t *testing.T) {
	for i := range 24 {
		r := randomRoom(t, fmt.Sprint(1+i%12), uint64(i))
		forks := r.forks()
		if got := r.resolve(forks[0], forks[0], forks[0]); !maps.Equal(got, forks[0]) {
			t.Errorf("room %d: %s became %s", i, r.describe(forks[0]), r.describe(got))
		}
		// What was merged stays merged.
		merged := r.resolve(forks...)
		if got := r.resolve(merged, merged); !maps.Equal(got, merged) {
			t.Errorf("room %d: %s became %s", i, r.describe(merged), r.describe(got))
		}
	}
}

// A caller may name keys that are no conflict; they are answered too.
func TestKeysWithoutConflict(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		rm, s := start(t, version)
		rm.send(s, member(bob, bob, "join"))
		a, b := maps.Clone(s), maps.Clone(s)
		rm.send(a, topic(alice, "tea"))
		rm.send(b, topic(alice, "coffee"))
		in := rm.input(a, b)
		in.Forks = []map[Key]NID{a, b}
		in.Shared = func(k Key) (NID, error) {
			return 0, fmt.Errorf("asked for %v", k)
		}
		if version == "12" { // looks for keys that no fork has
			in.Shared = func(Key) (NID, error) { return 0, nil }
		}
		got, err := Resolve(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		if want := rm.reference(a, b); !maps.Equal(state(got), want) {
			t.Errorf("got %s, want %s", rm.describe(got), rm.describe(want))
		}
	})
}

// TestHostileGraph: auth events that are missing, that come later, that go
// round in circles or point to nothing must not stop or crash a server.
func TestHostileGraph(t *testing.T) {
	for i := range 1200 {
		r := randomRoom(t, fmt.Sprint(1+i%12), uint64(i))
		forks := r.forks()
		rng := rand.New(rand.NewPCG(uint64(i), 2))
		top := len(r.events)
		for _, ev := range r.events {
			ev.Auth = slices.Clone(ev.Auth)
			for range rng.IntN(3) {
				ev.Auth = append(ev.Auth, NID(rng.IntN(top+5)-2))
			}
			ev.Rejected = rng.IntN(8) == 0
		}
		in := r.input(forks...)
		load := in.Load
		in.Load = func(ctx context.Context, nids []NID) ([]*Event, error) {
			evs, err := load(ctx, nids)
			evs = slices.DeleteFunc(evs, func(ev *Event) bool { return (ev.NID+NID(i))%9 == 0 })
			// Answers to questions that nobody asked.
			return append(evs, nil, &Event{NID: 99999}, r.get(1+NID(rng.IntN(top)))), err
		}
		won, err := Resolve(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		for k, nid := range won {
			if ev := r.get(nid).PDU; !ev.Is(k.Type, k.StateKey) {
				t.Errorf("room %d: event %d won at %v", i, nid, k)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	broken := errors.New("disk on fire")
	eachVersion(t, func(t *testing.T, version string) {
		rm, s := start(t, version)
		a, b := maps.Clone(s), maps.Clone(s)
		rm.send(a, topic(alice, "tea"))
		rm.send(b, topic(alice, "coffee"))
		rm.send(b, joinRule(alice, "invite"))

		in := rm.input(a, b)
		in.Load = func(context.Context, []NID) ([]*Event, error) { return nil, broken }
		if _, err := Resolve(context.Background(), in); !errors.Is(err, broken) {
			t.Errorf("events unreadable: %v", err)
		}
		in = rm.input(a, b)
		in.Shared = func(Key) (NID, error) { return 0, broken }
		if _, err := Resolve(context.Background(), in); !errors.Is(err, broken) {
			t.Errorf("state unreadable: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := Resolve(ctx, rm.input(a, b)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		in = rm.input(a, b)
		in.Version = nil
		if _, err := Resolve(context.Background(), in); err == nil {
			t.Error("resolved without a room version")
		}
	})
}

// More forks than a word has bits.
func TestManyForks(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		rm, s := start(t, version)
		var forks []state
		for i := range 70 {
			fork := maps.Clone(s)
			d := topic(alice, fmt.Sprint(i))
			d.prev = []NID{s[createKey]}
			rm.send(fork, d)
			user := fmt.Sprintf("@u%d:a", i)
			rm.send(fork, member(user, user, "join"))
			forks = append(forks, fork)
		}
		got, want := rm.resolve(forks...), rm.reference(forks...)
		if !maps.Equal(got, want) || len(got) != len(s)+71 {
			t.Errorf("got %s, want %s", rm.describe(got), rm.describe(want))
		}
	})
}
