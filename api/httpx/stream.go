package httpx

import (
	"bufio"
	"net/http"
)

// Stream is a JSON answer that is written while it is made, because it may be
// larger than memory should hold. Nothing is sent before the first few
// kilobytes, so that small failures are still answered as such.
type Stream struct {
	w    http.ResponseWriter
	r    *http.Request
	buf  *bufio.Writer
	sent bool
}

// streamBuffer is how much is sent at a time, in bytes.
const streamBuffer = 64 << 10

// NewStream returns a Stream for the answer to r.
func NewStream(w http.ResponseWriter, r *http.Request) *Stream {
	s := &Stream{w: w, r: r}
	s.buf = bufio.NewWriterSize(sender{s}, streamBuffer)
	return s
}

// Write adds to the answer. It fails when the client has gone away or takes too
// long to read.
func (s *Stream) Write(p []byte) (int, error) { return s.buf.Write(p) }

// Close sends what is left with end behind it. With an error the answer is that
// error, if nothing was sent yet; else the connection breaks, for the client must
// not take half an answer for a whole one.
func (s *Stream) Close(end []byte, err error) {
	if err == nil {
		_, _ = s.buf.Write(end) // an error stays in s.buf
		_ = s.buf.Flush()       // the client may have gone away, which is its right
		return
	}
	if s.sent {
		panic(http.ErrAbortHandler)
	}
	Fail(s.w, s.r, err)
}

// sender is what a Stream's buffer empties into.
type sender struct{ *Stream }

func (s sender) Write(p []byte) (int, error) {
	if !s.sent {
		s.sent = true
		s.w.Header().Set("Content-Type", "application/json")
	}
	hurryReader(s.w, len(p))
	return s.w.Write(p)
}
