package fedclient

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// How slow a download may be: it has so long, and longer the more has come.
const (
	patience     = 30 * time.Second
	slowestBytes = 32 << 10 // per second
)

// ErrTooLarge means that a file has more bytes than are wanted.
var ErrTooLarge = errors.New("the file is too large")

var errSlow = errors.New("the download is too slow")

// steady reads a body that must keep coming and must end. It closes the body when
// it is too slow, so that a Read that waits returns.
type steady struct {
	body  io.ReadCloser
	left  int64 // bytes that may come
	began time.Time
	total int64
	timer *time.Timer

	mu   sync.Mutex
	slow bool
}

func newSteady(body io.ReadCloser, most int64) *steady {
	s := &steady{body: body, left: most, began: time.Now()}
	s.timer = time.AfterFunc(patience, func() {
		s.mu.Lock()
		s.slow = true
		s.mu.Unlock()
		_ = s.body.Close() // Read says what is wrong
	})
	return s
}

func (s *steady) Read(p []byte) (int, error) {
	if s.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > s.left+1 { // one more tells what is too large from what fits
		p = p[:s.left+1]
	}
	n, err := s.body.Read(p)
	s.left -= int64(n)
	s.total += int64(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.slow:
		return n, errSlow
	case s.left < 0:
		return n, ErrTooLarge
	}
	s.timer.Reset(time.Until(s.began.Add(patience + time.Duration(s.total/slowestBytes)*time.Second)))
	return n, err
}

// allow says how much more may come.
func (s *steady) allow(most int64) { s.left = most }

func (s *steady) Close() error {
	s.timer.Stop()
	if err := s.body.Close(); err != nil {
		return fmt.Errorf("download: %w", err)
	}
	return nil
}
