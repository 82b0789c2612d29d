package faults

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hearth/e2e"
)

const (
	logins  = 200
	maxMore = 128 << 10 // KiB that a login storm may add to the server's memory
)

// TestLoginStorm: two hundred people log in at the same moment. Those who are
// there already talk on as if nothing was, and the memory that passwords need
// stays within bounds.
func TestLoginStorm(t *testing.T) {
	h := e2e.Start(t, e2e.Build(t), "")
	alice := h.Register(t, "alice")
	h.Register(t, "bob")
	room := makeRoom(t, alice)
	pid := child(t)
	before := memory(t, pid, "VmRSS")

	direct := &http.Client{Transport: &http.Transport{}}
	defer direct.CloseIdleConnections()
	var storm sync.WaitGroup
	var finished atomic.Int64
	begun := make(chan struct{}, logins)
	for range logins {
		storm.Go(func() {
			bob := e2e.NewClient(h.URL, direct)
			begun <- struct{}{}
			if err := bob.Login(t.Context(), "bob"); err != nil {
				t.Errorf("log in: %v", err)
			}
			finished.Add(1)
		})
	}
	for range logins {
		<-begun
	}
	s := &sender{user: alice, room: room}
	for n := range 20 {
		if err := s.send(t.Context(), n); err != nil {
			t.Errorf("message %d: %v", n, err)
		}
	}
	if n := finished.Load(); n == logins {
		t.Error("every login was done before twenty messages were: messages wait for passwords")
	}
	storm.Wait()
	if more := memory(t, pid, "VmHWM") - before; more > maxMore {
		t.Errorf("the storm took %d KiB, want at most %d", more, maxMore)
	} else {
		t.Logf("the storm took %d KiB", more)
	}
}

// child is the process of the server, which is the only one that this test has
// started and that still runs.
func child(t *testing.T) string {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(tasks) == 0 {
		t.Skip("only Linux tells how much memory a process has")
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if fields := strings.Fields(string(text)); err == nil && len(fields) > 0 {
			return fields[0]
		}
	}
	t.Fatal("the server has no process")
	return ""
}

// memory reads a line of /proc/<pid>/status, in KiB.
func memory(t *testing.T, pid, line string) (kib int) {
	t.Helper()
	f, err := os.Open(filepath.Join("/proc", pid, "status"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), line+":"); ok {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	t.Fatalf("%s is not in /proc/%s/status", line, pid)
	return 0
}
