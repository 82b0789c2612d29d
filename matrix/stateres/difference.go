package stateres

import (
	"cmp"
	"container/heap"
	"slices"
)

// The keys that most of the auth graph hangs from.
var (
	createKey      = Key{"m.room.create", ""}
	powerLevelsKey = Key{"m.room.power_levels", ""}
	joinRulesKey   = Key{"m.room.join_rules", ""}
)

// authDifference returns the events that are in the full auth chain of some
// forks but not of all. A state's own events count as part of its chain: an
// event that all forks agree on is not replayed. The definition reads
// otherwise, but every server does it like this, and servers must agree.
//
// Newest first, each event learns from its successors which forks reach it.
// What all of them reach, they reach whole, so the walk ends when nothing else
// is left; it does not go back to the start of the room.
func (r *resolver) authDifference() ([]int, error) {
	w := newWalk(r)
	for i, fork := range r.forks {
		from := make(mask, w.words)
		from[i/64] |= 1 << (i % 64)
		for _, n := range fork {
			w.reach(n, from)
		}
	}
	for _, k := range []Key{createKey, powerLevelsKey, joinRulesKey} {
		n, err := r.shared(k)
		if err != nil {
			return nil, err
		}
		if n != noEvent {
			w.reach(n, w.all)
		}
	}
	if err := w.run(); err != nil {
		return nil, err
	}
	some := w.partial()
	if err := w.dropShared(some); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(some, w.full), nil
}

// mask has a bit for each fork.
type mask []uint64

// walk finds out which forks reach which events.
type walk struct {
	*resolver
	words  int
	all    mask
	bits   []uint64 // the masks of all nodes, one after the other
	from   mask     // of the event being left
	queue  newest
	queued set
	open   int // queued events that some fork does not reach
}

func newWalk(r *resolver) *walk {
	forks := len(r.forks)
	w := &walk{resolver: r, words: (forks + 63) / 64}
	w.all, w.from = make(mask, w.words), make(mask, w.words)
	for i := range forks {
		w.all[i/64] |= 1 << (i % 64)
	}
	w.queue.graph = r.graph
	return w
}

func (w *walk) mask(n int) mask {
	if end := (n + 1) * w.words; end > len(w.bits) {
		w.bits = append(w.bits, make([]uint64, end-len(w.bits))...)
	}
	return w.bits[n*w.words : (n+1)*w.words]
}

func (w *walk) full(n int) bool { return slices.Equal(w.mask(n), w.all) }

// reach notes that the forks of from reach n, and queues n if that is news.
func (w *walk) reach(n int, from mask) {
	was := w.full(n)
	to, news := w.mask(n), false
	for i := range to {
		news = news || from[i]&^to[i] != 0
		to[i] |= from[i]
	}
	if !news {
		return
	}
	now := w.full(n)
	switch {
	case !w.queued.has(n):
		w.queued.add(n)
		heap.Push(&w.queue, n)
		if !now {
			w.open++
		}
	case now && !was:
		w.open--
	}
}

func (w *walk) run() error {
	for w.open > 0 {
		if !w.graph.nodes[w.queue.list[0]].asked {
			if err := w.readQueue(); err != nil {
				return err
			}
			continue
		}
		n := heap.Pop(&w.queue).(int)
		w.queued[n/64] &^= 1 << (n % 64)
		if !w.full(n) {
			w.open--
		}
		// An event may be queued again if its number is below an auth
		// event's; then it hands on what it has learnt since.
		copy(w.from, w.mask(n))
		for _, a := range w.graph.nodes[n].auth {
			w.reach(a, w.from)
		}
	}
	return nil
}

// readQueue reads every queued event and marks those that are shared.
func (w *walk) readQueue() error {
	unread := slices.DeleteFunc(slices.Clone(w.queue.list), func(n int) bool { return w.graph.nodes[n].asked })
	if err := w.graph.need(unread...); err != nil {
		return err
	}
	for _, n := range unread {
		at := &w.graph.nodes[n]
		if at.ev == nil {
			continue
		}
		s, err := w.shared(at.key())
		if err != nil {
			return err
		}
		if s == n {
			w.reach(n, w.all)
		}
	}
	return nil
}

// partial returns the events reached by some forks only.
func (w *walk) partial() []int {
	var some []int
	for n := range w.graph.nodes {
		if w.graph.nodes[n].ev != nil && !w.full(n) && slices.Max(w.mask(n)) != 0 {
			some = append(some, n)
		}
	}
	return some
}

// dropShared marks as reached by all what the events that all forks agree on
// reach. Only events newer than the oldest in question can reach it.
func (w *walk) dropShared(some []int) error {
	conflict := setOf(w.conflicted())
	doubtful := 0
	var oldest NID
	for _, n := range some {
		if conflict.has(n) {
			continue // it will be replayed anyway
		}
		if nid := w.graph.nodes[n].nid; doubtful == 0 || nid < oldest {
			oldest = nid
		}
		doubtful++
	}
	if doubtful == 0 {
		return nil
	}
	newer, err := w.sharedSince(oldest, conflict)
	if err != nil {
		return err
	}
	inDoubt := setOf(some)
	for batch := range slices.Chunk(newer, 256) {
		front := batch
		for len(front) > 0 && doubtful > 0 {
			if err := w.graph.need(front...); err != nil {
				return err
			}
			var next []int
			for _, n := range front {
				for _, a := range w.graph.nodes[n].auth {
					if w.graph.nodes[a].nid < oldest || w.full(a) {
						continue
					}
					copy(w.mask(a), w.all)
					if inDoubt.has(a) && !conflict.has(a) {
						doubtful--
					}
					next = append(next, a)
				}
			}
			front = next
		}
	}
	return nil
}

// sharedSince returns the shared events newer than oldest, the newest first.
func (w *walk) sharedSince(oldest NID, conflict set) ([]int, error) {
	var nids []NID
	err := w.in.SharedAll(func(nid NID) bool {
		if nid > oldest {
			nids = append(nids, nid)
		}
		return w.graph.ctx.Err() == nil
	})
	if err == nil {
		err = w.graph.ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	for _, nid := range w.agreed {
		if nid > oldest {
			nids = append(nids, nid)
		}
	}
	slices.SortFunc(nids, func(a, b NID) int { return cmp.Compare(b, a) })
	var out []int
	for _, nid := range slices.Compact(nids) {
		if n, ok := w.graph.index[nid]; !ok || !conflict.has(n) {
			out = append(out, w.graph.at(nid))
		}
	}
	return out, nil
}

// newest is a heap of events with the newest on top.
type newest struct {
	graph *graph
	list  []int
}

func (q *newest) Len() int { return len(q.list) }
func (q *newest) Less(i, j int) bool {
	return q.graph.nodes[q.list[i]].nid > q.graph.nodes[q.list[j]].nid
}
func (q *newest) Swap(i, j int) { q.list[i], q.list[j] = q.list[j], q.list[i] }
func (q *newest) Push(x any)    { q.list = append(q.list, x.(int)) }
func (q *newest) Pop() any {
	last := len(q.list) - 1
	n := q.list[last]
	q.list = q.list[:last]
	return n
}

// subgraph returns the conflicted state subgraph of version 2.1: what lies on
// a path of auth events from one conflicting event to another
// (rooms/v12/#definitions).
func (r *resolver) subgraph() ([]int, error) {
	ends := r.conflicted()
	oldest := r.graph.nodes[ends[0]].nid
	for _, n := range ends {
		oldest = min(oldest, r.graph.nodes[n].nid)
	}
	var seen set
	citing := map[int][]int{}
	front := ends
	for len(front) > 0 {
		if err := r.graph.need(front...); err != nil {
			return nil, err
		}
		var next []int
		for _, n := range front {
			seen.add(n)
		}
		for _, n := range front {
			for _, a := range r.graph.nodes[n].auth {
				if r.graph.nodes[a].nid < oldest {
					continue
				}
				citing[a] = append(citing[a], n)
				if !seen.has(a) {
					seen.add(a)
					next = append(next, a)
				}
			}
		}
		front = next
	}
	var found set
	out := slices.Clone(ends)
	for _, n := range ends {
		found.add(n)
	}
	for i := 0; i < len(out); i++ {
		for _, n := range citing[out[i]] {
			if !found.has(n) {
				found.add(n)
				out = append(out, n)
			}
		}
	}
	return out, nil
}
