package faults

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/base/db/dbtest"
	"hearth/e2e"
)

// TestPostgresRestartsUnderLoad: PostgreSQL drops all connections again and again
// while sixteen people talk. They may be refused now and then, and try again; what
// was acknowledged is there once, in the history and for a client that listens.
func TestPostgresRestartsUnderLoad(t *testing.T) {
	source := dbtest.Postgres(t)
	h := e2e.Start(t, e2e.Build(t), source)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	people := []*e2e.Client{h.Register(t, "alice"), h.Register(t, "bob")}
	room := makeRoom(t, people[0], people[1])

	var acks, refused atomic.Int64
	over := make(chan struct{})
	var talking sync.WaitGroup
	senders := make([]*sender, 16)
	for i := range senders {
		s := &sender{n: i, user: people[i%2], room: room}
		senders[i] = s
		talking.Go(func() {
			for {
				if s.send(ctx, len(s.acked)) == nil {
					acks.Add(1)
				} else {
					refused.Add(1)
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	ear := &listener{user: people[1], room: room}
	for round := range 10 {
		for len(ear.heard) < 100*(round+1) {
			ear.listen(ctx, t)
		}
		dbtest.HangUp(t, source)
	}
	close(over)
	talking.Wait()
	last := &sender{n: 99, user: people[0], room: room}
	if err := last.send(ctx, 0); err != nil {
		t.Fatal(err)
	}
	for ear.heard[last.acked[0]] == 0 {
		ear.listen(ctx, t)
	}
	t.Logf("%d messages were sent, %d refused", acks.Load(), refused.Load())
	got := map[int][]string{}
	for _, m := range history(ctx, t, people[1], room) {
		if m.Type == "m.room.message" {
			got[m.Content.Sender] = append(got[m.Content.Sender], m.ID)
		}
	}
	for _, s := range senders {
		if have := got[s.n]; len(have) < len(s.acked) || len(have) > len(s.acked)+1 || !slices.Equal(have[:len(s.acked)], s.acked) {
			t.Errorf("sender %d: %d messages are there, %d were acknowledged, or they differ", s.n, len(have), len(s.acked))
		}
		for _, id := range s.acked {
			if ear.heard[id] != 1 {
				t.Errorf("sender %d: %s was heard %d times", s.n, id, ear.heard[id])
			}
		}
	}
}

// listener is a client that follows a room, and does not give up when it is refused.
type listener struct {
	user  *e2e.Client
	room  string
	since string
	heard map[string]int // how often, by event id
}

// listen waits for news.
func (l *listener) listen(ctx context.Context, t *testing.T) {
	t.Helper()
	var answer struct {
		Next  string `json:"next_batch"`
		Rooms struct {
			Join map[string]struct {
				Timeline struct {
					Events  []message
					Limited bool
				}
			}
		}
	}
	query := url.Values{"filter": {`{"room":{"timeline":{"limit":1000}}}`}, "timeout": {"5000"}}
	if l.since != "" {
		query.Set("since", l.since)
	}
	if err := l.user.Do(ctx, http.MethodGet, v3+"/sync?"+query.Encode(), nil, &answer); err != nil {
		if ctx.Err() != nil {
			t.Fatalf("%d messages were heard in two minutes: %v", len(l.heard), err)
		}
		return
	}
	timeline := answer.Rooms.Join[l.room].Timeline
	if timeline.Limited && l.since != "" {
		t.Error("messages were left out")
	}
	l.since = answer.Next
	if l.heard == nil {
		l.heard = map[string]int{}
	}
	for _, m := range timeline.Events {
		if m.Type == "m.room.message" {
			l.heard[m.ID]++
		}
	}
}
