package fedclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// File is a file of another server as it comes in. The reader closes Content.
type File struct {
	Type, Name string // as that server says, maybe ""
	Content    io.ReadCloser
}

const (
	// maxParts bounds what stands before a file, in bytes.
	maxParts = 64 << 10
	// maxMediaRedirects bounds the places that a file is said to be at in turn.
	maxMediaRedirects = 5
)

// Media fetches a file of at most so many bytes, for whose upload the other server
// waits for a time (server-server-api/#content-repository). Errors, also those of
// reading it, may be shown to clients: M_NOT_FOUND, M_NOT_YET_UPLOADED,
// M_LIMIT_EXCEEDED, M_TOO_LARGE and M_UNKNOWN, the last two with the status 502.
func (c *Client) Media(ctx context.Context, server mxid.ServerName, id string, wait time.Duration, most int64) (*File, error) {
	f, err := c.media(ctx, server, id, wait, most)
	if err != nil {
		return nil, forClients(server, err)
	}
	f.Content = &told{f.Content, server}
	return f, nil
}

// told is a file whose errors may be shown.
type told struct {
	io.ReadCloser
	server mxid.ServerName
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = forClients(t.server, err)
	}
	return n, err
}

// forClients is what clients are told of a file that cannot be had.
func forClients(server mxid.ServerName, err error) error {
	e := &mxerr.Error{Code: mxerr.Unknown, Text: "The file cannot be had from " + string(server) + " now", Status: http.StatusBadGateway, Cause: err}
	refused, ok := errors.AsType[*RefusalError](err)
	switch {
	case errors.Is(err, ErrTooLarge), ok && refused.Code == mxerr.TooLarge:
		e.Code, e.Text = mxerr.TooLarge, "The file is larger than this server takes from others"
	case ok && refused.Code == mxerr.NotYetUploaded:
		e.Code, e.Text, e.Status = mxerr.NotYetUploaded, "The file has not been uploaded yet", http.StatusGatewayTimeout
	case ok && refused.Status == http.StatusTooManyRequests:
		e.Code, e.Text, e.Status = mxerr.LimitExceeded, "The other server wants fewer requests", http.StatusTooManyRequests
		e.Fields = map[string]any{"retry_after_ms": max(refused.Retry, time.Second).Milliseconds()}
	case ok && refused.Status == http.StatusNotFound:
		e.Code, e.Text, e.Status = mxerr.NotFound, "There is no such file", http.StatusNotFound
	}
	return e
}

func (c *Client) media(ctx context.Context, server mxid.ServerName, id string, wait time.Duration, most int64) (*File, error) {
	ms := "timeout_ms=" + strconv.FormatInt(wait.Milliseconds(), 10)
	r := Request{To: server, Path: "/_matrix/federation/v1/media/download/" + url.PathEscape(id) + "?" + ms, Wait: wait, Bulk: true}
	res, err := c.Do(ctx, r)
	if err == nil {
		return c.parts(ctx, res, most)
	}
	refused, ok := errors.AsType[*RefusalError](err)
	if !ok || !refused.Unknown() {
		return nil, err
	}
	// A server from before files were for those only who say who they are.
	r.Unsigned = true
	r.Path = "/_matrix/media/v3/download/" + url.PathEscape(string(server)) + "/" + url.PathEscape(id) + "?allow_remote=false&" + ms
	if res, err = c.Do(ctx, r); err != nil {
		return nil, err
	}
	return whole(res, most)
}

// whole is the file that an answer consists of.
func whole(res *http.Response, most int64) (*File, error) {
	if res.ContentLength > most {
		return nil, errors.Join(ErrTooLarge, res.Body.Close())
	}
	return &File{
		Type: res.Header.Get("Content-Type"), Name: fileName(res.Header.Get("Content-Disposition")), Content: newSteady(res.Body, most),
	}, nil
}

// fileName is the name in a Content-Disposition header, "" for none.
func fileName(disposition string) string {
	_, params, err := mime.ParseMediaType(disposition)
	if err != nil {
		return ""
	}
	return params["filename"]
}

// parts takes the file out of an answer of two parts.
func (c *Client) parts(ctx context.Context, res *http.Response, most int64) (*File, error) {
	in := newSteady(res.Body, maxParts)
	typ, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || typ != "multipart/mixed" || params["boundary"] == "" {
		return nil, errors.Join(errors.New("the answer does not have two parts"), in.Close())
	}
	parts := multipart.NewReader(in, params["boundary"])
	about, err := parts.NextRawPart()
	if err == nil {
		_, err = io.Copy(io.Discard, about)
	}
	var file *multipart.Part
	if err == nil {
		file, err = parts.NextRawPart()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the answer does not have two parts: %w", err), in.Close())
	}
	if at := file.Header.Get("Location"); at != "" {
		if err := in.Close(); err != nil {
			return nil, err
		}
		return c.elsewhere(ctx, at, most)
	}
	// The reader reads on a little, and the last boundary is no part of the file.
	in.allow(most + maxParts)
	return &File{
		Type: file.Header.Get("Content-Type"), Name: fileName(file.Header.Get("Content-Disposition")),
		Content: &part{file, in, most},
	}, nil
}

// part is the second part of an answer.
type part struct {
	file io.Reader
	in   *steady
	left int64
}

func (p *part) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	if p.left -= int64(n); p.left < 0 {
		err = ErrTooLarge
	}
	return n, err
}

func (p *part) Close() error { return p.in.Close() }

// elsewhere fetches a file from where a server says that it is. Whoever that is
// does not learn who asks.
func (c *Client) elsewhere(ctx context.Context, at string, most int64) (*File, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("the file is said to be at %s", strconv.Quote(strings.ToValidUTF8(at, "?")))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(context.Canceled) })
	late := time.AfterFunc(answerTimeout, func() { cancel(errLate) })
	done := func() {
		stop()
		late.Stop()
		cancel(nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		done()
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	res, err := c.web.Do(req)
	if err != nil {
		done()
		return nil, err
	}
	late.Stop()
	res.Body = &body{ReadCloser: res.Body, done: done}
	if res.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("the place of the file answers %s", res.Status), res.Body.Close())
	}
	return whole(res, most)
}

func secureRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxMediaRedirects {
		return errors.New("too many redirects")
	}
	if r.URL.Scheme != "https" || r.URL.User != nil {
		return errors.New("a redirect to a place without TLS")
	}
	return nil
}
