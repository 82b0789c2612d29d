package fedclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
	"hearth/matrix/signing"
)

const (
	answerTimeout = 30 * time.Second // until the header is here
	maxRefusal    = 64 << 10         // bytes of an answer that is no success
	userAgent     = "Hearth"
)

// Request is what another server is asked.
type Request struct {
	To     mxid.ServerName
	Method string // "" for GET
	Path   string // escaped, with the query
	Body   []byte // JSON, nil for none
	// Wait is how much longer than usual the answer may take.
	Wait time.Duration
	// Unsigned requests say nothing of who asks.
	Unsigned bool
	// Bulk requests bring much, and keep no others waiting.
	Bulk bool
	// Now asks also a server that did not answer of late.
	Now bool
}

// RefusalError is an answer that is no success.
type RefusalError struct {
	Server mxid.ServerName
	Status int
	Code   mxerr.Code // "" if it is not of the form that Matrix wants
	Text   string
	Retry  time.Duration // when to ask again, 0 if it does not say
}

func (e *RefusalError) Error() string {
	return fmt.Sprintf("%s answers %d %s: %s", e.Server, e.Status, e.Code, e.Text)
}

// Unknown reports whether the server does not have what was asked at all
// (server-server-api/#unsupported-endpoints).
func (e *RefusalError) Unknown() bool {
	switch e.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return e.Code == mxerr.Unrecognized || e.Code == ""
	case http.StatusBadRequest:
		return e.Code == mxerr.Unrecognized // of old servers
	}
	return false
}

// Do asks a server. The caller closes the body of the answer, which is a success.
// Errors: *RefusalError, *AwayError for a server that did not answer of late,
// *BusyError, others for servers that cannot be reached.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.To == c.cfg.Server {
		return nil, errors.New("a server does not ask itself")
	}
	d, leave, err := c.enter(ctx, r)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	res, err := c.ask(ctx, r)
	c.learn(ctx, r.To, d, began, err)
	if err != nil {
		leave()
		return nil, err
	}
	res.Body = &body{ReadCloser: res.Body, done: leave}
	return res, nil
}

// body is an answer that has something done when it is closed first.
type body struct {
	io.ReadCloser
	once sync.Once
	done func()
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.done)
	return err
}

// ask makes a request and waits for the header of the answer.
func (c *Client) ask(ctx context.Context, r Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(net.ErrClosed) })
	late := time.AfterFunc(answerTimeout+r.Wait, func() { cancel(errLate) })
	done := func() {
		stop()
		late.Stop()
		cancel(nil)
	}
	res, err := c.send(ctx, r)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		done()
		return nil, fmt.Errorf("%s: %w", r.To, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		defer done()
		return nil, refusal(r.To, res)
	}
	late.Stop()
	res.Body = &body{ReadCloser: res.Body, done: done}
	return res, nil
}

var errLate = errors.New("no answer in time")

func (c *Client) send(ctx context.Context, r Request) (*http.Response, error) {
	place, err := c.resolve(ctx, r.To)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(place.Dial[0])
	if err != nil {
		return nil, err
	}
	u, err := url.Parse("https://" + net.JoinHostPort(place.Name, port) + r.Path)
	if err != nil {
		return nil, err
	}
	var content io.Reader
	if r.Body != nil {
		content = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(context.WithValue(ctx, placeKey{}, place), r.Method, u.String(), content)
	if err != nil {
		return nil, err
	}
	req.Host = place.Host
	req.Header.Set("User-Agent", userAgent)
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !r.Unsigned {
		signed := signing.Request{Method: r.Method, URI: u.RequestURI(), Origin: string(c.cfg.Server), Destination: string(r.To), Content: r.Body}
		header, err := signed.Sign(c.cfg.KeyID, c.cfg.Key)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", header)
	}
	return c.conns.RoundTrip(req)
}

// refusal reads an answer that is no success.
func refusal(server mxid.ServerName, res *http.Response) error {
	defer res.Body.Close()
	e := &RefusalError{Server: server, Status: res.StatusCode}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil {
		return fmt.Errorf("%s: %w", server, err)
	}
	if obj, err := canonjson.Canonical(nil, text, canonjson.Options{Numbers: canonjson.Free}); err == nil {
		code, _ := canonjson.GetString(obj, "errcode")
		e.Code = mxerr.Code(code)
		e.Text, _ = canonjson.GetString(obj, "error")
		if ms, ok := canonjson.GetInt(obj, "retry_after_ms"); ok && ms > 0 {
			e.Retry = time.Duration(min(ms, int64(lastAway/time.Millisecond))) * time.Millisecond
		}
	}
	if s, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 31); err == nil {
		e.Retry = min(time.Duration(s)*time.Second, lastAway)
	}
	return e
}
