package fedclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"hearth/matrix/mxid"
)

const (
	maxDestinations = 10_000 // servers that are remembered
	// How many requests one server has to bear at a time, small and bulky ones, and
	// how many wait for their turn.
	maxSmall   = 16
	maxBulk    = 6
	maxWaiting = 256

	// How long a server is left alone that did not answer, doubled each time.
	firstAway = 500 * time.Millisecond
	lastAway  = time.Hour
)

// destination is what is known of another server. The client's mutex guards all
// but the channels.
type destination struct {
	small, bulk chan struct{}

	busy    int       // requests that wait or are under way
	failed  int       // times in a row
	since   time.Time // of the first of them
	failing time.Time // of the last
	away    time.Time // until when it is left alone
	used    time.Time
}

// heard notes that the server is there.
func (d *destination) heard() {
	d.failed, d.since, d.failing, d.away = 0, time.Time{}, time.Time{}, time.Time{}
}

// AwayError means that a server did not answer of late and is left alone.
type AwayError struct {
	Server mxid.ServerName
	Until  time.Time
}

func (e *AwayError) Error() string { return fmt.Sprintf("%s did not answer of late", e.Server) }

// BusyError means that too many requests to a server wait already.
type BusyError struct{ Server mxid.ServerName }

func (e *BusyError) Error() string { return fmt.Sprintf("too much waits for %s", e.Server) }

// enter waits for the turn of a request.
func (c *Client) enter(ctx context.Context, r Request) (*destination, func(), error) {
	c.mu.Lock()
	d, err := c.destination(r)
	if err == nil {
		d.busy++
		d.used = time.Now()
	}
	c.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	slots := d.small
	if r.Bulk {
		slots = d.bulk
	}
	select {
	case slots <- struct{}{}:
		return d, func() {
			<-slots
			c.left(d)
		}, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.life.Done():
		err = context.Canceled
	}
	c.left(d)
	return nil, nil, err
}

func (c *Client) left(d *destination) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.busy--
}

// destination finds a server's entry, or makes one. The mutex is held.
func (c *Client) destination(r Request) (*destination, error) {
	now := time.Now()
	d := c.table[r.To]
	switch {
	case d == nil:
	case now.Before(d.away) && !r.Now:
		return nil, &AwayError{r.To, d.away}
	case d.busy >= maxWaiting:
		return nil, &BusyError{r.To}
	default:
		return d, nil
	}
	if len(c.table) >= maxDestinations && !c.forget() {
		return nil, &BusyError{r.To}
	}
	d = &destination{small: make(chan struct{}, maxSmall), bulk: make(chan struct{}, maxBulk)}
	c.table[r.To] = d
	return d, nil
}

// forget makes room for an entry: one of a few that nothing is asked now, better
// one that answers, else the one that was not asked for longest.
func (c *Client) forget() bool {
	const few = 64
	var found mxid.ServerName
	seen := 0
	for name, d := range c.table {
		if d.busy > 0 {
			continue
		}
		best := c.table[found]
		if best == nil || d.failed == 0 && best.failed > 0 || (d.failed == 0) == (best.failed == 0) && d.used.Before(best.used) {
			found = name
		}
		if seen++; seen == few {
			break
		}
	}
	delete(c.table, found)
	return found != ""
}

// learn notes how a request went that began at a time.
func (c *Client) learn(ctx context.Context, server mxid.ServerName, d *destination, began time.Time, err error) {
	refused, answered := errors.AsType[*RefusalError](err)
	broken := answered && refused.Code == "" && refused.Status >= http.StatusInternalServerError
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case answered && refused.Status == http.StatusTooManyRequests:
		d.away = now.Add(max(refused.Retry, firstAway))
	case err == nil, answered && !broken:
		d.heard()
	case ctx.Err() != nil, c.life.Err() != nil:
		// Whoever asked has gone: that says nothing of the server.
	case began.Before(d.failing):
		// It was under way when another one failed, which has been counted.
	default:
		d.failing = now
		d.away = now.Add(min(firstAway<<min(d.failed, 20), lastAway))
		if d.failed++; d.failed == 1 {
			d.since = now
		}
		c.cfg.Log.Debug("another server does not answer", "server", server, "times", d.failed, "err", err)
	}
}

// Heard notes that a server has spoken to this one: it is there again.
func (c *Client) Heard(server mxid.ServerName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.table[server]; d != nil {
		d.heard()
	}
}

// Standing is how another server did of late. The times of one that answers are
// zero.
type Standing struct {
	Server mxid.ServerName
	Since  time.Time // when it did not answer for the first time in a row
	Asked  time.Time // when for the last time
	Again  time.Time // when it is asked again
}

// Standings are those of all servers that are remembered, by name.
func (c *Client) Standings() []Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Standing, 0, len(c.table))
	for name, d := range c.table {
		all = append(all, Standing{name, d.since, d.failing, d.away})
	}
	slices.SortFunc(all, func(a, b Standing) int { return strings.Compare(string(a.Server), string(b.Server)) })
	return all
}
