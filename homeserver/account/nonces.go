package account

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// nonces keep a request for registration by shared secret from being replayed.
type nonces struct {
	mu    sync.Mutex
	until map[string]time.Time
	order []string // oldest first; may name nonces that are used
}

const (
	nonceLife = time.Minute
	maxNonces = 10_000 // anybody may ask for one
)

func newNonces() *nonces { return &nonces{until: map[string]time.Time{}} }

// Nonce returns a text that TakeNonce takes once within a minute.
func (e *Engine) Nonce() string {
	var b [64]byte
	rand.Read(b[:])
	nonce := hex.EncodeToString(b[:])
	n := e.nonces
	n.mu.Lock()
	defer n.mu.Unlock()
	now := e.Now()
	for len(n.order) > 0 && (len(n.order) >= maxNonces || !now.Before(n.until[n.order[0]])) {
		delete(n.until, n.order[0])
		n.order = n.order[1:]
	}
	n.until[nonce] = now.Add(nonceLife)
	n.order = append(n.order, nonce)
	return nonce
}

// TakeNonce reports whether nonce is good, and makes it useless.
func (e *Engine) TakeNonce(nonce string) bool {
	n := e.nonces
	n.mu.Lock()
	defer n.mu.Unlock()
	until, ok := n.until[nonce]
	delete(n.until, nonce)
	return ok && e.Now().Before(until)
}
