package room

import (
	"container/list"
	"context"
	"sync"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/trie"
	"hearth/matrix/roomver"
)

// Key names a piece of state.
type Key struct{ Type, StateKey string }

// stateKeys knows the numbers of state keys. It grows with the number of
// distinct keys in use and is emptied when it gets too large.
type stateKeys struct {
	mu    sync.RWMutex
	nids  map[Key]int64
	names map[int64]Key
	// absent says up to which stream position a key had no number. State as old
	// as that cannot hold it, whoever has interned it since.
	absent map[Key]int64
}

const maxStateKeys = 200_000

func newStateKeys() *stateKeys {
	return &stateKeys{nids: map[Key]int64{}, names: map[int64]Key{}, absent: map[Key]int64{}}
}

func (k *stateKeys) nid(key Key) int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.nids[key]
}

// isAbsent reports whether no version of a state up to root can hold a key.
func (k *stateKeys) isAbsent(key Key, root int64) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	upto, ok := k.absent[key]
	return ok && root <= upto
}

func (k *stateKeys) putAbsent(key Key, upto int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.absent) >= maxStateKeys {
		clear(k.absent)
	}
	k.absent[key] = max(upto, k.absent[key])
}

func (k *stateKeys) name(nid int64) (Key, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.names[nid]
	return key, ok
}

func (k *stateKeys) put(key Key, nid int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.nids) >= maxStateKeys {
		clear(k.nids)
		clear(k.names)
	}
	k.nids[key], k.names[nid] = nid, key
}

// packCache keeps decoded packs of state tries.
type packCache struct {
	mu    sync.Mutex
	max   int // bytes
	size  int
	order *list.List // of packEntry
	byID  map[int64]*list.Element
}

type packEntry struct {
	id    int64
	nodes *trie.Nodes
}

func newPackCache(bytes int) *packCache {
	return &packCache{max: bytes, order: list.New(), byID: map[int64]*list.Element{}}
}

func (c *packCache) get(id int64) *trie.Nodes {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.byID[id]
	if el == nil {
		return nil
	}
	c.order.MoveToFront(el)
	return el.Value.(packEntry).nodes
}

func (c *packCache) put(id int64, n *trie.Nodes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID[id] != nil {
		return
	}
	c.byID[id] = c.order.PushFront(packEntry{id, n})
	for c.size += n.Size(); c.size > c.max && c.order.Len() > 1; {
		last := c.order.Back()
		gone := last.Value.(packEntry)
		c.size -= gone.nodes.Size()
		delete(c.byID, gone.id)
		c.order.Remove(last)
	}
}

// txSource reads packs in a transaction, and those that it has just made.
type txSource struct {
	tx    *db.Tx
	cache *packCache
	fresh map[int64]*trie.Nodes
}

func (s *txSource) Nodes(id int64) (*trie.Nodes, error) {
	if n := s.fresh[id]; n != nil {
		return n, nil
	}
	if n := s.cache.get(id); n != nil {
		return n, nil
	}
	p, err := store.StatePack(s.tx, id)
	if err != nil {
		return nil, err
	}
	n, err := trie.Decode(p)
	if err == nil {
		s.cache.put(id, n)
	}
	return n, err
}

// readSource reads packs outside of transactions: packs never change.
type readSource struct {
	ctx context.Context
	e   *Engine
}

func (s readSource) Nodes(id int64) (n *trie.Nodes, err error) {
	if n := s.e.packs.get(id); n != nil {
		return n, nil
	}
	err = s.e.DB.Read(s.ctx, func(tx *db.Tx) error {
		n, err = (&txSource{tx: tx, cache: s.e.packs}).Nodes(id)
		return err
	})
	return n, err
}

// skOf returns the number of a state key, or 0 if no event ever used it.
func (e *Engine) skOf(ctx context.Context, key Key) (nid int64, err error) {
	if nid = e.keys.nid(key); nid != 0 {
		return nid, nil
	}
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		nid, err = store.FindStateKey(tx, key.Type, key.StateKey)
		return err
	})
	if err == nil && nid != 0 {
		e.keys.put(key, nid)
	}
	return nid, err
}

// StateEvent returns the event that holds a piece of state in the version at
// root, or nil.
func (e *Engine) StateEvent(ctx context.Context, r *Room, root int64, typ, stateKey string) (*Event, error) {
	key := Key{typ, stateKey}
	if root == trie.Empty || e.keys.isAbsent(key, root) {
		return nil, nil
	}
	upto := e.DB.Position() // before the look-up: later keys have greater numbers
	sk, err := e.skOf(ctx, key)
	if err == nil && sk == 0 {
		e.keys.putAbsent(key, upto)
	}
	if err != nil || sk == 0 {
		return nil, err
	}
	nid, err := trie.Get(readSource{ctx, e}, root, sk)
	if err != nil || nid == 0 {
		return nil, err
	}
	return e.eventByNID(ctx, r.Version, nid)
}

// StateDiff returns what changed from the version at a to that at b: for each
// piece of state, the number of the event that holds it in b, 0 if none.
func (e *Engine) StateDiff(ctx context.Context, a, b int64) (map[int64]int64, error) {
	out := map[int64]int64{}
	err := trie.Diff(readSource{ctx, e}, a, b, func(sk, _, inB int64) { out[sk] = inB })
	return out, err
}

// StateNIDs returns the whole version at root: events by state key.
func (e *Engine) StateNIDs(ctx context.Context, root int64) (map[int64]int64, error) {
	out := map[int64]int64{}
	err := trie.Walk(readSource{ctx, e}, root, func(en trie.Entry) bool { out[en.Key] = en.Val; return true })
	return out, err
}

// KeyNames returns the types and state keys that numbers stand for.
func (e *Engine) KeyNames(ctx context.Context, nids []int64) (map[int64]Key, error) {
	out := make(map[int64]Key, len(nids))
	var missing []int64
	for _, nid := range nids {
		if k, ok := e.keys.name(nid); ok {
			out[nid] = k
		} else {
			missing = append(missing, nid)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	return out, e.DB.Read(ctx, func(tx *db.Tx) error {
		keys, err := store.StateKeysByNID(tx, missing)
		for _, k := range keys {
			key := Key{k.Type, k.StateKey}
			e.keys.put(key, k.NID)
			out[k.NID] = key
		}
		return err
	})
}

// Events returns events by number, in the order asked for, leaving out those
// that are not there.
func (e *Engine) Events(ctx context.Context, v *roomver.Version, nids []int64) ([]*Event, error) {
	found := make(map[int64]*Event, len(nids))
	var missing []int64
	for _, nid := range nids {
		if ev := e.events.get(nid); ev != nil {
			found[nid] = ev
		} else {
			missing = append(missing, nid)
		}
	}
	if len(missing) > 0 {
		var rows []store.Event
		err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			rows, err = store.EventsByNID(tx, missing)
			return err
		})
		if err != nil {
			return nil, err
		}
		events, err := e.parseAll(rows, v.ID)
		if err != nil {
			return nil, err
		}
		for _, ev := range events {
			found[ev.NID] = ev
		}
	}
	out := make([]*Event, 0, len(nids))
	for _, nid := range nids {
		if ev := found[nid]; ev != nil {
			out = append(out, ev)
		}
	}
	return out, nil
}

func (e *Engine) eventByNID(ctx context.Context, v *roomver.Version, nid int64) (*Event, error) {
	events, err := e.Events(ctx, v, []int64{nid})
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return events[0], nil
}

// State returns the events of the version at root. With filter, only those for
// which it returns true.
func (e *Engine) State(ctx context.Context, r *Room, root int64, filter func(Key) bool) ([]*Event, error) {
	state, err := e.StateNIDs(ctx, root)
	if err != nil {
		return nil, err
	}
	return e.stateEvents(ctx, r, state, filter)
}

func (e *Engine) stateEvents(ctx context.Context, r *Room, state map[int64]int64, filter func(Key) bool) ([]*Event, error) {
	nids := make([]int64, 0, len(state))
	if filter == nil {
		for _, nid := range state {
			nids = append(nids, nid)
		}
	} else {
		sks := make([]int64, 0, len(state))
		for sk := range state {
			sks = append(sks, sk)
		}
		names, err := e.KeyNames(ctx, sks)
		if err != nil {
			return nil, err
		}
		for sk, nid := range state {
			if filter(names[sk]) {
				nids = append(nids, nid)
			}
		}
	}
	sortNIDs(nids)
	return e.Events(ctx, r.Version, nids)
}

// EventsSorted is Events in the order of their numbers.
func (e *Engine) EventsSorted(ctx context.Context, v *roomver.Version, nids []int64) ([]*Event, error) {
	sortNIDs(nids)
	return e.Events(ctx, v, nids)
}
