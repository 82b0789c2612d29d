// Package limit counts how often somebody does something, and says when it is
// too often. It knows neither users nor endpoints: a bucket is a name with a
// rate, a key is any string.
package limit

import (
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Rate is how often something may be done: Burst times at once, and Every one
// time after that.
type Rate struct {
	Every time.Duration
	Burst int
}

// Limits holds one bucket per (name, key). A nil *Limits allows everything.
type Limits struct {
	rates map[string]Rate
	now   func() time.Time

	mu    sync.Mutex
	start time.Time
	// full holds, per bucket, the time at which it will be full again, since
	// start. One that is full is the same as one that is not there.
	full map[bucket]time.Duration
	// sweepAt is how many buckets there may be before those that are full are
	// thrown away.
	sweepAt int
}

type bucket struct{ name, key string }

// maxBuckets bounds memory to some megabytes, whoever knocks from however many
// addresses.
const maxBuckets = 50_000

// New returns limits of the given rates, by bucket name.
func New(rates map[string]Rate) *Limits {
	return &Limits{rates: rates, now: time.Now, start: time.Now(), full: map[bucket]time.Duration{}, sweepAt: maxBuckets / 16}
}

// Has reports whether there is a bucket of that name.
func (l *Limits) Has(name string) bool {
	_, ok := l.rates[name]
	return ok
}

// Allow takes one from the bucket name of key. If it is empty, ok is false and
// the same may be tried again after retry. A name without a rate has no limit.
func (l *Limits) Allow(name, key string) (retry time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	rate, limited := l.rates[name]
	if !limited {
		return 0, true
	}
	return l.AllowAt(name, key, rate)
}

// AllowAt is Allow at another rate than the bucket's own. A rate of nothing is no
// limit.
func (l *Limits) AllowAt(name, key string, rate Rate) (retry time.Duration, ok bool) {
	if l == nil || rate == (Rate{}) {
		return 0, true
	}
	b := bucket{name, person(key)}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Sub(l.start)
	full := max(l.full[b], now) + rate.Every
	if over := full - now - time.Duration(rate.Burst)*rate.Every; over > 0 {
		return over, false
	}
	if len(l.full) >= l.sweepAt {
		l.sweep(now)
	}
	l.full[b] = full
	return 0, true
}

// Refund puts back what Allow took, for limits on failures only: they take
// before they try, so that many tries at once do not slip through.
func (l *Limits) Refund(name, key string) {
	if l == nil {
		return
	}
	b := bucket{name, person(key)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if full, ok := l.full[b]; ok {
		l.full[b] = full - l.rates[name].Every
	}
}

// sweep forgets full buckets, and if there are still too many, some others:
// being generous to a few beats growing without bound.
func (l *Limits) sweep(now time.Duration) {
	for b, full := range l.full {
		if full <= now {
			delete(l.full, b)
		}
	}
	for b := range l.full {
		if len(l.full) < maxBuckets*3/4 {
			break
		}
		delete(l.full, b)
	}
	l.sweepAt = min(max(2*len(l.full), maxBuckets/16), maxBuckets)
}

// person cuts IPv6 addresses to the 64 bits that one household has: the rest
// it can choose anew for every request.
func person(key string) string {
	if !strings.Contains(key, ":") || strings.HasPrefix(key, "@") {
		return key
	}
	a, err := netip.ParseAddr(key)
	if err != nil || !a.Is6() || a.Is4In6() {
		return key
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return key
	}
	return p.String()
}
