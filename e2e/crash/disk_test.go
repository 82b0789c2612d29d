package crash

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearth/e2e"
)

// TestFullDisk: the disk fills up while people talk. What no longer fits is
// refused with an error, what was said can still be read, and when there is room
// again it goes on as if nothing had been.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a small disk")
	}
	disk := t.TempDir()
	if err := syscall.Mount("hearth-test", disk, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatalf("cannot make a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h := e2e.StartIn(t, filepath.Join(disk, "data"), e2e.Build(t), "")
	users, rooms := gather(t, h)
	alice := &sender{user: users[0], room: rooms[0], acks: make(chan struct{})}
	padding := strings.Repeat(" and so on", 2000)
	say := func(times int) {
		t.Helper()
		for range times {
			if err := alice.try(ctx, padding); err != nil {
				t.Fatalf("message %d: %v", len(alice.acked), err)
			}
		}
	}
	say(20)

	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	var refused error
	for n := 0; refused == nil && n < 2000; n++ {
		refused = alice.try(ctx, padding)
	}
	full(t, refused)
	const upload = "/_matrix/media/v3/upload"
	full(t, users[0].Do(ctx, http.MethodPost, upload, padding, nil))
	listener := &reader{user: users[1], heard: map[string][]message{}}
	listener.sync(ctx, t)
	compare(t, "/sync on a full disk", listener.heard[rooms[0]], []*sender{alice})
	compare(t, "history on a full disk", history(ctx, t, users[1], rooms[0]), []*sender{alice})

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	say(20)
	if err := users[0].Do(ctx, http.MethodPost, upload, padding, nil); err != nil {
		t.Errorf("an upload when there is room again: %v", err)
	}
	h.Kill()
	h.Restart(t)
	say(20)
	compare(t, "history", history(ctx, t, users[1], rooms[0]), []*sender{alice})
	listener.sync(ctx, t)
	compare(t, "/sync", listener.heard[rooms[0]], []*sender{alice})
	h.Stop(t)
	checkSQLite(t, h.Data)
}

// full wants the answer of a server whose disk is full.
func full(t *testing.T, err error) {
	t.Helper()
	if refusal := new(e2e.StatusError); !errors.As(err, &refusal) || refusal.Status != http.StatusInsufficientStorage || refusal.Code == "" {
		t.Fatalf("a full disk: %v, want a Matrix error with status 507", err)
	}
}

// fill writes to a file until nothing fits any more.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}
