package feed

import "testing"

// TestComingsForgetNothing: a room that has left the bounded memory counts as one
// where somebody may have come.
func TestComingsForgetNothing(t *testing.T) {
	c := newComings(10)
	if c.in(1) != 10 || c.newest() != 10 {
		t.Errorf("at first: %d, %d", c.in(1), c.newest())
	}
	for i := range int64(2*maxComings + 5) {
		c.note(i, 100+i)
		if len(c.last) > maxComings {
			t.Fatalf("%d rooms are remembered", len(c.last))
		}
	}
	for i := range int64(2*maxComings + 5) {
		if c.in(i) < 100+i {
			t.Fatalf("room %d changed at %d, remembered as %d", i, 100+i, c.in(i))
		}
	}
}
