package personal

import (
	"context"
	"errors"

	"hearth/base/db"
	"hearth/matrix/canonjson"
)

// Ignored returns the people whose events user does not want to see
// (client-server-api/#ignoring-users). The map is shared and must not be
// changed.
func (e *Engine) Ignored(ctx context.Context, user string) (map[string]bool, error) {
	e.mu.RLock()
	set, ok := e.ignored[user]
	before := e.changes
	e.mu.RUnlock()
	if ok {
		return set, nil
	}
	row, err := e.row(ctx, user, 0, TypeIgnored)
	if err != nil && !errors.Is(err, db.ErrNoRow) {
		return nil, err
	}
	set = ignoredIn(row.Content)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.changes != before {
		return set, nil // it may be old already
	}
	if len(e.ignored) >= maxCached {
		clear(e.ignored)
	}
	e.ignored[user] = set
	return set, nil
}

// ignoredIn reads the content of m.ignored_user_list; nil for one of the wrong
// shape, which any client may store.
func ignoredIn(content []byte) map[string]bool {
	list, ok := canonjson.Get(content, "ignored_users")
	if !ok || !canonjson.IsObject(list) {
		return nil
	}
	set := map[string]bool{}
	canonjson.Each(list, func(key, _ []byte) bool {
		set[canonjson.Key(key)] = true
		return true
	})
	return set
}
