// Package password turns passwords into hashes and checks them. It bounds what
// that costs: a storm of logins waits in line and does not slow down messages.
//
// It knows no user and stores nothing.
package password

import (
	"context"
	"crypto/rand"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"hearth/base/limit"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"
)

// MaxLen is the longest password in bytes. Longer ones would only let a
// stranger make the server hash megabytes.
const MaxLen = 512

// Options say what a Hasher may use.
type Options struct {
	// Cost of new hashes; the zero value means Default.
	Cost Cost
	// Parallel is how many hashes may be computed at a time; 0 means one on
	// small machines and two on others, so that a core is always left.
	Parallel int
	// Queue is how many more may wait; 0 means a default. Those who come when
	// it is full get M_LIMIT_EXCEEDED.
	Queue int
	// Pepper is appended to passwords before they meet a bcrypt hash, as the
	// server did where such hashes come from.
	Pepper string
}

// Hasher makes and checks hashes, a bounded number at a time.
type Hasher struct {
	cost    Cost
	pepper  string
	turns   chan struct{}
	queue   int64
	waiting atomic.Int64
}

// New returns a Hasher.
func New(o Options) *Hasher {
	if o.Cost == (Cost{}) {
		o.Cost = Default
	}
	if o.Parallel == 0 {
		o.Parallel = min(max(runtime.GOMAXPROCS(0)/2, 1), 2)
	}
	if o.Queue == 0 {
		o.Queue = 256
	}
	return &Hasher{cost: o.Cost, pepper: o.Pepper, turns: make(chan struct{}, o.Parallel), queue: int64(o.Queue)}
}

// Hash returns a new hash of password in PHC format.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, saltLen)
	rand.Read(salt)
	return phc{cost: h.cost, salt: salt, key: h.cost.key(normalise(password), salt, keyLen)}.String(), nil
}

// Verify reports whether password is the one behind hash, and whether the hash
// is of an older or cheaper kind and should be replaced. An empty hash fits no password,
// and finding that out takes as long as a wrong password.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, outdated bool, err error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	if strings.HasPrefix(hash, "$2") {
		return h.bcrypt(hash, password), true, nil
	}
	p, err := parse(hash)
	if err != nil {
		h.cost.key(normalise(password), make([]byte, saltLen), keyLen)
		if hash == "" {
			err = nil
		}
		return false, false, err
	}
	return p.fits(normalise(password)), p.cost.below(h.cost), nil
}

// bcrypt checks a hash that was imported. Python's bcrypt, which made most of
// them, looks at 72 bytes and at no more.
func (h *Hasher) bcrypt(hash, password string) bool {
	p := append(normalise(password), h.pepper...)
	return bcrypt.CompareHashAndPassword([]byte(hash), p[:min(len(p), 72)]) == nil
}

// normalise lets an "é" be typed on any keyboard. Servers that hashes may come
// from did the same.
func normalise(password string) []byte { return norm.NFKC.Bytes([]byte(password)) }

// enter waits for a turn. The caller must leave.
func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	if h.waiting.Add(1) > h.queue+int64(cap(h.turns)) {
		h.waiting.Add(-1)
		return nil, limit.Error(2 * time.Second)
	}
	select {
	case h.turns <- struct{}{}:
		return func() {
			<-h.turns
			h.waiting.Add(-1)
		}, nil
	case <-ctx.Done():
		h.waiting.Add(-1)
		return nil, ctx.Err()
	}
}
