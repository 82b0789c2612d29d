package httpx

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"hearth/matrix/mxerr"
)

// How long a client may take to send a body or to read an answer: a minute,
// and more for what is large, so that the slowest network that is of use gets
// through and one that only pretends to talk holds nothing.
const (
	patience     = time.Minute
	slowestBytes = 32 << 10 // per second
)

func timeFor(bytes int64) time.Duration {
	return patience + time.Duration(bytes/slowestBytes)*time.Second
}

// hurried is a body with a time by which it must be here.
type hurried struct {
	io.ReadCloser
	conn *http.ResponseController
}

// hurry gives the body of r until then. The deadline goes when the body has
// been read: the connection is watched on, for a client that hangs up.
func hurry(w http.ResponseWriter, r *http.Request, most int64) io.ReadCloser {
	if r.Body == nil || r.Body == http.NoBody {
		return http.NoBody
	}
	conn := http.NewResponseController(w)
	if conn.SetReadDeadline(time.Now().Add(timeFor(most))) != nil {
		return r.Body // not a network connection
	}
	return &hurried{r.Body, conn}
}

func (h *hurried) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = h.conn.SetReadDeadline(time.Time{}) // a connection that is gone needs none
	}
	return n, err
}

// Bounded is the body of a request, of at most so many bytes and for a fair time.
// Errors of reading it may be shown: M_TOO_LARGE, M_UNKNOWN with 400 or 408.
func Bounded(w http.ResponseWriter, r *http.Request, most int64) io.ReadCloser {
	return body{http.MaxBytesReader(w, hurry(w, r, most), most)}
}

// body is a body whose errors may be shown: that it does not arrive is the client's
// doing, whoever reads it here.
type body struct{ io.ReadCloser }

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	shown := &mxerr.Error{Code: mxerr.Unknown, Text: "The body could not be read", Status: http.StatusBadRequest, Cause: err}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		shown = &mxerr.Error{Code: mxerr.TooLarge, Text: "The body is too large", Cause: err}
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		shown.Text, shown.Status = "The body did not arrive in time", http.StatusRequestTimeout
	}
	return n, shown
}

// unhurried lets the handler take its time before it answers, whatever was set
// for the answer before on this connection.
func unhurried(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // recorders of tests have no deadlines
}

// hurryReader gives the client until then to read an answer.
func hurryReader(w http.ResponseWriter, bytes int) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeFor(int64(bytes)))) // as above
}
