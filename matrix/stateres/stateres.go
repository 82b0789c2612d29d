// Package stateres resolves conflicts between the states of a room: state
// resolution 1 (room version 1), 2 (2 to 11) and 2.1 (12), as written in
// rooms/v1/#state-resolution, rooms/v2/#state-resolution and
// rooms/v12/#state-resolution.
//
// It is given only what the states disagree about, and looks up the rest, so
// that its cost follows the conflict and not the room. It does not know where
// events and states are kept, and decides nothing about an event that
// authrules does not.
package stateres

import (
	"context"
	"errors"
	"slices"

	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// NID is the number the room engine gave an event. It is positive, and larger
// than those of the event's auth events, as the engine stores these first.
type NID = int64

// Key names a piece of state.
type Key struct{ Type, StateKey string }

// Event is an event of the auth graph.
type Event struct {
	PDU  *pdu.Event
	NID  NID
	Auth []NID // its auth events as far as they are known
	// Rejected events do not authorise others. They may win a conflict: the
	// specification wants events that failed only against the state before
	// them to be judged anew (rooms/v2/#rejected-events), and relies on events
	// that fail against their own auth events never getting into a state.
	Rejected bool
}

// Input is a set of states, the forks, described by their difference.
type Input struct {
	Version *roomver.Version

	// Forks[i] holds, for each key that is in conflict, the event that fork i
	// has there. A key that fork i lacks is absent from its map.
	Forks []map[Key]NID

	// Shared looks up what the forks agree on; 0 means no event. It is asked
	// only for keys that are in no fork's map, so the state of any one fork
	// will do.
	Shared func(Key) (NID, error)

	// SharedAll walks all the events that the forks agree on, until yield
	// returns false. Events that are in a fork's map are skipped, so here too
	// the state of any one fork will do. It is rarely needed: when only some
	// forks know an auth event that is in none of them.
	SharedAll func(yield func(NID) bool) error

	// Load reads events, in any order; what it does not find it leaves out.
	// It is called with many at a time.
	Load func(ctx context.Context, nids []NID) ([]*Event, error)
}

var errNoAlgorithm = errors.New("room version has no state resolution algorithm")

// Resolve returns the state after resolution for the keys in conflict; a key
// that is absent from the result has no event. The result may hold further
// keys, those that no fork has at all and that resolution brought back from
// the auth events. Errors are those of Input's functions and of ctx.
//
// The result depends neither on the order of the forks nor on the numbers of
// the events.
func Resolve(ctx context.Context, in Input) (map[Key]NID, error) {
	r := &resolver{in: in, graph: newGraph(ctx, in.Load)}
	if len(in.Forks) > 0 {
		r.split()
	}
	if len(r.conflict) == 0 {
		return r.agreed, nil
	}
	var err error
	switch {
	case in.Version == nil:
		err = errNoAlgorithm
	case in.Version.StateRes == roomver.StateRes1:
		err = r.resolve1()
	case in.Version.StateRes == roomver.StateRes2, in.Version.StateRes == roomver.StateRes21:
		err = r.resolve2()
	default:
		err = errNoAlgorithm
	}
	if err != nil {
		return nil, err
	}
	return r.winners()
}

// resolver is one resolution at work.
type resolver struct {
	in    Input
	graph *graph

	conflict map[Key][]int // the conflicting events of each key, each once
	forks    [][]int       // the conflicting events of each fork
	agreed   map[Key]NID   // keys of Input.Forks that all forks agree on
	base     map[Key]int   // what Shared said, noEvent for nothing
	state    map[Key]int   // the resolved state so far, over the shared one
	scratch  bool          // do not look below state: 2.1 starts from nothing
	create   int           // the create event, noEvent until looked for
	err      error         // the first failure inside a lookup
}

// noEvent stands where the number of a graph node might be.
const noEvent = -1

// split tells keys in conflict from keys that the forks agree on after all.
func (r *resolver) split() {
	r.conflict = map[Key][]int{}
	r.agreed = map[Key]NID{}
	r.base = map[Key]int{}
	r.state = map[Key]int{}
	r.create = noEvent
	r.forks = make([][]int, len(r.in.Forks))

	type tally struct {
		first  NID
		in     int
		differ bool
	}
	seen := make(map[Key]tally, len(r.in.Forks[0]))
	total := 0
	for _, fork := range r.in.Forks {
		total += len(fork)
		for k, nid := range fork {
			t := seen[k]
			if t.in == 0 {
				t.first = nid
			}
			t.in++
			t.differ = t.differ || nid != t.first
			seen[k] = t
		}
	}
	// Version 1 calls it a conflict only if there are two events to choose
	// from; version 2 and later also if a fork has none.
	one := r.in.Version != nil && r.in.Version.StateRes == roomver.StateRes1
	slab := make([]int, total) // one allocation for all the lists of choices
	r.graph.grow(total)
	for k, t := range seen {
		if !t.differ && (one || t.in == len(r.in.Forks)) {
			r.agreed[k] = t.first
		} else {
			r.conflict[k], slab = slab[:0:t.in], slab[t.in:]
		}
	}
	for i, fork := range r.in.Forks {
		r.forks[i] = make([]int, 0, len(fork))
		for k, nid := range fork {
			l, ok := r.conflict[k]
			if !ok {
				continue
			}
			n := r.graph.at(nid)
			r.forks[i] = append(r.forks[i], n)
			if !slices.Contains(l, n) {
				r.conflict[k] = append(l, n)
			}
		}
	}
}

// conflicted returns every conflicting event once.
func (r *resolver) conflicted() []int {
	var all []int
	for _, l := range r.conflict {
		all = append(all, l...)
	}
	return all
}

// shared returns the event that all forks have at k, or noEvent.
func (r *resolver) shared(k Key) (int, error) {
	if _, ok := r.conflict[k]; ok {
		return noEvent, nil
	}
	if n, ok := r.base[k]; ok {
		return n, nil
	}
	nid, ok := r.agreed[k]
	if !ok {
		var err error
		if nid, err = r.in.Shared(k); err != nil {
			return noEvent, err
		}
	}
	n := noEvent
	if nid != 0 {
		n = r.graph.at(nid)
	}
	r.base[k] = n
	return n, nil
}

// winners is the result. What the forks agree on stands whatever the
// algorithm made of it (step 5).
func (r *resolver) winners() (map[Key]NID, error) {
	out := r.agreed
	for k, n := range r.state {
		if _, ok := out[k]; ok {
			continue
		}
		if _, ok := r.conflict[k]; !ok {
			s, err := r.shared(k)
			if err != nil {
				return nil, err
			}
			if s != noEvent {
				continue
			}
		}
		out[k] = r.graph.nodes[n].nid
	}
	return out, nil
}
