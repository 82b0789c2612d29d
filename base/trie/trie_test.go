package trie

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// memory keeps packs as a store would, and decodes them at each read, so that
// tests see what was encoded.
type memory struct {
	packs map[int64]*Nodes
	last  int64
	bytes int
}

func newMemory() *memory { return &memory{packs: map[int64]*Nodes{}} }

func (m *memory) Nodes(id int64) (*Nodes, error) {
	if n := m.packs[id]; n != nil {
		return n, nil
	}
	return nil, ErrCorrupt
}

func (m *memory) next() int64 { m.last += 7; return m.last }

func (m *memory) apply(t testing.TB, root int64, changes ...Entry) int64 {
	t.Helper()
	root, packs, err := Apply(m, root, changes, m.next)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if m.packs[p.ID], err = Decode(p); err != nil {
			t.Fatal(err)
		}
		m.bytes += len(p.Blob)
	}
	return root
}

func (m *memory) entries(t testing.TB, root int64) map[int64]int64 {
	t.Helper()
	out := map[int64]int64{}
	if err := Walk(m, root, func(e Entry) bool { out[e.Key] = e.Val; return true }); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every version of a random history reads back as the plain map it stands for,
// and stays so after thousands of later changes.
func TestVersionsNeverChange(t *testing.T) {
	m, r := newMemory(), rand.New(rand.NewPCG(1, 2))
	want := map[int64]int64{}
	root := Empty
	type version struct {
		root int64
		want map[int64]int64
	}
	var history []version
	for i := range 3000 {
		changes := make([]Entry, 1+r.IntN(3)*r.IntN(40))
		for j := range changes {
			e := Entry{Key: r.Int64N(700) + 1, Val: r.Int64N(1000)} // some are 0: removals
			changes[j] = e
			want[e.Key] = e.Val
			if e.Val == 0 {
				delete(want, e.Key)
			}
		}
		root = m.apply(t, root, changes...)
		if i%100 == 0 {
			history = append(history, version{root, maps.Clone(want)})
		}
	}
	for _, v := range history {
		if got := m.entries(t, v.root); !maps.Equal(got, v.want) {
			t.Fatalf("version %d has %d entries, want %d", v.root, len(got), len(v.want))
		}
		for k := int64(1); k <= 700; k++ {
			if got, err := Get(m, v.root, k); err != nil || got != v.want[k] {
				t.Fatalf("Get(%d) = %d, %v; want %d", k, got, err, v.want[k])
			}
		}
	}
	for range 200 {
		a, b := history[r.IntN(len(history))], history[r.IntN(len(history))]
		patched := maps.Clone(a.want)
		err := Diff(m, a.root, b.root, func(k, inA, inB int64) {
			if a.want[k] != inA || b.want[k] != inB || inA == inB {
				t.Fatalf("diff says %d: %d → %d, want %d → %d", k, inA, inB, a.want[k], b.want[k])
			}
			patched[k] = inB
			if inB == 0 {
				delete(patched, k)
			}
		})
		if err != nil || !maps.Equal(patched, b.want) {
			t.Fatalf("diff does not lead from one version to the other: %v", err)
		}
	}
}

func TestEqualVersionsHaveEqualSums(t *testing.T) {
	m := newMemory()
	a, b := Empty, Empty
	for i := range int64(200) {
		a = m.apply(t, a, Entry{i + 1, i*3 + 1})
		b = m.apply(t, b, Entry{200 - i, (199-i)*3 + 1})
	}
	b = m.apply(t, b, Entry{999, 5})
	sa, _ := SumOf(m, a)
	if sb, _ := SumOf(m, b); sa == sb {
		t.Error("different versions have equal sums")
	}
	b = m.apply(t, b, Entry{999, 0})
	if sb, _ := SumOf(m, b); sa != sb {
		t.Error("equal versions have different sums")
	}
}

func TestNoChangeMakesNoVersion(t *testing.T) {
	m := newMemory()
	root := m.apply(t, Empty, Entry{1, 2})
	if again := m.apply(t, root, Entry{1, 2}, Entry{5, 0}); again != root {
		t.Errorf("root went from %d to %d", root, again)
	}
	if gone := m.apply(t, root, Entry{1, 0}); gone != Empty {
		t.Errorf("root without entries = %d, want Empty", gone)
	}
}

// The promise that history is affordable: in a room with 100,000 members a
// state change costs about 280 bytes, which at one state event in eight is 34
// bytes per event.
func TestBytesPerChangeInLargeRoom(t *testing.T) {
	m, r := newMemory(), rand.New(rand.NewPCG(3, 4))
	m.last = 20_000_000 // as in a database with a long history
	members := make([]Entry, 100_000)
	for i := range members {
		members[i] = Entry{int64(i + 1000), int64(i + 1)}
	}
	root := m.apply(t, Empty, members...)
	m.bytes = 0
	const changes = 2000
	for i := range int64(changes) {
		root = m.apply(t, root, Entry{r.Int64N(100_000) + 1000, 20_000_000 + i*8})
	}
	if per := m.bytes / changes; per > 283 {
		t.Errorf("%d bytes per change, want at most 283", per)
	} else {
		t.Logf("%d bytes per change, %.1f per event", per, float64(per)*0.12)
	}
}

func FuzzDecode(f *testing.F) {
	m := newMemory()
	for i := range int64(40) {
		_, packs, _ := Apply(m, Empty, []Entry{{i, 1}, {i + 1, 2}}, m.next)
		f.Add(packs[0].Blob)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		n, err := Decode(Pack{ID: 1, Blob: blob})
		if err == nil && len(n.nodes) == 0 {
			t.Error("a pack without nodes was accepted")
		}
	})
}

func BenchmarkApplyLarge(b *testing.B) {
	m := newMemory()
	members := make([]Entry, 100_000)
	for i := range members {
		members[i] = Entry{int64(i + 1000), int64(i + 1)}
	}
	root := m.apply(b, Empty, members...)
	for i := 0; b.Loop(); i++ {
		root = m.apply(b, root, Entry{int64(i%100_000) + 1000, int64(i + 200_000)})
	}
}
