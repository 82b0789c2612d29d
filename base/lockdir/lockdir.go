// Package lockdir answers "who has it?" for the two things that only one
// process can have: the data directory and a port. Its errors are sentences for
// the operator.
//
// It refuses to know what is in the directory or what speaks on the port.
package lockdir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fileName is the lock in a data directory. The lock is the flock on it; the
// text inside is only for people and for the message.
const fileName = "LOCK"

// Lock is a held data directory.
type Lock struct{ f *os.File }

// InUseError says who holds a data directory.
type InUseError struct {
	Dir   string
	PID   int       // 0 if unknown
	Since time.Time // zero if unknown
}

func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = processName(e.PID) + " (pid " + strconv.Itoa(e.PID) + ")"
	}
	since := ""
	if !e.Since.IsZero() {
		since = " since " + e.Since.Local().Format("2006-01-02 15:04:05")
	}
	return fmt.Sprintf("data directory %s is in use by %s%s; stop that one, or write another storage.dir", e.Dir, who, since)
}

// Take makes dir if need be (readable by its owner only) and locks it. The
// error is *InUseError while another process, or this one, holds it. The lock
// ends with Release or with the process, so a crash leaves none behind.
func Take(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory cannot be made: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory cannot be used: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		return nil, inUse(dir, f)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("data directory %s cannot be locked: %w", dir, err)
	}
	if err := sign(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("data directory cannot be written: %w", err)
	}
	return &Lock{f}, nil
}

// Release gives the directory back.
func (l *Lock) Release() error { return l.f.Close() }

func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(f, "%d %s\n", os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	return err
}

// inUse reads the holder's signature; a file that is being written says less.
func inUse(dir string, f *os.File) *InUseError {
	e := &InUseError{Dir: dir}
	text, err := io.ReadAll(io.LimitReader(f, 100))
	if err != nil {
		return e
	}
	pid, since, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if n, err := strconv.Atoi(pid); err == nil {
		e.PID = n
	}
	if at, err := time.Parse(time.RFC3339, since); err == nil {
		e.Since = at
	}
	return e
}

// processName is what ps shows, or "a process".
func processName(pid int) string {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if name := strings.TrimSpace(string(comm)); err == nil && name != "" {
		return name
	}
	return "a process"
}
