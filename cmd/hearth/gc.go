package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// gcPercent trades a little CPU for memory: small machines are where most
	// Hearths live. GOGC in the environment takes precedence.
	gcPercent = 60
	// A server with much to do and little in memory would collect garbage all the
	// time. While it does so more than hurried times a second, it may leave this
	// much garbage, in bytes.
	hurried  = 3
	headroom = 32 << 20
)

// tuneGC watches how often garbage is collected, until ctx ends.
func tuneGC(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	samples := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	last, now := samples[0].Value.Uint64(), gcPercent
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(samples)
		cycles, live := samples[0].Value.Uint64()-last, samples[1].Value.Uint64()
		last = samples[0].Value.Uint64()
		// In a hurry the next collections are fewer, and it is one still.
		want := gcPercent
		if cycles >= hurried || now > gcPercent && cycles > 0 {
			want = max(gcPercent, int(headroom*100/max(live, 1<<20)))
		}
		if want != now {
			debug.SetGCPercent(want)
			now = want
		}
	}
}
