package turn

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"
)

// sourceOf is whom an address is counted as: an IPv6 host has a /64 to itself.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}

// buckets limits requests that anybody could send in anybody's name: each
// costs us an answer, and the answer may hit a third party. A fixed table of
// token buckets is shared by hash, so a flood of invented sources cannot make
// it grow; the worst it does is make some others wait.
type buckets struct {
	rate  float64 // tokens per second; negative: no limit
	depth float64
	seed  maphash.Seed

	mu    sync.Mutex
	table [4096]bucket
}

type bucket struct {
	spent float64 // tokens missing at time at
	at    time.Time
}

// burst is how many seconds' worth of requests may come at once.
const burst = 10

func newBuckets(rate float64) *buckets {
	return &buckets{rate: rate, depth: math.Max(1, rate*burst), seed: maphash.MakeSeed()}
}

// take reports whether a may have one more answer now.
func (b *buckets) take(a netip.Addr) bool {
	if b.rate < 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.refill(a)
	if k.spent+1 > b.depth {
		return false
	}
	k.spent++
	return true
}

// refund gives back what take took.
func (b *buckets) refund(a netip.Addr) {
	if b.rate < 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.refill(a)
	k.spent = math.Max(0, k.spent-1)
}

func (b *buckets) refill(a netip.Addr) *bucket {
	k := &b.table[maphash.Comparable(b.seed, sourceOf(a))%uint64(len(b.table))]
	now := time.Now()
	k.spent = math.Max(0, k.spent-now.Sub(k.at).Seconds()*b.rate)
	k.at = now
	return k
}

// quota counts allocations. 0 is no limit.
type quota struct {
	perUser, total int

	mu    sync.Mutex
	users map[string]int
	all   int
}

func (q *quota) free(user string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fits(user)
}

func (q *quota) fits(user string) bool {
	return (q.perUser <= 0 || q.users[user] < q.perUser) && (q.total <= 0 || q.all < q.total)
}

func (q *quota) take(user string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.fits(user) {
		return false
	}
	q.users[user]++
	q.all++
	return true
}

func (q *quota) release(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all--
	if q.users[user]--; q.users[user] == 0 {
		delete(q.users, user)
	}
}
