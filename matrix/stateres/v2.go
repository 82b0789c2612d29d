package stateres

import (
	"slices"

	"hearth/matrix/authrules"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// resolve2 is state resolution 2 (rooms/v2/#algorithm) and 2.1
// (rooms/v12/#algorithm). The steps are those of the specification.
func (r *resolver) resolve2() error {
	r.scratch = r.in.Version.StateRes == roomver.StateRes21
	full, err := r.fullConflictedSet()
	if err != nil {
		return err
	}
	if err := r.prepare(full); err != nil {
		return err
	}
	// 1 and 2.
	power, rest := r.powerEvents(full)
	if err := r.iterate(r.powerOrder(power)); err != nil {
		return err
	}
	// 3 and 4.
	levels, err := r.current(powerLevelsKey)
	if err != nil {
		return err
	}
	rest, err = r.mainlineOrder(rest, levels)
	if err != nil {
		return err
	}
	return r.iterate(rest) // 5 is winners
}

// fullConflictedSet returns the events to replay, each once. What cannot be
// found cannot be replayed.
func (r *resolver) fullConflictedSet() ([]int, error) {
	all := r.conflicted()
	if err := r.graph.need(all...); err != nil {
		return nil, err
	}
	diff, err := r.authDifference()
	if err != nil {
		return nil, err
	}
	all = append(all, diff...)
	if r.scratch {
		between, err := r.subgraph()
		if err != nil {
			return nil, err
		}
		all = append(all, between...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(n int) bool { return r.graph.nodes[n].ev == nil }), nil
}

// prepare reads what the auth rules will ask for, all at once, and finds the
// create event.
func (r *resolver) prepare(events []int) error {
	var need []int
	for _, n := range events {
		need = append(need, r.graph.nodes[n].auth...)
		if r.scratch {
			continue
		}
		ev := r.graph.nodes[n].ev
		for _, t := range authrules.Needed(ev.Version, ev.Type, ev.StateKey, ev.Sender, ev.Content) {
			s, err := r.shared(Key(t))
			if err != nil {
				return err
			}
			if s != noEvent {
				need = append(need, s)
			}
		}
	}
	var err error
	if r.create, err = r.findCreate(); err != nil {
		return err
	}
	if r.create != noEvent {
		need = append(need, r.create)
	}
	return r.graph.need(need...)
}

// findCreate returns the room's create event, even if some fork lacks it.
func (r *resolver) findCreate() (int, error) {
	if l := r.conflict[createKey]; len(l) == 1 {
		return l[0], nil
	}
	return r.shared(createKey)
}

// current returns the event at k in the state so far, or noEvent.
func (r *resolver) current(k Key) (int, error) {
	if n, ok := r.state[k]; ok {
		return n, nil
	}
	if r.scratch {
		return noEvent, nil
	}
	return r.shared(k)
}

// iterate is the iterative auth checks algorithm: it adds to the state each
// event that the state so far allows.
func (r *resolver) iterate(events []int) error {
	for _, n := range events {
		ev := r.graph.nodes[n].ev
		err := authrules.Check(ev, func(typ, stateKey string) *pdu.Event {
			return r.authorising(n, Key{typ, stateKey})
		})
		if r.err != nil {
			return r.err
		}
		if err == nil {
			r.state[r.graph.nodes[n].key()] = n
		}
	}
	return nil
}

// authorising returns the event at k to judge n by: the one in the state so
// far, or else the one among n's auth events if that was not rejected.
func (r *resolver) authorising(n int, k Key) *pdu.Event {
	at, err := r.current(k)
	if err == nil && at != noEvent {
		err = r.graph.need(at)
	}
	if err != nil {
		r.err = err
		return nil
	}
	if at != noEvent && r.graph.nodes[at].ev != nil {
		return r.graph.nodes[at].ev
	}
	for _, a := range r.graph.nodes[n].auth {
		if at := r.graph.nodes[a]; at.ev != nil && !at.reject && at.ev.Is(k.Type, k.StateKey) {
			return at.ev
		}
	}
	if k == createKey && r.in.Version.RoomIDIsCreate && r.create != noEvent {
		return r.graph.nodes[r.create].ev
	}
	return nil
}
