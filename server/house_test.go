package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/api/spectest"
	"hearth/base/config"
	"hearth/base/db/dbtest"
	"hearth/e2e"
	"hearth/server"
)

// house is a server in this process, with the people who use it.
type house struct {
	server *server.Server
	url    string
	http   *http.Client
}

// onBoth runs f on both databases, at the same time as other tests: servers mostly
// wait for the disk.
func onBoth(t *testing.T, f func(t *testing.T, h *house)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { f(t, newHouse(t, "", nil)) })
	t.Run("postgres", func(t *testing.T) { f(t, newHouse(t, dbtest.Postgres(t), nil)) })
}

// manyAtOnce calls f with all numbers below n, some of them at a time.
func manyAtOnce(n int, f func(i int)) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	group.Wait()
}

// newHouse starts a server that takes everybody and counts nobody's requests,
// unless change, which may be nil, says something else. database is "" for
// SQLite. The server stops with the test.
func newHouse(t *testing.T, database string, change func(*config.Config)) *house {
	t.Helper()
	cfg := config.Default()
	cfg.ServerName = "example.test"
	cfg.Listen.HTTP = "127.0.0.1:0"
	cfg.Storage.Dir, cfg.Storage.Database = t.TempDir(), database
	cfg.Registration.Mode, cfg.Registration.Guests = "open", true
	cfg.Limits.Enabled = false
	if change != nil {
		change(cfg)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	srv, err := server.New(t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	var wire http.RoundTripper = &http.Transport{MaxIdleConnsPerHost: 256}
	if database == "" {
		wire = spaced{wire} // and without spaces on PostgreSQL
	}
	h := &house{server: srv, http: &http.Client{Timeout: time.Minute, Transport: spectest.Transport(t, wire)}}
	t.Cleanup(func() { h.stop(t) })
	if err := srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + srv.Addr()
	return h
}

// stop ends the server; it may be called twice.
func (h *house) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // t.Context is over when clean-up runs
	defer cancel()
	if err := h.server.Stop(ctx); err != nil {
		t.Error(err)
	}
	h.http.CloseIdleConnections()
}

// user opens an account.
func (h *house) user(t *testing.T, name string) *e2e.Client {
	t.Helper()
	c := e2e.NewClient(h.url, h.http)
	if err := c.Register(t.Context(), "user", name); err != nil {
		t.Fatalf("register %s: %v", name, err)
	}
	return c
}

// guest lets somebody in without an account.
func (h *house) guest(t *testing.T) *e2e.Client {
	t.Helper()
	c := e2e.NewClient(h.url, h.http)
	if err := c.Register(t.Context(), "guest", ""); err != nil {
		t.Fatalf("register a guest: %v", err)
	}
	return c
}

// room makes a room that the owner's friends are in.
func room(t *testing.T, owner *e2e.Client, friends ...*e2e.Client) string {
	t.Helper()
	var made struct {
		ID string `json:"room_id"`
	}
	if err := owner.Do(t.Context(), http.MethodPost, "/_matrix/client/v3/createRoom", map[string]any{"preset": "public_chat"}, &made); err != nil {
		t.Fatal(err)
	}
	for _, friend := range friends {
		if err := friend.Do(t.Context(), http.MethodPost, "/_matrix/client/v3/join/"+url.PathEscape(made.ID), struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return made.ID
}

// say sends a message and returns its id.
func say(ctx context.Context, who *e2e.Client, room, txn, text string) (string, error) {
	var sent struct {
		ID string `json:"event_id"`
	}
	path := fmt.Sprintf("/_matrix/client/v3/rooms/%s/send/m.room.message/%s", url.PathEscape(room), url.PathEscape(txn))
	err := who.Do(ctx, http.MethodPut, path, map[string]any{"msgtype": "m.text", "body": text}, &sent)
	return sent.ID, err
}
