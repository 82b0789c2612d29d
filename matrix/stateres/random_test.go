package stateres

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// random is a room whose members do what they are allowed to, on servers that
// hear of each other late. It returns the room and the states to merge.
type random struct {
	*room
	rng   *rand.Rand
	users []string
	dag   []tip // every event with the state after it
}

type tip struct {
	nid   NID
	state state
}

func randomRoom(t testing.TB, version string, seed uint64) *random {
	rm, s := start(t, version)
	r := &random{room: rm, rng: rand.New(rand.NewPCG(seed, 1)), users: []string{alice, bob, charlie, evil, zara}}
	r.dag = []tip{{NID(len(rm.events)), s}}
	for range 10 + r.rng.IntN(40) {
		r.step()
	}
	return r
}

// step makes one event on top of one or more of the last events. Now and then
// it builds on an old event, as a server that was away does.
func (r *random) step() {
	back := min(len(r.dag), 4)
	if r.rng.IntN(12) == 0 {
		back = len(r.dag)
	}
	at := []tip{r.dag[len(r.dag)-1-r.rng.IntN(back)]}
	if r.rng.IntN(3) == 0 {
		at = append(at, r.dag[len(r.dag)-1-r.rng.IntN(back)])
	}
	s := maps.Clone(at[0].state)
	if len(at) > 1 {
		s = r.reference(at[0].state, at[1].state)
	}
	// A state that came from another server may be older than the events say
	// (the cause of state resets in MSC4297).
	if r.rng.IntN(20) == 0 {
		old := r.dag[r.rng.IntN(len(r.dag))].state
		keys := slices.SortedFunc(maps.Keys(old), func(a, b Key) int {
			return slices.Compare([]string{a.Type, a.StateKey}, []string{b.Type, b.StateKey})
		})
		if k := keys[r.rng.IntN(len(keys))]; k != createKey {
			s[k] = old[k]
		}
	}
	d := r.draft()
	for _, p := range at {
		d.prev = append(d.prev, p.nid)
	}
	if nid := r.try(s, d); nid != 0 {
		s[Key{d.typ, d.key}] = nid
		r.dag = append(r.dag, tip{nid, s})
	}
}

func (r *random) user() string { return r.users[r.rng.IntN(len(r.users))] }

func (r *random) draft() draft {
	var d draft
	who := r.user()
	switch n := r.rng.IntN(20); {
	case n < 4:
		d = member(who, who, "join")
	case n < 6:
		d = member(who, who, "leave")
	case n < 9:
		d = member(who, r.user(), []string{"leave", "ban", "invite"}[n-6])
	case n < 13:
		users := map[string]int{alice: 100}
		for _, u := range r.users {
			if r.rng.IntN(2) == 0 {
				users[u] = []int{0, 25, 50, 75, 100}[r.rng.IntN(5)]
			}
		}
		d = r.levels(who, users)
	case n < 15:
		d = joinRule(who, []string{"public", "invite"}[r.rng.IntN(2)])
	case n < 18:
		d = topic(who, fmt.Sprint("topic ", len(r.events)))
	default:
		d = draft{sender: who, typ: "m.room.name", content: fmt.Sprintf(`{"name":"%d"}`, len(r.events))}
	}
	// Clocks go wrong.
	if r.rng.IntN(3) == 0 {
		d.ts = r.clock - int64(r.rng.IntN(20))*1000
	}
	return d
}

// forks picks the states to merge.
func (r *random) forks() []state {
	n := 2 + r.rng.IntN(3)
	var out []state
	for range n {
		back := min(len(r.dag), 12)
		out = append(out, r.dag[len(r.dag)-1-r.rng.IntN(back)].state)
	}
	return out
}

func (rm *room) describe(s state) string {
	var l []string
	for k, nid := range s {
		l = append(l, fmt.Sprintf("%s/%s=%d", k.Type, k.StateKey, nid))
	}
	slices.Sort(l)
	return fmt.Sprint(l)
}

// TestAgainstReference: on random rooms of every version, the result is what
// the specification's text gives, word for word.
func TestAgainstReference(t *testing.T) {
	conflicts := 0
	for i := range 2000 {
		version := fmt.Sprint(1 + i%12)
		r := randomRoom(t, version, uint64(i))
		forks := r.forks()
		if len(r.input(forks...).Forks[0]) > 0 {
			conflicts++
		}
		got, want := r.resolve(forks...), r.reference(forks...)
		if !maps.Equal(got, want) {
			t.Fatalf("room %d, version %s:\ngot  %s\nwant %s", i, version, r.describe(got), r.describe(want))
		}
	}
	if conflicts < 1000 {
		t.Errorf("only %d of the rooms had a conflict", conflicts)
	}
}
