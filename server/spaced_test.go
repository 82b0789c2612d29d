package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

// spaced sends every JSON body with spaces and line breaks in it, as clients in
// Python and people with curl do; browsers and Go write none.
type spaced struct{ next http.RoundTripper }

func (s spaced) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.GetBody == nil || r.ContentLength <= 0 || r.ContentLength > 1<<20 || r.Header.Get("Content-Type") != "application/json" {
		return s.next.RoundTrip(r)
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var wide bytes.Buffer
	if json.Indent(&wide, text, "", "  ") != nil {
		return s.next.RoundTrip(r) // broken on purpose
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(&wide), int64(wide.Len()), nil
	return s.next.RoundTrip(r)
}

func (s spaced) CloseIdleConnections() {
	if c, ok := s.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
