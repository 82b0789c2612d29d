package server_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"hearth/base/config"
	"hearth/base/db/dbtest"
	"hearth/server"
)

// complaints collects what a server logs as an error.
type complaints struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
}

func (c *complaints) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}

func (c *complaints) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
	return nil
}

func (c *complaints) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *complaints) WithGroup(string) slog.Handler      { return c }

// TestQuickStop: an operator who starts a server and thinks better of it reads
// of no errors.
func TestQuickStop(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, database string) {
		cfg := config.Default()
		cfg.ServerName = "example.test"
		cfg.Listen.HTTP = "127.0.0.1:0"
		cfg.Storage.Dir, cfg.Storage.Database = t.TempDir(), database
		for range 20 {
			said := &complaints{Handler: slog.DiscardHandler}
			srv, err := server.New(t.Context(), cfg, slog.New(said))
			if err != nil {
				t.Fatal(err)
			}
			if err := srv.Start(t.Context()); err != nil {
				t.Error(err)
			}
			if err := srv.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			for _, line := range said.lines {
				t.Errorf("logged: %s", line)
			}
			if t.Failed() {
				return
			}
		}
	})
}
