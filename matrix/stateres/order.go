package stateres

import (
	"cmp"
	"container/heap"
	"slices"

	"hearth/matrix/authrules"
	"hearth/matrix/pdu"
)

// isPower reports whether an event can take away what somebody may do
// (rooms/v2/#definitions). The create event is one too: the definition leaves
// it out because no honest state lacks it, but where one does, nothing can be
// judged before it.
func isPower(ev *pdu.Event) bool {
	switch ev.Type {
	case "m.room.power_levels", "m.room.join_rules", "m.room.create":
		return *ev.StateKey == ""
	case "m.room.member":
		m := ev.Membership()
		return (m == "leave" || m == "ban") && ev.Sender != *ev.StateKey
	}
	return false
}

// powerEvents splits the full conflicted set into the events of step 1, in no
// order, and the rest. The auth chain of a power event is followed only inside
// the set, as all servers do.
func (r *resolver) powerEvents(all []int) (power, rest []int) {
	in := setOf(all)
	var chosen set
	for _, n := range all {
		if isPower(r.graph.nodes[n].ev) {
			chosen.add(n)
			power = append(power, n)
		}
	}
	for i := 0; i < len(power); i++ {
		for _, a := range r.graph.nodes[power[i]].auth {
			if in.has(a) && !chosen.has(a) {
				chosen.add(a)
				power = append(power, a)
			}
		}
	}
	for _, n := range all {
		if !chosen.has(n) {
			rest = append(rest, n)
		}
	}
	return power, rest
}

// ranked is an event with what it is ordered by.
type ranked struct {
	n    int
	rank int64 // smaller goes first
	ev   *pdu.Event
}

func byRank(a, b ranked) int {
	return cmp.Or(
		cmp.Compare(a.rank, b.rank),
		cmp.Compare(a.ev.OriginServerTS, b.ev.OriginServerTS),
		cmp.Compare(a.ev.ID, b.ev.ID),
	)
}

// powerOrder is the reverse topological power ordering: an event comes after
// its auth events, and apart from that the sender with more power, the older
// event, the smaller id goes first.
func (r *resolver) powerOrder(events []int) []int {
	place := make(map[int]int, len(events))
	items := make([]ranked, len(events))
	for i, n := range events {
		place[n] = i
		// ^x runs the other way than x, and unlike -x has no overflow.
		items[i] = ranked{n, ^r.senderLevel(n), r.graph.nodes[n].ev}
	}
	waiting := make([]int, len(events)) // for so many auth events
	citing := make([][]int, len(events))
	for i, n := range events {
		for _, a := range r.graph.nodes[n].auth {
			if j, ok := place[a]; ok {
				waiting[i]++
				citing[j] = append(citing[j], i)
			}
		}
	}
	var ready smallest
	for i := range items {
		if waiting[i] == 0 {
			ready = append(ready, items[i])
		}
	}
	heap.Init(&ready)
	out := make([]int, 0, len(events))
	for len(ready) > 0 {
		x := heap.Pop(&ready).(ranked)
		out = append(out, x.n)
		for _, i := range citing[place[x.n]] {
			if waiting[i]--; waiting[i] == 0 {
				heap.Push(&ready, items[i])
			}
		}
	}
	// What is left is on or behind a cycle, which only ids that are no hashes
	// allow (versions 1 and 2). Such events cannot have been authorised.
	return out
}

// senderLevel is the power level of an event's sender, as its auth events
// have it.
func (r *resolver) senderLevel(n int) int64 {
	var pl, create *pdu.Event
	if a := r.graph.authOf(n, powerLevelsKey); a != noEvent {
		pl = r.graph.nodes[a].ev
	}
	// From version 12 on no event cites the create event, as the room id does.
	c := r.create
	if !r.in.Version.RoomIDIsCreate {
		c = r.graph.authOf(n, createKey)
	}
	if c != noEvent {
		create = r.graph.nodes[c].ev
	}
	levels := authrules.ParsePowerLevels(r.in.Version, pl, create)
	return levels.User(r.graph.nodes[n].ev.Sender)
}

// smallest is a heap by byRank.
type smallest []ranked

func (h smallest) Len() int           { return len(h) }
func (h smallest) Less(i, j int) bool { return byRank(h[i], h[j]) < 0 }
func (h smallest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *smallest) Push(x any)        { *h = append(*h, x.(ranked)) }
func (h *smallest) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// mainlineOrder orders events by how far back the power levels they rest on
// are on the mainline of the resolved power levels event (noEvent if there is
// none): the oldest go first, and before them what rests on none of them.
func (r *resolver) mainlineOrder(events []int, levels int) ([]int, error) {
	line, err := r.mainline(levels)
	if err != nil {
		return nil, err
	}
	// at is the distance from the start of the room; 0 is off the mainline.
	at := make(map[int]int64, len(line))
	for i, n := range line {
		at[n] = int64(len(line) - i)
	}
	items := make([]ranked, len(events))
	for i, n := range events {
		rank, err := r.mainlinePosition(n, at)
		if err != nil {
			return nil, err
		}
		items[i] = ranked{n, rank, r.graph.nodes[n].ev}
	}
	slices.SortFunc(items, byRank)
	out := make([]int, len(items))
	for i, x := range items {
		out[i] = x.n
	}
	return out, nil
}

// mainline is a power levels event, the one that authorised it, and so on.
func (r *resolver) mainline(levels int) ([]int, error) {
	var line []int
	var seen set
	for n := levels; n != noEvent && !seen.has(n); {
		seen.add(n)
		line = append(line, n)
		var err error
		if n, err = r.levelsBefore(n); err != nil {
			return nil, err
		}
	}
	return line, nil
}

// mainlinePosition finds the first of n's ancestors in the line of power
// levels events whose position is known, and notes the position for all on the
// way there, so that no line is walked twice.
func (r *resolver) mainlinePosition(n int, at map[int]int64) (int64, error) {
	var way []int
	var seen set
	pos := int64(0)
	for {
		var err error
		if n, err = r.levelsBefore(n); err != nil {
			return 0, err
		}
		if n == noEvent || seen.has(n) {
			break
		}
		if p, ok := at[n]; ok {
			pos = p
			break
		}
		seen.add(n)
		way = append(way, n)
	}
	for _, x := range way {
		at[x] = pos
	}
	return pos, nil
}

// levelsBefore is the power levels event among n's auth events, or noEvent.
func (r *resolver) levelsBefore(n int) (int, error) {
	if err := r.graph.need(r.graph.nodes[n].auth...); err != nil {
		return noEvent, err
	}
	return r.graph.authOf(n, powerLevelsKey), nil
}
