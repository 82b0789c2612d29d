package contain

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func TestPanicsAreErrors(t *testing.T) {
	n, err := Value(func() (int, error) { panic("broken") })
	p, ok := errors.AsType[*PanicError](err)
	if n != 0 || !ok || p.Value != "broken" || !strings.Contains(err.Error(), "TestPanicsAreErrors") {
		t.Errorf("%d, %v", n, err)
	}
	refused := errors.New("refused")
	if n, err := Value(func() (int, error) { return 3, refused }); n != 3 || err != refused {
		t.Errorf("%d, %v", n, err)
	}
	if err := Call(func() error { return nil }); err != nil {
		t.Error(err)
	}
}

// TestWorkGoesOn after a panic, and ends with its context also while it rests.
func TestWorkGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var done sync.WaitGroup
		tries := 0
		Work(t.Context(), &done, slog.New(slog.NewTextHandler(&log, nil)), "counting", func(context.Context) {
			if tries++; tries < 3 {
				panic(tries)
			}
		})
		done.Wait()
		if tries != 3 || strings.Count(log.String(), "work=counting") != 2 {
			t.Errorf("%d tries, log:\n%s", tries, log.String())
		}

		ctx, stop := context.WithCancel(t.Context())
		Work(ctx, &done, slog.New(slog.DiscardHandler), "failing", func(context.Context) { panic("always") })
		synctest.Wait()
		stop()
		done.Wait()
	})
}
