package room

import (
	"context"

	"hearth/base/trie"
)

// Replaced returns the number of the state event whose place ev took, 0 if the
// piece of state is new or ev is not a state event.
func (e *Engine) Replaced(ctx context.Context, ev *Event) (int64, error) {
	if ev.SK == 0 || ev.State == trie.Empty {
		return 0, nil
	}
	return trie.Get(readSource{ctx, e}, ev.State, ev.SK)
}
