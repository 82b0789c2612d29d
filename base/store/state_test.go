package store_test

import (
	"math/rand/v2"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/base/trie"
)

// packs reads a room's packs back from the store, as the room engine does.
type packs struct {
	tx    *db.Tx
	nodes map[int64]*trie.Nodes
}

func (p *packs) Nodes(id int64) (*trie.Nodes, error) {
	if n := p.nodes[id]; n != nil {
		return n, nil
	}
	pack, err := store.StatePack(p.tx, id)
	if err != nil {
		return nil, err
	}
	n, err := trie.Decode(pack)
	p.nodes[id] = n
	return n, err
}

// In a room with 100,000 members the state before every event costs about 34
// bytes per event in the database, row and key included, at one state event in
// eight. Synapse's groups take 27,000, Dendrite's blocks 1,600.
func TestStateBytesPerEventInLargeRoom(t *testing.T) {
	const members, changes, eventsPerChange = 100_000, 2000, 8
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		src := &packs{nodes: map[int64]*trie.Nodes{}}
		root := trie.Empty
		apply := func(tx *db.Tx, entries ...trie.Entry) error {
			src.tx = tx
			next, made, err := trie.Apply(src, root, entries, tx.NextPos)
			root = next
			if err != nil {
				return err
			}
			return store.InsertPacks(tx, 1, made)
		}
		size := func() (bytes int64) {
			t.Helper()
			err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
				// 16 bytes are what a row costs beside its blob: its key, its
				// room and their headers.
				bytes, err = db.One(tx, db.Value[int64], `SELECT COALESCE(SUM(LENGTH(blob) + 16), 0) FROM state_packs`)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return bytes
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			all := make([]trie.Entry, members)
			for i := range all {
				all[i] = trie.Entry{Key: tx.NextPos(), Val: tx.NextPos()}
			}
			return apply(tx, all...)
		})
		if err != nil {
			t.Fatal(err)
		}
		imported := size()
		r := rand.New(rand.NewPCG(1, 1))
		want := map[int64]int64{}
		err = d.Write(t.Context(), func(tx *db.Tx) error {
			for range changes {
				e := trie.Entry{Key: 2*r.Int64N(members) + 1, Val: tx.NextPos()}
				want[e.Key] = e.Val
				if err := apply(tx, e); err != nil {
					return err
				}
				for range eventsPerChange - 1 {
					tx.NextPos() // messages leave the state as it is
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		perEvent := float64(size()-imported) / (changes * eventsPerChange)
		t.Logf("%.1f bytes of state per event; the 100,000 members took %.1f bytes each", perEvent, float64(imported)/members)
		if perEvent > 34 {
			t.Errorf("%.1f bytes of state per event, want at most 34", perEvent)
		}
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			src := &packs{tx: tx, nodes: map[int64]*trie.Nodes{}} // nothing remembered
			for k, v := range want {
				if got, err := trie.Get(src, root, k); err != nil || got != v {
					t.Errorf("key %d holds %d (%v), want %d", k, got, err, v)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
