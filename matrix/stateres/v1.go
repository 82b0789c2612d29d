package stateres

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"slices"

	"hearth/matrix/authrules"
	"hearth/matrix/pdu"
)

// resolve1 is state resolution 1 (rooms/v1/#state-resolution).
func (r *resolver) resolve1() error {
	if err := r.graph.need(r.conflicted()...); err != nil {
		return err
	}
	for _, pass := range []func(Key) bool{
		func(k Key) bool { return k == powerLevelsKey },
		func(k Key) bool { return k == joinRulesKey },
		func(k Key) bool { return k.Type == "m.room.member" },
	} {
		if err := r.pass1(pass, r.newestAllowed); err != nil {
			return err
		}
	}
	return r.pass1(func(k Key) bool { _, done := r.state[k]; return !done }, r.deepestAllowed)
}

// pass1 settles the keys that mine agrees to. No key of a pass sees the
// outcome of another, so their order does not matter.
func (r *resolver) pass1(mine func(Key) bool, choose func(Key, []candidate) (int, error)) error {
	won := map[Key]int{}
	for k, events := range r.conflict {
		if !mine(k) {
			continue
		}
		list := r.candidates(events)
		if len(list) == 0 {
			continue
		}
		n, err := choose(k, list)
		if err != nil {
			return err
		}
		won[k] = n
	}
	for k, n := range won {
		r.state[k] = n
	}
	return nil
}

// candidate is an event with what version 1 orders it by.
type candidate struct {
	n     int
	depth int64
	hash  [sha1.Size]byte
}

// candidates orders events by ascending depth, then descending hash of their
// id, without those that cannot be found.
func (r *resolver) candidates(events []int) []candidate {
	var list []candidate
	for _, n := range events {
		if ev := r.graph.nodes[n].ev; ev != nil {
			list = append(list, candidate{n, ev.Depth, sha1.Sum([]byte(ev.ID))})
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), bytes.Compare(b.hash[:], a.hash[:]))
	})
	return list
}

// newestAllowed goes through the events as long as each is allowed by the
// state with the one before it.
func (r *resolver) newestAllowed(k Key, list []candidate) (int, error) {
	best := list[0].n
	for _, c := range list[1:] {
		ok, err := r.allowed1(c.n, k, best)
		if err != nil {
			return noEvent, err
		}
		if !ok {
			break
		}
		best = c.n
	}
	return best, nil
}

// deepestAllowed takes the deepest event that the state allows. If it allows
// none, the least deep one stays, as the specification does not say but the
// servers of old do: a key that had an event keeps one.
func (r *resolver) deepestAllowed(_ Key, list []candidate) (int, error) {
	for _, c := range slices.Backward(list[1:]) {
		if ok, err := r.allowed1(c.n, Key{}, noEvent); ok || err != nil {
			return c.n, err
		}
	}
	return list[0].n, nil
}

// allowed1 judges n by the state so far, with instead at k.
func (r *resolver) allowed1(n int, k Key, instead int) (bool, error) {
	var failed error
	err := authrules.Check(r.graph.nodes[n].ev, func(typ, stateKey string) *pdu.Event {
		want := Key{typ, stateKey}
		at := instead
		if want != k || instead == noEvent {
			var err error
			if at, err = r.current(want); err == nil && at != noEvent {
				err = r.graph.need(at)
			}
			failed = cmp.Or(failed, err)
		}
		if at == noEvent {
			return nil
		}
		return r.graph.nodes[at].ev
	})
	return err == nil, failed
}
