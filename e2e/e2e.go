// Package e2e starts whole servers for tests: the real binary, in a process of
// its own, with a configuration file as an operator would write it.
//
// It refuses to know what is inside a Hearth. Tests speak to the server by
// HTTP, TURN and signals only.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearth/api/spectest"
	"hearth/base/db/dbtest"
)

// Build compiles cmd/hearth, with the race detector if the test has it, and
// returns the path of the binary.
func Build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hearth")
	args := []string{"build", "-o", binary}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(t.Context(), "go", append(args, "hearth/cmd/hearth")...).CombinedOutput()
	if err != nil {
		t.Fatalf("go build hearth/cmd/hearth: %v\n%s", err, out)
	}
	return binary
}

// OnBoth runs f against a fresh server on SQLite and one on PostgreSQL.
func OnBoth(t *testing.T, f func(t *testing.T, h *Hearth)) {
	binary := Build(t)
	t.Run("sqlite", func(t *testing.T) { f(t, Start(t, binary, "")) })
	t.Run("postgres", func(t *testing.T) { f(t, Start(t, binary, dbtest.Postgres(t))) })
}

// Hearth is a server that runs.
type Hearth struct {
	URL  string // of its client-server API, without a slash at the end
	Data string // its data directory

	http                *http.Client
	binary, config, log string
	process             *exec.Cmd
	done                chan struct{} // closed when the process has ended
	exit                error         // set before done is closed
}

// Start runs the binary on an empty data directory and waits until clients can
// connect. database is "" for SQLite or a PostgreSQL URL. The server is stopped
// with the test, which fails if it does not end well.
func Start(t testing.TB, binary, database string) *Hearth {
	t.Helper()
	return StartIn(t, t.TempDir(), binary, database)
}

// StartIn is Start with a folder of the caller's for the server's data.
func StartIn(t testing.TB, data, binary, database string) *Hearth {
	t.Helper()
	dir := t.TempDir()
	h := &Hearth{Data: data, binary: binary, config: filepath.Join(dir, "hearth.toml"), log: filepath.Join(dir, "log")}
	// Many clients share the connections, so that a test does not run out of ports.
	h.http = &http.Client{Timeout: time.Minute, Transport: spectest.Transport(t, &http.Transport{MaxIdleConnsPerHost: 64})}
	t.Cleanup(h.http.CloseIdleConnections)
	listen := freeAddress(t)
	h.URL = "http://" + listen
	writeConfig(t, h.config, data, listen, database)
	t.Cleanup(func() {
		h.Stop(t)
		if t.Failed() {
			t.Logf("the server's log:\n%s", h.lastLog())
		}
	})
	h.Restart(t)
	return h
}

// Configure adds a file to the configuration, for the next start.
func (h *Hearth) Configure(t testing.TB, text string) {
	t.Helper()
	dir := filepath.Join(filepath.Dir(h.config), "conf.d")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "more.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Restart runs a server again that was stopped or killed.
func (h *Hearth) Restart(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(h.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	h.process = exec.Command(h.binary, "serve", "--config", h.config)
	h.process.Stdout, h.process.Stderr = log, log
	if err := h.process.Start(); err != nil {
		t.Fatal(err)
	}
	process, done := h.process, make(chan struct{})
	h.done = done
	go func() {
		h.exit = process.Wait()
		close(done)
	}()
	if err := h.ready(t.Context()); err != nil {
		h.Kill()
		t.Fatalf("the server does not answer: %v", err)
	}
}

// ready waits for the first answer to a client.
func (h *Hearth) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/_matrix/client/versions", nil)
		if err != nil {
			return err
		}
		res, err := h.http.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("GET /_matrix/client/versions: %s", res.Status)
			}
			return nil
		}
		select {
		case <-h.done:
			return fmt.Errorf("it ended: %w", h.exit)
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop ends the server with SIGTERM, as systemd does. A server that takes too
// long, met a data race or exits with an error fails the test. Stopping twice is
// fine.
func (h *Hearth) Stop(t testing.TB) {
	t.Helper()
	if h.process == nil || h.process.Process == nil {
		return
	}
	_ = h.process.Process.Signal(syscall.SIGTERM) // if it has ended already, done tells
	select {
	case <-h.done:
	case <-time.After(5 * time.Second):
		t.Error("the server still ran 5 s after SIGTERM")
		h.Kill()
		return
	}
	h.process = nil
	if h.exit != nil {
		t.Errorf("the server ended badly: %v", h.exit)
	}
}

// Kill ends the server as a power cut would.
func (h *Hearth) Kill() {
	_ = h.process.Process.Kill() // if it has ended already, done tells
	<-h.done
	h.process = nil
}

// lastLog is the end of what the server printed.
func (h *Hearth) lastLog() string {
	text, err := os.ReadFile(h.log)
	if errors.Is(err, os.ErrNotExist) {
		return "(none)"
	}
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-100):], "\n")
}
