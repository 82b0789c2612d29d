package appservice

import (
	"fmt"
	"testing"

	"hearth/base/store"
	"hearth/homeserver/receipt"
)

// TestBounds: what is remembered for a service that is not told does not grow.
func TestBounds(t *testing.T) {
	s := &Service{Registration: &Registration{URL: "http://x", Ephemeral: true, Encryption: true, Sender: "@bot:x"}, wake: make(chan struct{}, 1), cares: map[int64]care{}}
	e := &Engine{services: []*Service{s}}
	s.e = e
	for i := range 3 * maxFresh {
		e.noteTyping(int64(i))
		e.notePresence(fmt.Sprint(i))
		e.noteReceipt(store.Receipt{Kind: receipt.Read, At: int64(i)})
		e.Claimed("@bot:x", fmt.Sprint(i))
	}
	s.giveBack(s.take())
	for range 2 {
		f := s.take()
		s.giveBack(f)
		s.giveBack(f) // as if as much had come meanwhile
	}
	f := s.fresh
	if len(f.typing) != maxFresh || len(f.presence) != maxFresh || len(f.keys) != maxFresh || len(f.receipts) > maxFresh {
		t.Errorf("%d typing, %d presence, %d keys, %d receipts", len(f.typing), len(f.presence), len(f.keys), len(f.receipts))
	}
	if last := f.receipts[len(f.receipts)-1].At; last != 3*maxFresh-1 {
		t.Errorf("the last receipt is %d", last)
	}
	for i := range int64(maxCares + 10) {
		s.remember(i, care{})
	}
	if len(s.cares) > maxCares {
		t.Errorf("%d rooms", len(s.cares))
	}
}
