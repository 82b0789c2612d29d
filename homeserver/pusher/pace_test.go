package pusher

import "testing"

// TestPushesArePaced: a pusher gets what a person can read, and always the newest.
func TestPushesArePaced(t *testing.T) {
	e := &Engine{paces: paces()}
	step := func(events int) (told int) {
		p := e.newPace()
		for i := range events {
			if p.enough(1) {
				break
			}
			if p.takes(1) {
				told++
			} else if i == 0 {
				t.Error("the newest is left out")
			}
		}
		if !p.takes(2) {
			t.Error("another pusher is left out")
		}
		return told
	}
	if n := step(60); n != 60 {
		t.Errorf("of a first burst %d are told", n)
	}
	if n := step(100); n < 40 || n > 50 {
		t.Errorf("of the next burst %d are told", n)
	}
	for range 10 {
		if n := step(100); n < 1 || n > 5 {
			t.Errorf("when it is too much, %d are told", n)
		}
	}
}
