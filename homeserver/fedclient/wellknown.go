package fedclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"hearth/base/contain"
	"hearth/matrix/mxid"

	"golang.org/x/sync/singleflight"
)

const (
	wellKnownTimeout   = 10 * time.Second
	wellKnownSize      = 50 << 10 // bytes
	wellKnownRedirects = 8
	maxWellKnown       = 10_000 // hosts that are remembered

	// How long an answer holds if the host does not say, and whatever it says.
	usualWellKnown = 24 * time.Hour
	leastWellKnown = 5 * time.Minute
	mostWellKnown  = 48 * time.Hour
	// How long a failure holds, doubled each time.
	firstFailure = time.Minute
	lastFailure  = time.Hour
)

// wellKnown knows which hosts say that their server is elsewhere
// (server-server-api/#getwell-knownmatrixserver).
type wellKnown struct {
	life   context.Context // ends with the client
	http   *http.Client
	flight singleflight.Group

	mu    sync.Mutex
	hosts map[string]delegation
}

type delegation struct {
	to     mxid.ServerName // "" for none
	until  time.Time
	failed int // times in a row
}

func newWellKnown(life context.Context, web http.RoundTripper) *wellKnown {
	return &wellKnown{
		life: life, hosts: map[string]delegation{},
		http: &http.Client{
			Timeout: wellKnownTimeout, Transport: web,
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) > wellKnownRedirects {
					return errors.New("too many redirects")
				}
				if r.URL.Scheme != "https" {
					return errors.New("a redirect to a place without TLS")
				}
				return nil
			},
		},
	}
}

// delegate returns the server that a host names in its place, "" for none.
func (w *wellKnown) delegate(ctx context.Context, host string) mxid.ServerName {
	w.mu.Lock()
	d, ok := w.hosts[host]
	w.mu.Unlock()
	if ok && time.Now().Before(d.until) {
		return d.to
	}
	// Who asks first may go away: others wait for the same answer.
	ch := w.flight.DoChan(host, func() (any, error) {
		return contain.Value(func() (delegation, error) { return w.renew(host, d), nil })
	})
	select {
	case res := <-ch:
		return res.Val.(delegation).to
	case <-ctx.Done():
		return ""
	}
}

// renew asks a host and remembers what it says.
func (w *wellKnown) renew(host string, old delegation) delegation {
	to, keep, err := w.ask(host)
	d := delegation{to: to}
	if err != nil {
		d.to, d.failed = "", old.failed+1
		keep = min(firstFailure<<min(old.failed, 10), lastFailure)
	}
	d.until = time.Now().Add(keep)
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.hosts[host]; !known && len(w.hosts) >= maxWellKnown {
		for other := range w.hosts { // any: who is needed is asked again
			delete(w.hosts, other)
			break
		}
	}
	w.hosts[host] = d
	return d
}

func (w *wellKnown) ask(host string) (to mxid.ServerName, keep time.Duration, err error) {
	req, err := http.NewRequestWithContext(w.life, http.MethodGet, "https://"+host+"/.well-known/matrix/server", nil)
	if err != nil {
		return "", 0, err
	}
	res, err := w.http.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("the host answers %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, wellKnownSize+1))
	if err != nil {
		return "", 0, err
	}
	if len(body) > wellKnownSize {
		return "", 0, errors.New("the answer is too large")
	}
	var says struct {
		Server string `json:"m.server"`
	}
	if err := json.Unmarshal(body, &says); err != nil {
		return "", 0, err
	}
	if to, err = mxid.ParseServerName(says.Server); err == nil {
		_, _, err = written(to)
	}
	return to, keepFor(res.Header, time.Now()), err
}

// keepFor is how long an answer holds (RFC 9111, section 4.2.1), within bounds.
func keepFor(h http.Header, now time.Time) time.Duration {
	keep := usualWellKnown
	if at, err := http.ParseTime(h.Get("Expires")); err == nil {
		keep = at.Sub(now)
	}
	for part := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return leastWellKnown
		case "max-age":
			if s, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				keep = time.Duration(s) * time.Second
			}
		}
	}
	return min(max(keep, leastWellKnown), mostWellKnown)
}
