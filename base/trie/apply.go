package trie

import (
	"encoding/binary"
	"slices"
)

// Apply makes the version that differs from root by changes; an entry with
// value 0 removes its key. It returns the packs to store, in order, of which
// the last names the new root. next gives numbers for packs, each greater than
// all before. A change that changes nothing returns the old root and no packs.
func Apply(src Source, root int64, changes []Entry, next func() int64) (newRoot int64, packs []Pack, err error) {
	w := &packer{src: src, next: next}
	if w.sum, err = SumOf(src, root); err != nil {
		return 0, nil, err
	}
	old := &node{}
	if root != Empty {
		if old, err = rootNode(src, root); err != nil {
			return 0, nil, err
		}
	}
	changes = sortedLast(changes)
	n, changed, err := w.set(old, changes, 0)
	if err != nil || !changed {
		return root, nil, err
	}
	if n == nil {
		return Empty, nil, nil
	}
	w.put(n)
	w.flush()
	// Only the pack that names the version carries its sum.
	last := &w.packs[len(w.packs)-1]
	binary.LittleEndian.PutUint64(last.Blob, w.sum[0])
	binary.LittleEndian.PutUint64(last.Blob[8:], w.sum[1])
	return last.ID, w.packs, nil
}

// sortedLast sorts changes by key and keeps the last of equal keys.
func sortedLast(changes []Entry) []Entry {
	out := slices.Clone(changes)
	slices.SortStableFunc(out, func(a, b Entry) int {
		switch {
		case a.Key < b.Key:
			return -1
		case a.Key > b.Key:
			return 1
		}
		return 0
	})
	n := 0
	for i, e := range out {
		if i+1 < len(out) && out[i+1].Key == e.Key {
			continue
		}
		out[n] = e
		n++
	}
	return out[:n]
}

// packer makes new nodes and writes them into packs.
type packer struct {
	src   Source
	next  func() int64
	sum   Sum
	packs []Pack
	open  bool // the last of packs takes more nodes
	count int32
}

// set returns n with the changes, which all belong below n; nil if nothing is
// left. The new node itself is not stored yet; its children are.
func (w *packer) set(n *node, changes []Entry, level int) (*node, bool, error) {
	if n.mask == 0 {
		leaf, changed := w.setLeaf(n.leaf, changes)
		if len(leaf) == 0 {
			return nil, changed, nil
		}
		return w.split(leaf, level), changed, nil
	}
	out := &node{}
	anyChanged := false
	for s := range 1 << fanBits {
		var part []Entry
		for _, e := range changes {
			if slot(e.Key, level) == s {
				part = append(part, e)
			}
		}
		at, ok := n.kid(s)
		if len(part) == 0 {
			if ok {
				out.mask |= 1 << s
				out.kids = append(out.kids, n.kids[at])
			}
			continue
		}
		kid := &node{}
		if ok {
			var err error
			if kid, err = load(w.src, n.kids[at]); err != nil {
				return nil, false, err
			}
		}
		kid, changed, err := w.set(kid, part, level+1)
		if err != nil {
			return nil, false, err
		}
		switch {
		case !changed && ok:
			out.mask |= 1 << s
			out.kids = append(out.kids, n.kids[at])
		case kid != nil:
			out.mask |= 1 << s
			out.kids = append(out.kids, w.put(kid))
		}
		anyChanged = anyChanged || changed
	}
	if out.mask == 0 {
		return nil, anyChanged, nil
	}
	return out, anyChanged, nil
}

func (w *packer) setLeaf(leaf, changes []Entry) (out []Entry, changed bool) {
	out = slices.Clone(leaf)
	for _, c := range changes {
		i, ok := find(out, c.Key)
		if ok && out[i].Val == c.Val || !ok && c.Val == 0 {
			continue
		}
		changed = true
		if ok {
			w.sum.del(out[i])
		}
		if c.Val != 0 {
			w.sum.add(c)
		}
		switch {
		case ok && c.Val == 0:
			out = slices.Delete(out, i, i+1)
		case ok:
			out[i].Val = c.Val
		default:
			out = slices.Insert(out, i, c)
		}
	}
	return out, changed
}

// split makes a leaf of the entries, or an inner node if they are too many.
func (w *packer) split(leaf []Entry, level int) *node {
	if len(leaf) <= maxLeaf || level >= maxLoad {
		return &node{leaf: leaf}
	}
	n := &node{}
	for s := range 1 << fanBits {
		var part []Entry
		for _, e := range leaf {
			if slot(e.Key, level) == s {
				part = append(part, e)
			}
		}
		if len(part) > 0 {
			n.mask |= 1 << s
			n.kids = append(n.kids, w.put(w.split(part, level+1)))
		}
	}
	return n
}

// put stores a node in the open pack.
func (w *packer) put(n *node) ref {
	if w.open && len(w.packs[len(w.packs)-1].Blob) >= packSize {
		w.flush()
	}
	if !w.open {
		w.packs = append(w.packs, Pack{ID: w.next(), Blob: make([]byte, 16, 256)})
		w.open, w.count = true, 0
	}
	p := &w.packs[len(w.packs)-1]
	p.Blob = appendNode(p.Blob, n, p.ID)
	w.count++
	return ref{pack: p.ID, index: w.count - 1}
}

func (w *packer) flush() { w.open = false }
