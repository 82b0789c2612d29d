package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"hearth/e2e"
)

const v3 = "/_matrix/client/v3"

// TestStopUnderLoad: an operator restarts the server while sixteen clients
// talk and thirty wait for news. It ends within five seconds; those who wait get
// their answer; what was acknowledged is there afterwards, and what was not is
// not doubled when the client tries again.
func TestStopUnderLoad(t *testing.T) {
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		people := []*e2e.Client{h.Register(t, "alice"), h.Register(t, "bob")}
		quiet := h.Register(t, "quentin")
		room, quietRoom := makeRoom(t, people[0], people[1]), makeRoom(t, quiet)

		waiting := park(ctx, t, quiet, 30)
		acks := make(chan struct{}, 1000)
		var talking sync.WaitGroup
		senders := make([]*sender, 16)
		for i := range senders {
			senders[i] = &sender{n: i, user: people[i%2], room: room}
			talking.Go(func() { senders[i].talk(ctx, acks) })
		}
		for range 300 {
			select {
			case <-acks:
			case <-ctx.Done():
				t.Fatal("the senders get no answers")
			}
		}
		h.Stop(t)
		talking.Wait()
		next := waiting.answers(t)

		h.Restart(t)
		for _, s := range senders {
			if err := s.send(ctx, len(s.acked)); err != nil { // the one without an answer
				t.Fatalf("sender %d tries again: %v", s.n, err)
			}
		}
		got := map[int][]string{}
		for _, m := range history(ctx, t, people[1], room) {
			if m.Type == "m.room.message" {
				got[m.Content.Sender] = append(got[m.Content.Sender], m.ID)
			}
		}
		for _, s := range senders {
			if !slices.Equal(got[s.n], s.acked) {
				t.Errorf("sender %d: %d messages are there, %d were acknowledged, or they differ", s.n, len(got[s.n]), len(s.acked))
			}
		}

		// Those who waited go on where they were.
		last := &sender{n: 99, user: quiet, room: quietRoom}
		if err := last.send(ctx, 0); err != nil {
			t.Fatal(err)
		}
		for _, since := range next {
			var answer struct {
				Rooms struct {
					Join map[string]struct {
						Timeline struct{ Events []message }
					}
				}
			}
			if err := quiet.Do(ctx, http.MethodGet, v3+"/sync?timeout=0&since="+url.QueryEscape(since), nil, &answer); err != nil {
				t.Fatal(err)
			}
			events := answer.Rooms.Join[quietRoom].Timeline.Events
			if len(events) != 1 || events[0].ID != last.acked[0] {
				t.Errorf("/sync since %s: %+v, want the one new message", since, events)
			}
		}
	})
}

// parked are clients that wait for news.
type parked struct {
	done sync.WaitGroup
	next []string
	errs []error
}

// park has n clients of who ask for news, and returns when all have asked.
func park(ctx context.Context, t *testing.T, who *e2e.Client, n int) *parked {
	t.Helper()
	var first struct {
		Next string `json:"next_batch"`
	}
	if err := who.Do(ctx, http.MethodGet, v3+"/sync?timeout=0", nil, &first); err != nil {
		t.Fatal(err)
	}
	p := &parked{next: make([]string, n), errs: make([]error, n)}
	asked := make(chan struct{}, n)
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { asked <- struct{}{} },
	})
	for i := range n {
		p.done.Go(func() {
			var answer struct {
				Next string `json:"next_batch"`
			}
			p.errs[i] = who.Do(traced, http.MethodGet, v3+"/sync?timeout=50000&since="+url.QueryEscape(first.Next), nil, &answer)
			p.next[i] = answer.Next
		})
	}
	for range n {
		select {
		case <-asked:
		case <-ctx.Done():
			t.Fatal("not every client could ask for news")
		}
	}
	return p
}

// answers waits for all clients; each must have got a token to go on with.
func (p *parked) answers(t *testing.T) []string {
	t.Helper()
	p.done.Wait()
	for i, err := range p.errs {
		if err != nil || p.next[i] == "" {
			t.Fatalf("waiting client %d got %q, %v", i, p.next[i], err)
		}
	}
	return p.next
}

// sender is one client that talks.
type sender struct {
	n     int
	user  *e2e.Client
	room  string
	acked []string
}

// talk sends until the server is gone. The message that got no answer is the
// next one to send.
func (s *sender) talk(ctx context.Context, acks chan<- struct{}) {
	for {
		if err := s.send(ctx, len(s.acked)); err != nil {
			return
		}
		select {
		case acks <- struct{}{}:
		default:
		}
	}
}

func (s *sender) send(ctx context.Context, n int) error {
	var sent struct {
		ID string `json:"event_id"`
	}
	path := fmt.Sprintf("%s/rooms/%s/send/m.room.message/%d-%d", v3, url.PathEscape(s.room), s.n, n)
	err := s.user.Do(ctx, http.MethodPut, path, map[string]any{"msgtype": "m.text", "body": "hello", "test.sender": s.n}, &sent)
	if err == nil && sent.ID == "" {
		err = errors.New("an answer without an event_id")
	}
	if err == nil {
		s.acked = append(s.acked, sent.ID)
	}
	return err
}

// message is what these tests look at in an event.
type message struct {
	ID      string `json:"event_id"`
	Type    string `json:"type"`
	Content struct {
		Sender int `json:"test.sender"`
	} `json:"content"`
}

func makeRoom(t *testing.T, owner *e2e.Client, friends ...*e2e.Client) string {
	t.Helper()
	var made struct {
		ID string `json:"room_id"`
	}
	if err := owner.Do(t.Context(), http.MethodPost, v3+"/createRoom", map[string]any{"preset": "public_chat"}, &made); err != nil {
		t.Fatal(err)
	}
	for _, friend := range friends {
		if err := friend.Do(t.Context(), http.MethodPost, v3+"/join/"+url.PathEscape(made.ID), struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return made.ID
}

func history(ctx context.Context, t *testing.T, who *e2e.Client, room string) (all []message) {
	t.Helper()
	query := url.Values{"dir": {"f"}, "limit": {"500"}}
	for {
		var page struct {
			Chunk []message `json:"chunk"`
			End   string    `json:"end"`
		}
		if err := who.Do(ctx, http.MethodGet, v3+"/rooms/"+url.PathEscape(room)+"/messages?"+query.Encode(), nil, &page); err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Chunk...)
		if page.End == "" {
			return all
		}
		query.Set("from", page.End)
	}
}
