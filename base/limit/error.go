package limit

import (
	"time"

	"hearth/matrix/mxerr"
)

// Error is M_LIMIT_EXCEEDED, with the time after which to try again.
func Error(retry time.Duration) *mxerr.Error {
	e := mxerr.New(mxerr.LimitExceeded, "Too many requests")
	e.Fields = map[string]any{"retry_after_ms": max(retry.Milliseconds(), 1)}
	return e
}
