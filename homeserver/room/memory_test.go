package room

import (
	"fmt"
	"testing"
)

// What is known of state keys is bounded; what was forgotten is looked up again.
func TestStateKeysAreBounded(t *testing.T) {
	k := newStateKeys()
	for i := range int64(maxStateKeys + 1) {
		key := Key{"m.x", fmt.Sprint(i)}
		k.put(key, i)
		k.putAbsent(key, i)
	}
	last := Key{"m.x", fmt.Sprint(maxStateKeys)}
	if len(k.nids) > maxStateKeys || len(k.names) > maxStateKeys || len(k.absent) > maxStateKeys || k.nid(last) != maxStateKeys || !k.isAbsent(last, maxStateKeys) {
		t.Errorf("%d and %d keys, %d absent", len(k.nids), len(k.names), len(k.absent))
	}
	if name, ok := k.name(maxStateKeys); !ok || name != last {
		t.Errorf("the last is called %v", name)
	}
}
