// Package trie is a persistent hash trie from 64-bit keys to 64-bit values,
// made for the state of rooms: every state event makes a new version that
// shares all but a handful of nodes with the one before it.
//
// A version is named by its root, the number of the pack that its newest nodes
// are stored in. The package encodes and decodes packs; it does not know where
// they are kept, nor what keys and values stand for.
package trie

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Shape of the trie. Eight ways and leaves of up to 16 entries cost 210 bytes
// per change at 100,000 entries, less than sixteen ways (280).
const (
	fanBits = 3
	maxLeaf = 16
	maxLoad = 64 / fanBits // levels; below that, leaves grow without bound
)

// packSize is where a large change starts a new pack, in bytes, so that reading
// one entry of an imported state does not decode all of it.
const packSize = 32 << 10

// Empty is the root of the version without entries.
const Empty int64 = 0

// Entry is a key with its value. Values are never 0.
type Entry struct{ Key, Val int64 }

// Pack is a set of nodes stored together.
type Pack struct {
	ID   int64
	Blob []byte
}

// Source finds the packs that were stored. Nodes it returns are never changed.
type Source interface {
	Nodes(pack int64) (*Nodes, error)
}

// Sum is an order-free hash of a version's entries: versions with the same
// entries have the same sum, however they came about.
type Sum [2]uint64

func (s *Sum) add(e Entry) { s.mix(e, 1) }
func (s *Sum) del(e Entry) { s.mix(e, ^uint64(0)) }

func (s *Sum) mix(e Entry, sign uint64) {
	h := scramble(uint64(e.Key)*0x9e3779b97f4a7c15 + scramble(uint64(e.Val)))
	s[0] += sign * h
	s[1] += sign * scramble(h^0xd6e8feb86659fd93)
}

// scramble spreads the bits of k (the finaliser of MurmurHash3).
func scramble(k uint64) uint64 {
	k ^= k >> 33
	k *= 0xff51afd7ed558ccd
	k ^= k >> 33
	k *= 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}

// slot is the child of an inner node at the given level that key belongs to.
func slot(key int64, level int) int {
	return int(scramble(uint64(key)) >> (level * fanBits) & (1<<fanBits - 1))
}

// ref points at a node: its pack, and its place there.
type ref struct {
	pack  int64
	index int32
}

// node is a leaf if kids is empty.
type node struct {
	leaf []Entry // sorted by key
	mask uint8   // which of the eight children there are
	kids []ref
}

// Nodes are the decoded nodes of one pack.
type Nodes struct {
	sum   Sum
	nodes []node
	size  int
}

// Size is about how many bytes n takes in memory.
func (n *Nodes) Size() int { return n.size }

// ErrCorrupt means that a pack's bytes make no sense.
var ErrCorrupt = errors.New("state pack is corrupt")

// Get returns the value of key in the version at root, or 0.
func Get(src Source, root, key int64) (int64, error) {
	if root == Empty {
		return 0, nil
	}
	n, err := rootNode(src, root)
	for level := 0; err == nil; level++ {
		if n.mask == 0 {
			if i, ok := find(n.leaf, key); ok {
				return n.leaf[i].Val, nil
			}
			return 0, nil
		}
		at, ok := n.kid(slot(key, level))
		if !ok {
			return 0, nil
		}
		n, err = load(src, n.kids[at])
	}
	return 0, err
}

// Walk calls f for each entry of the version at root, in no useful order,
// until f returns false.
func Walk(src Source, root int64, f func(Entry) bool) error {
	if root == Empty {
		return nil
	}
	n, err := rootNode(src, root)
	if err != nil {
		return err
	}
	_, err = walk(src, n, f)
	return err
}

func walk(src Source, n *node, f func(Entry) bool) (more bool, err error) {
	for _, e := range n.leaf {
		if !f(e) {
			return false, nil
		}
	}
	for _, k := range n.kids {
		kid, err := load(src, k)
		if err != nil {
			return false, err
		}
		if more, err := walk(src, kid, f); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// SumOf returns the order-free hash of the version at root.
func SumOf(src Source, root int64) (Sum, error) {
	if root == Empty {
		return Sum{}, nil
	}
	p, err := src.Nodes(root)
	if err != nil {
		return Sum{}, err
	}
	return p.sum, nil
}

// Diff calls f for each key whose value differs between two versions; 0 stands
// for no entry. It costs about what changed, not what the versions hold.
func Diff(src Source, a, b int64, f func(key, inA, inB int64)) error {
	if a == b {
		return nil
	}
	empty := &node{}
	na, nb := empty, empty
	var err error
	if a != Empty {
		if na, err = rootNode(src, a); err != nil {
			return err
		}
	}
	if b != Empty {
		if nb, err = rootNode(src, b); err != nil {
			return err
		}
	}
	return diff(src, na, nb, f)
}

func diff(src Source, a, b *node, f func(key, inA, inB int64)) error {
	if a.mask == 0 || b.mask == 0 {
		return diffEntries(src, a, b, f)
	}
	for s := range 1 << fanBits {
		i, inA := a.kid(s)
		j, inB := b.kid(s)
		if inA && inB && a.kids[i] == b.kids[j] {
			continue
		}
		ka, kb := &node{}, &node{}
		var err error
		if inA {
			if ka, err = load(src, a.kids[i]); err != nil {
				return err
			}
		}
		if inB {
			if kb, err = load(src, b.kids[j]); err != nil {
				return err
			}
		}
		if err := diff(src, ka, kb, f); err != nil {
			return err
		}
	}
	return nil
}

// diffEntries compares two subtrees of which at least one is small.
func diffEntries(src Source, a, b *node, f func(key, inA, inB int64)) error {
	inA := map[int64]int64{}
	if _, err := walk(src, a, func(e Entry) bool { inA[e.Key] = e.Val; return true }); err != nil {
		return err
	}
	_, err := walk(src, b, func(e Entry) bool {
		if was := inA[e.Key]; was != e.Val {
			f(e.Key, was, e.Val)
		}
		delete(inA, e.Key)
		return true
	})
	for k, v := range inA {
		f(k, v, 0)
	}
	return err
}

func rootNode(src Source, root int64) (*node, error) {
	p, err := src.Nodes(root)
	if err != nil {
		return nil, err
	}
	return &p.nodes[len(p.nodes)-1], nil
}

func load(src Source, r ref) (*node, error) {
	p, err := src.Nodes(r.pack)
	if err != nil {
		return nil, err
	}
	if int(r.index) >= len(p.nodes) {
		return nil, fmt.Errorf("%w: pack %d has no node %d", ErrCorrupt, r.pack, r.index)
	}
	return &p.nodes[r.index], nil
}

// kid tells where the child for a slot is in kids.
func (n *node) kid(slot int) (at int, ok bool) {
	bit := uint8(1) << slot
	return bits.OnesCount8(n.mask & (bit - 1)), n.mask&bit != 0
}

func find(leaf []Entry, key int64) (int, bool) {
	return slices.BinarySearchFunc(leaf, key, func(e Entry, k int64) int {
		switch {
		case e.Key < k:
			return -1
		case e.Key > k:
			return 1
		}
		return 0
	})
}

// Decode reads a pack that Apply made.
func Decode(p Pack) (*Nodes, error) {
	corrupt := fmt.Errorf("%w: pack %d", ErrCorrupt, p.ID)
	b := p.Blob
	if len(b) < 16 {
		return nil, corrupt
	}
	out := &Nodes{size: 64 + 2*len(b)}
	out.sum[0], out.sum[1] = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	r := reader{b: b[16:]}
	for len(r.b) > 0 && !r.bad {
		out.nodes = append(out.nodes, r.node(p.ID))
		out.size += 64
	}
	if r.bad || len(out.nodes) == 0 {
		return nil, corrupt
	}
	return out, nil
}

// reader decodes varints; bad is set once when they run out.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// node reads one node. Its first byte is the mask of an inner node, or 0 and
// then the number of entries of a leaf.
func (r *reader) node(pack int64) node {
	mask := r.b[0]
	r.b = r.b[1:]
	if mask == 0 {
		return r.leafNode()
	}
	n := node{mask: mask, kids: make([]ref, bits.OnesCount8(mask))}
	for i := range n.kids {
		n.kids[i] = ref{pack: pack - int64(r.uvarint()), index: int32(r.uvarint())}
	}
	return n
}

func (r *reader) leafNode() node {
	count := r.uvarint()
	if count > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return node{}
	}
	n := node{leaf: make([]Entry, count)}
	var key, val int64
	for i := range n.leaf {
		key += int64(r.uvarint())
		val += unzigzag(r.uvarint())
		n.leaf[i] = Entry{key, val}
	}
	return n
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }

func appendNode(b []byte, n *node, pack int64) []byte {
	b = append(b, n.mask)
	if n.mask != 0 {
		for _, k := range n.kids {
			b = binary.AppendUvarint(b, uint64(pack-k.pack))
			b = binary.AppendUvarint(b, uint64(k.index))
		}
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(n.leaf)))
	var key, val int64
	for _, e := range n.leaf {
		b = binary.AppendUvarint(b, uint64(e.Key-key))
		b = binary.AppendUvarint(b, zigzag(e.Val-val))
		key, val = e.Key, e.Val
	}
	return b
}
