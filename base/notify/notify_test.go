package notify

import (
	"sync"
	"testing"
)

func woken(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestAdvanceWakesThoseConcerned(t *testing.T) {
	h := NewHub(7)
	alice, bob := h.Listen("@alice:test"), h.Listen("@bob:test")
	defer bob.Close()
	alice.Watch(1)
	bob.Watch(2)
	a, cancel := alice.Wait()
	defer cancel()
	b, cancel := bob.Wait()
	defer cancel()

	h.Room(1)
	if woken(a) {
		t.Error("woken before the change can be seen")
	}
	h.Advance(8)
	if !woken(a) || woken(b) || h.Pos() != 8 {
		t.Error("the change of room 1 concerns alice, and only her")
	}
	h.User("@bob:test")
	h.Advance(9)
	if woken(a) || !woken(b) {
		t.Error("bob's change concerns bob, and only him")
	}
	h.WakeRoom(2)
	if woken(a) || !woken(b) {
		t.Error("typing in room 2 concerns bob, at once")
	}
	alice.Unwatch(1)
	h.Room(1)
	h.Advance(10)
	if woken(a) {
		t.Error("alice has left room 1")
	}
	alice.Close()
	if !woken(a) {
		t.Error("who waits on a closed listener must learn it")
	}
}

// Somebody who begins to listen between a commit and the moment it can be seen
// has looked too early, and must be woken.
func TestLateListenerIsWoken(t *testing.T) {
	h := NewHub(1)
	h.Room(5)
	h.User("@carol:test")
	late := h.Listen("@dave:test")
	late.Watch(5)
	c, cancel := late.Wait()
	defer cancel()
	carol := h.Listen("@carol:test")
	d, cancel := carol.Wait()
	defer cancel()
	h.Advance(2)
	if !woken(c) || !woken(d) {
		t.Error("a late listener sleeps through the change")
	}
	h.Advance(3)
	if woken(c) || woken(d) {
		t.Error("woken for nothing")
	}
}

// Listeners come and go while positions advance; the race detector watches.
func TestListenersComeAndGo(t *testing.T) {
	h := NewHub(0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				l := h.Listen("@alice:test")
				l.Watch(1)
				l.Close()
			}
		})
	}
	for pos := range int64(400) {
		if pos%2 == 0 {
			h.Room(1)
		}
		h.Advance(pos + 1)
	}
	wg.Wait()
}

// What is for one device wakes no other, unless there is more.
func TestDeviceIsWokenAlone(t *testing.T) {
	h := NewHub(1)
	bob := h.Listen("@bob:test")
	defer bob.Close()
	phone, cancel := bob.WaitFor("PHONE")
	defer cancel()
	tablet, cancel := bob.WaitFor("TABLET")
	defer cancel()
	anybody, cancel := bob.Wait()
	defer cancel()

	h.Device("@bob:test", "PHONE")
	h.Advance(2)
	if !woken(phone) || woken(tablet) || woken(anybody) {
		t.Error("only the phone is concerned")
	}
	h.Device("@bob:test", "PHONE")
	h.Device("@bob:test", "TABLET")
	h.Advance(3)
	if !woken(phone) || !woken(tablet) || woken(anybody) {
		t.Error("the phone and the tablet are concerned")
	}
	for _, first := range []string{"the device", "the user"} {
		if first == "the user" {
			h.User("@bob:test")
		}
		h.Device("@bob:test", "PHONE")
		h.User("@bob:test")
		h.Advance(4)
		if !woken(phone) || !woken(tablet) || !woken(anybody) {
			t.Errorf("all are concerned, though %s was noted first", first)
		}
	}
}
