package room

import (
	"fmt"
	"testing"

	"hearth/base/store"
)

// TestJoinedHoldsForOneState: whoever was joined in one state of a room is asked
// for again in the next.
func TestJoinedHoldsForOneState(t *testing.T) {
	var j joined
	j.put(7, store.Member{User: "@bob:test", Room: 1, Membership: store.Join, Event: 5})
	if m, ok := j.get(1, 7, "@bob:test"); !ok || m.Event != 5 {
		t.Errorf("in the same state: %+v, %v", m, ok)
	}
	for _, state := range []int64{6, 8} {
		if _, ok := j.get(1, state, "@bob:test"); ok {
			t.Errorf("bob is taken for joined in state %d, of which nothing is known", state)
		}
	}
	j.put(8, store.Member{User: "@bob:test", Room: 1, Membership: store.Leave})
	if _, ok := j.get(1, 8, "@bob:test"); ok {
		t.Error("bob left, and is remembered")
	}
}

func TestJoinedIsBounded(t *testing.T) {
	var j joined
	for i := range maxJoined + 10 {
		j.put(1, store.Member{User: fmt.Sprint(i), Room: 1, Membership: store.Join})
	}
	if len(j.all) > maxJoined {
		t.Errorf("%d members in memory, bound %d", len(j.all), maxJoined)
	}
}
