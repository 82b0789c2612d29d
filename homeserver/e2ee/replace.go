package e2ee

import (
	"context"
	"sync"
	"time"

	"hearth/base/db"
	"hearth/matrix/mxerr"
)

// replacements are the users who may replace their cross-signing keys without
// more authentication, until a time: an administrator has seen to it that it is
// them. A restart takes that back.
type replacements struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// maxReplacements bounds the users who may at the same time.
const maxReplacements = 1000

// AllowReplacement lets a user replace their cross-signing keys for a while. The
// error is M_NOT_FOUND for users without keys.
func (e *Engine) AllowReplacement(ctx context.Context, user string, d time.Duration) (until time.Time, err error) {
	have, err := read(ctx, e.DB, func(tx *db.Tx) (crossKeys, error) { return crossKeysOf(tx, user) })
	if err != nil {
		return until, err
	}
	if have[master].Keys == nil {
		return until, mxerr.New(mxerr.NotFound, "User has no master cross-signing key")
	}
	until = time.Now().Add(d)
	e.replacements.mu.Lock()
	defer e.replacements.mu.Unlock()
	if e.replacements.until == nil || len(e.replacements.until) >= maxReplacements {
		e.replacements.until = map[string]time.Time{}
	}
	e.replacements.until[user] = until
	return until, nil
}

func (e *Engine) mayReplace(user string) bool {
	e.replacements.mu.Lock()
	defer e.replacements.mu.Unlock()
	return time.Now().Before(e.replacements.until[user])
}
