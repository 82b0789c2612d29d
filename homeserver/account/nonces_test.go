package account

import (
	"testing"
	"time"

	"hearth/base/db"
)

// Of more nonces than are remembered the oldest are worth nothing.
func TestNoncesAreBounded(t *testing.T) {
	e := New(&db.DB{}, Options{ServerName: "example.test", Now: func() time.Time { return time.UnixMilli(1_800_000_000_000) }})
	first := e.Nonce()
	second := e.Nonce()
	for range maxNonces - 1 {
		e.Nonce()
	}
	if n := len(e.nonces.until); n != maxNonces || len(e.nonces.order) != maxNonces {
		t.Errorf("%d nonces are in memory", n)
	}
	if e.TakeNonce(first) || !e.TakeNonce(second) {
		t.Error("the first nonce is good, or the second is not")
	}
}
