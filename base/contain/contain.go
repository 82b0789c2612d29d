// Package contain keeps a panic to the piece of work in which it happened. A
// goroutine that panics ends the process, wherever it came from; one that was
// begun here does not.
package contain

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// pause is how long work rests that has panicked.
const pause = 10 * time.Second

// PanicError is a panic in the place of a result.
type PanicError struct {
	Value any // what was given to panic
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Value is what f returns, or a *PanicError.
func Value[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{p, debug.Stack()}
		}
	}()
	return f()
}

// Call is what f returns, or a *PanicError.
func Call(f func() error) error {
	_, err := Value(func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// Work runs f in a goroutine that done counts. If f panics, this is logged, and f
// begins anew after a pause, unless ctx is over.
func Work(ctx context.Context, done *sync.WaitGroup, log *slog.Logger, name string, f func(context.Context)) {
	once := func() error {
		f(ctx)
		return nil
	}
	done.Go(func() {
		for err := Call(once); err != nil; err = Call(once) {
			log.ErrorContext(ctx, "panic in the background", "work", name, "err", err)
			rest := time.NewTimer(pause)
			select {
			case <-rest.C:
			case <-ctx.Done():
				rest.Stop()
				return
			}
		}
	})
}
