package password

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/matrix/mxerr"
)

var cheap = Cost{Memory: 64, Passes: 1, Threads: 1}

func verify(t *testing.T, h *Hasher, hash, password string) (ok, outdated bool) {
	t.Helper()
	ok, outdated, err := h.Verify(t.Context(), hash, password)
	if err != nil {
		t.Error(err)
	}
	return ok, outdated
}

func TestHashAndVerify(t *testing.T) {
	h := New(Options{Cost: cheap})
	hash, err := h.Hash(t.Context(), "correct horse")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("%q, %v", hash, err)
	}
	if ok, outdated := verify(t, h, hash, "correct horse"); !ok || outdated {
		t.Errorf("right password: ok %v, outdated %v", ok, outdated)
	}
	if ok, _ := verify(t, h, hash, "correct horses"); ok {
		t.Error("wrong password passes")
	}
	if ok, _ := verify(t, h, "", ""); ok {
		t.Error("no password passes")
	}
	if _, outdated := verify(t, New(Options{Cost: Cost{Memory: 128, Passes: 1, Threads: 1}}), hash, "correct horse"); !outdated {
		t.Error("a cheaper hash need not be replaced")
	}
	again, err := h.Hash(t.Context(), "correct horse")
	if err != nil || again == hash {
		t.Errorf("the same hash twice, %v", err)
	}
}

func TestDefaultCost(t *testing.T) {
	hash, err := New(Options{}).Hash(t.Context(), "x")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=9216,t=4,p=1$") {
		t.Errorf("%q, %v", hash, err)
	}
}

// Hashes that other programs made: argon2's own command line for the first,
// Python's bcrypt for the others.
func TestHashesFromElsewhere(t *testing.T) {
	for _, tc := range []struct {
		name, hash, pepper, password string
		want                         bool
	}{
		{"argon2", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "", "password", true},
		{"bcrypt", "$2b$05$dymhjRF.fjrW44xvc11liu1TQV10sND/EzeG6zP0r6rqfG80.0ku.", "", "pässwörd", true},
		{"bcrypt, other spelling of the same", "$2b$05$dymhjRF.fjrW44xvc11liu1TQV10sND/EzeG6zP0r6rqfG80.0ku.", "", "pa\u0308sswo\u0308rd", true},
		{"bcrypt, wrong", "$2b$05$dymhjRF.fjrW44xvc11liu1TQV10sND/EzeG6zP0r6rqfG80.0ku.", "", "password", false},
		{"bcrypt and pepper", "$2b$05$4fc/Vjv8BUtLGupGg1N0DO5fQmoy/vLx7Xot1AFJYD9uUO8t5VFWi", "chili", "pw", true},
		{"bcrypt without its pepper", "$2b$05$4fc/Vjv8BUtLGupGg1N0DO5fQmoy/vLx7Xot1AFJYD9uUO8t5VFWi", "", "pw", false},
		{"bcrypt of 80 bytes", "$2b$05$offyRetGlRJ4DnkBTr4uBuMhvsfp9C462L9Ubof6hkkxKrdOiZ4G.", "", strings.Repeat("x", 80), true},
		{"bcrypt looks at 72 bytes", "$2b$05$offyRetGlRJ4DnkBTr4uBuMhvsfp9C462L9Ubof6hkkxKrdOiZ4G.", "", strings.Repeat("x", 72) + "y", true},
		{"bcrypt looks at 72 bytes, not fewer", "$2b$05$offyRetGlRJ4DnkBTr4uBuMhvsfp9C462L9Ubof6hkkxKrdOiZ4G.", "", strings.Repeat("x", 71) + "y", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, outdated := verify(t, New(Options{Cost: Cost{Memory: 512, Passes: 1, Threads: 1}, Pepper: tc.pepper}), tc.hash, tc.password)
			if ok != tc.want || !outdated {
				t.Errorf("ok %v, outdated %v; want %v, true", ok, outdated, tc.want)
			}
		})
	}
}

func TestHashesThatAreNone(t *testing.T) {
	h := New(Options{Cost: cheap})
	for _, hash := range []string{
		"x", "$argon2id$", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA",
		"$argon2id$v=18$m=64,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA",
		"$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA",
		"$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA",
		"$argon2id$v=19$m=64,t=1,p=0$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$",
		"$argon2id$v=19$m=64,t=1,p=1$%%%$c29tZXNhbHRzb21lc2FsdA",
	} {
		if ok, _, err := h.Verify(t.Context(), hash, "x"); ok || err == nil {
			t.Errorf("%s: ok %v, %v", hash, ok, err)
		}
	}
	if ok, _, err := h.Verify(t.Context(), "$2b$nonsense", "x"); ok || err != nil {
		t.Errorf("bad bcrypt: ok %v, %v", ok, err)
	}
}

// A storm of logins waits in line, and those who do not fit into the line are
// told to come back.
func TestStormIsBounded(t *testing.T) {
	const parallel, queue, people = 2, 10, 100
	h := New(Options{Cost: Cost{Memory: 4096, Passes: 1, Threads: 1}, Parallel: parallel, Queue: queue})
	var done, refused atomic.Int64
	var all sync.WaitGroup
	// Nobody gets a turn before all have come.
	for range parallel {
		h.turns <- struct{}{}
	}
	h.waiting.Add(parallel)
	var arrived sync.WaitGroup
	arrived.Add(people - queue)
	for range people {
		all.Go(func() {
			_, _, err := h.Verify(t.Context(), "", "x")
			if e, ok := errors.AsType[*mxerr.Error](err); ok && e.Code == mxerr.LimitExceeded && e.Fields["retry_after_ms"] == int64(2000) {
				refused.Add(1)
				arrived.Done()
			} else if err == nil {
				done.Add(1)
			}
		})
	}
	arrived.Wait()
	for range parallel {
		<-h.turns
	}
	h.waiting.Add(-parallel)
	all.Wait()
	if done.Load() != queue || refused.Load() != people-queue {
		t.Errorf("%d done, %d refused", done.Load(), refused.Load())
	}
	if h.waiting.Load() != 0 {
		t.Errorf("%d are still in line", h.waiting.Load())
	}
}

func TestWaitingEndsWithTheRequest(t *testing.T) {
	h := New(Options{Cost: cheap, Parallel: 1})
	h.turns <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := h.Hash(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-h.turns
	if _, err := h.Hash(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

// BenchmarkStorm shows what many logins at once cost in time and memory.
func BenchmarkStorm(b *testing.B) {
	h := New(Options{Queue: 1 << 20})
	var peak atomic.Uint64
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := h.Verify(b.Context(), "", "x"); err != nil {
				b.Error(err)
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			for old := peak.Load(); m.HeapSys-m.HeapReleased > old && !peak.CompareAndSwap(old, m.HeapSys-m.HeapReleased); old = peak.Load() {
			}
		}
	})
	b.ReportMetric(float64(peak.Load())/1e6, "MB")
}
