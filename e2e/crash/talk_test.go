package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hearth/e2e"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// message is what these tests look at in an event.
type message struct {
	ID      string `json:"event_id"`
	Type    string `json:"type"`
	Content struct {
		Sender int `json:"test.sender"`
		N      int `json:"test.n"`
	} `json:"content"`
}

// sender is one client that talks as fast as it is answered.
type sender struct {
	n     int
	user  *e2e.Client
	room  string
	acked []string // the event id of each message that was acknowledged
	acks  chan<- struct{}
}

func (s *sender) talk(ctx context.Context, t *testing.T, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if err := s.insist(ctx); err != nil {
			t.Errorf("sender %d, message %d: %v", s.n, len(s.acked), err)
			return
		}
		select {
		case s.acks <- struct{}{}:
		default:
		}
	}
}

// insist sends the next message, again and again under the same transaction id
// while the server is away.
func (s *sender) insist(ctx context.Context) error {
	return insist(ctx, func() error { return s.try(ctx, "") })
}

// insist repeats a request while the server is away.
func insist(ctx context.Context, try func() error) error {
	for {
		err := try()
		if refusal := new(e2e.StatusError); err == nil || ctx.Err() != nil || errors.As(err, &refusal) && refusal.Status < 500 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// try sends the next message once; padding makes it larger.
func (s *sender) try(ctx context.Context, padding string) error {
	n := len(s.acked)
	path := fmt.Sprintf("/_matrix/client/v3/rooms/%s/send/m.room.message/sender%d-%d", url.PathEscape(s.room), s.n, n)
	var ev struct {
		ID string `json:"event_id"`
	}
	err := s.user.Do(ctx, http.MethodPut, path, map[string]any{
		"msgtype": "m.text", "body": fmt.Sprintf("%d of %d%s", n, s.n, padding), "test.sender": s.n, "test.n": n,
	}, &ev)
	if err == nil {
		s.acked = append(s.acked, ev.ID)
	}
	return err
}

// reader is a client that syncs along with a token from before.
type reader struct {
	user  *e2e.Client
	since string
	heard map[string][]message // by room
}

func (r *reader) sync(ctx context.Context, t *testing.T) {
	t.Helper()
	var answer struct {
		Next  string `json:"next_batch"`
		Rooms struct {
			Join map[string]struct {
				Timeline struct {
					Events  []message `json:"events"`
					Limited bool      `json:"limited"`
					Prev    string    `json:"prev_batch"`
				} `json:"timeline"`
			} `json:"join"`
		} `json:"rooms"`
	}
	query := url.Values{"timeout": {"0"}, "filter": {`{"room":{"timeline":{"limit":100}}}`}}
	if r.since != "" {
		query.Set("since", r.since)
	}
	if err := r.user.Do(ctx, http.MethodGet, "/_matrix/client/v3/sync?"+query.Encode(), nil, &answer); err != nil {
		t.Fatalf("/sync since %q: %v", r.since, err)
	}
	for room, news := range answer.Rooms.Join {
		if news.Timeline.Limited {
			gap := page(ctx, t, r.user, room, url.Values{"dir": {"b"}, "from": {news.Timeline.Prev}, "to": {r.since}})
			slices.Reverse(gap)
			r.heard[room] = append(r.heard[room], gap...)
		}
		r.heard[room] = append(r.heard[room], news.Timeline.Events...)
	}
	r.since = answer.Next
}

func history(ctx context.Context, t *testing.T, who *e2e.Client, room string) []message {
	t.Helper()
	return page(ctx, t, who, room, url.Values{"dir": {"f"}})
}

// page reads what /messages has to give, page by page.
func page(ctx context.Context, t *testing.T, who *e2e.Client, room string, query url.Values) (all []message) {
	t.Helper()
	query.Set("limit", "500")
	if query.Get("to") == "" {
		query.Del("to")
	}
	for {
		var answer struct {
			Chunk []message `json:"chunk"`
			End   string    `json:"end"`
		}
		err := who.Do(ctx, http.MethodGet, "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/messages?"+query.Encode(), nil, &answer)
		if err != nil {
			t.Fatalf("/messages?%s: %v", query.Encode(), err)
		}
		all = append(all, answer.Chunk...)
		if answer.End == "" || len(answer.Chunk) == 0 {
			return all
		}
		query.Set("from", answer.End)
	}
}

// compare wants each sender's messages in events: all, once, in order, under
// the ids that were acknowledged.
func compare(t *testing.T, what string, events []message, senders []*sender) {
	t.Helper()
	got := map[int][]string{}
	for _, ev := range events {
		if ev.Type == "m.room.message" {
			got[ev.Content.Sender] = append(got[ev.Content.Sender], ev.ID)
		}
	}
	for _, s := range senders {
		if !slices.Equal(got[s.n], s.acked) {
			t.Errorf("%s has %d messages of sender %d, who was acknowledged %d, or their order or ids differ", what, len(got[s.n]), s.n, len(s.acked))
		}
	}
	t.Logf("%s: %d events of %d senders", what, len(events), len(senders))
}

// checkSQLite has SQLite look through the databases in a data directory.
func checkSQLite(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		conn, err := sqlite.OpenConn(file, sqlite.OpenReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		err = sqlitex.ExecuteTransient(conn, "PRAGMA integrity_check", &sqlitex.ExecOptions{
			ResultFunc: func(row *sqlite.Stmt) error {
				if says := row.ColumnText(0); says != "ok" {
					t.Errorf("%s: %s", filepath.Base(file), says)
				}
				return nil
			},
		})
		if err := errors.Join(err, conn.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
