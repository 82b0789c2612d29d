package stateres

import (
	"context"

	"hearth/matrix/pdu"
)

// graph is the part of the auth graph seen so far. Events are known by their
// index in nodes; they come into being when first mentioned and are read when
// needed.
type graph struct {
	ctx   context.Context // of the one Resolve the graph lives for
	load  func(context.Context, []NID) ([]*Event, error)
	index map[NID]int
	nodes []node
}

type node struct {
	nid    NID
	asked  bool       // read, or found missing
	ev     *pdu.Event // nil while unread, and if it is missing
	auth   []int
	reject bool
}

func newGraph(ctx context.Context, load func(context.Context, []NID) ([]*Event, error)) *graph {
	return &graph{ctx: ctx, load: load}
}

// grow makes room for about n events and their auth events.
func (g *graph) grow(n int) {
	g.index = make(map[NID]int, 2*n)
	g.nodes = make([]node, 0, 2*n)
}

// at returns the index of an event.
func (g *graph) at(nid NID) int {
	n, ok := g.index[nid]
	if !ok {
		n = len(g.nodes)
		g.index[nid] = n
		g.nodes = append(g.nodes, node{nid: nid})
	}
	return n
}

// need reads those of the events that have not been read, all at once.
func (g *graph) need(ns ...int) error {
	var nids []NID
	for _, n := range ns {
		if !g.nodes[n].asked {
			g.nodes[n].asked = true
			nids = append(nids, g.nodes[n].nid)
		}
	}
	if nids == nil {
		return nil
	}
	if err := g.ctx.Err(); err != nil {
		return err
	}
	evs, err := g.load(g.ctx, nids)
	if err != nil {
		return err
	}
	refs := 0
	for _, ev := range evs {
		if ev != nil {
			refs += len(ev.Auth)
		}
	}
	slab := make([]int, 0, refs) // one allocation for all the lists of auth events
	for _, ev := range evs {
		slab = g.put(ev, slab)
	}
	return nil
}

// put keeps an event that was asked for, its auth events at the end of slab. A
// message is no part of the graph, even if a bad server names it as an auth
// event.
func (g *graph) put(ev *Event, slab []int) []int {
	if ev == nil || ev.PDU == nil || !ev.PDU.IsState() {
		return slab
	}
	n, ok := g.index[ev.NID]
	if !ok || !g.nodes[n].asked || g.nodes[n].ev != nil {
		return slab
	}
	start := len(slab)
	for _, nid := range ev.Auth {
		slab = append(slab, g.at(nid))
	}
	at := &g.nodes[n] // only now: g.at moves nodes
	at.ev, at.auth, at.reject = ev.PDU, slab[start:len(slab):len(slab)], ev.Rejected
	return slab
}

// key returns the place in the state of an event that has been read.
func (n *node) key() Key { return Key{n.ev.Type, *n.ev.StateKey} }

// authOf returns the first of n's auth events with that key, or noEvent. The
// auth events must have been read.
func (g *graph) authOf(n int, k Key) int {
	for _, a := range g.nodes[n].auth {
		if ev := g.nodes[a].ev; ev != nil && ev.Is(k.Type, k.StateKey) {
			return a
		}
	}
	return noEvent
}

// set is a set of events.
type set []uint64

func (s *set) add(n int) {
	for n/64 >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

func (s set) has(n int) bool { return n/64 < len(s) && s[n/64]&(1<<(n%64)) != 0 }

// setOf returns the set of ns.
func setOf(ns []int) set {
	var s set
	for _, n := range ns {
		s.add(n)
	}
	return s
}
