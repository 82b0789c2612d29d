package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"hearth/base/config"
	"hearth/base/db/dbtest"
	"hearth/e2e"
	"hearth/homeserver/delayed"
)

const msc4140 = "/_matrix/client/unstable/org.matrix.msc4140"

// sendLater schedules a message the way clients do today.
func sendLater(t *testing.T, who *e2e.Client, room, txn, text string, delay time.Duration) string {
	t.Helper()
	var res struct {
		ID string `json:"delay_id"`
	}
	path := fmt.Sprintf("%s/rooms/%s/send/m.room.message/%s?org.matrix.msc4140.delay=%d", v3, url.PathEscape(room), txn, delay.Milliseconds())
	if err := who.Do(t.Context(), http.MethodPut, path, map[string]string{"msgtype": "m.text", "body": text}, &res); err != nil {
		t.Fatal(err)
	}
	return res.ID
}

// heard is a message, as a client sees it.
type heard struct {
	Sender   string
	Content  struct{ Body string }
	TS       int64 `json:"origin_server_ts"`
	Unsigned struct {
		DelayID string `json:"org.matrix.msc4140.delay_id"`
	}
}

// listen waits until somebody says text in a room that who is in.
func listen(t *testing.T, who *e2e.Client, room, text string) heard {
	t.Helper()
	since := ""
	for {
		var res struct {
			Next  string `json:"next_batch"`
			Rooms struct {
				Join map[string]struct {
					Timeline struct{ Events []heard }
				}
			}
		}
		if err := who.Do(t.Context(), http.MethodGet, v3+"/sync?timeout=20000&since="+url.QueryEscape(since), nil, &res); err != nil {
			t.Fatal(err)
		}
		for _, ev := range res.Rooms.Join[room].Timeline.Events {
			if ev.Content.Body == text {
				return ev
			}
		}
		if since != "" && since == res.Next {
			t.Fatalf("nobody said %q", text)
		}
		since = res.Next
	}
}

// act manages an event without a token.
func act(t *testing.T, h *house, id, action string) error {
	t.Helper()
	return e2e.NewClient(h.url, h.http).Do(t.Context(), http.MethodPost, msc4140+"/delayed_events/"+id+"/"+action, struct{}{}, nil)
}

type delays struct {
	Waiting []struct {
		ID      string `json:"delay_id"`
		Room    string `json:"room_id"`
		Type    string
		Delay   int64 `json:"delay_ms"`
		Content json.RawMessage
	} `json:"delayed_events"`
	Ended []struct {
		Outcome, Reason string
		Error           struct{ Errcode string }
	} `json:"finalised"`
}

func delaysOf(t *testing.T, who *e2e.Client, query string) (d delays) {
	t.Helper()
	if err := who.Do(t.Context(), http.MethodGet, msc4140+"/delayed_events"+query, nil, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEventsAreSentLater(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		r := room(t, alice, bob)
		start := time.Now()
		id := sendLater(t, alice, r, "a", "I left the call", 300*time.Millisecond)
		if again := sendLater(t, alice, r, "a", "", 300*time.Millisecond); again != id {
			t.Errorf("the same request again got %s, the first %s", again, id)
		}
		got := listen(t, bob, r, "I left the call")
		if late := got.TS - start.UnixMilli(); late < 300 {
			t.Errorf("the event was sent after %d ms", late)
		}
		if got.Unsigned.DelayID != "" {
			t.Error("others are told the delay id")
		}
		if got := listen(t, alice, r, "I left the call").Unsigned.DelayID; got != id {
			t.Errorf("the sender is told the delay id %q, not %q", got, id)
		}
		if d := delaysOf(t, alice, ""); len(d.Waiting) != 0 {
			t.Errorf("what was sent waits on: %+v", d.Waiting)
		}
		ended := delaysOf(t, alice, "?status=finalised").Ended
		if len(ended) != 1 || ended[0].Outcome != "send" || ended[0].Reason != "delay" {
			t.Errorf("what was sent has ended as %+v", ended)
		}
	})
}

func TestDelayedEventsAreManagedWithoutToken(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		r := room(t, alice, bob)
		sent, cancelled := sendLater(t, alice, r, "a", "now", time.Hour), sendLater(t, alice, r, "b", "never", time.Hour)
		var later struct {
			ID string `json:"delay_id"`
		}
		path := fmt.Sprintf("%s/rooms/%s/delayed_event/org.example.state/c", msc4140, url.PathEscape(r))
		body := map[string]any{"delay_ms": 700_000, "state_key": "x", "content": map[string]int{"n": 1}}
		if err := alice.Do(t.Context(), http.MethodPut, path, body, &later); err != nil {
			t.Fatal(err)
		}
		if d := delaysOf(t, alice, "").Waiting; len(d) != 3 || d[0].ID != later.ID || d[0].Delay != 700_000 || d[0].Room != r || string(d[0].Content) != `{"n":1}` {
			t.Errorf("alice's delayed events are %+v", d)
		}
		if d := delaysOf(t, bob, "").Waiting; len(d) != 0 {
			t.Errorf("bob sees alice's delayed events: %+v", d)
		}
		if err := bob.Do(t.Context(), http.MethodGet, msc4140+"/delayed_events/"+sent, nil, nil); !is(err, 404, "M_NOT_FOUND") {
			t.Errorf("bob asks for alice's delayed event: %v", err)
		}

		for _, s := range []struct {
			id, action string
			status     int
			code       string
		}{
			{sent, "restart", 0, ""},
			{sent, "send", 0, ""},
			{sent, "send", 0, ""},
			{sent, "cancel", 409, "M_UNKNOWN"},
			{cancelled, "cancel", 0, ""},
			{cancelled, "cancel", 0, ""},
			{cancelled, "send", 409, "M_UNKNOWN"},
			{cancelled, "restart", 409, "M_UNKNOWN"},
			{"nothing", "send", 404, "M_NOT_FOUND"},
			{sent, "oops", 404, "M_UNRECOGNIZED"},
		} {
			err := act(t, h, s.id, s.action)
			if s.status == 0 && err != nil || s.status != 0 && !is(err, s.status, s.code) {
				t.Errorf("%s: %v, want %d %s", s.action, err, s.status, s.code)
			}
		}
		listen(t, bob, r, "now")

		// As it was at first: the action in the body. A session that is over does not
		// keep the call from ending.
		over := e2e.NewClient(h.url, h.http)
		over.Token = "what was a token once"
		err := over.Do(t.Context(), http.MethodPost, msc4140+"/delayed_events/"+later.ID, map[string]string{"action": "send"}, nil)
		if err != nil {
			t.Error(err)
		}
		if err := bob.Do(t.Context(), http.MethodGet, v3+"/rooms/"+url.PathEscape(r)+"/state/org.example.state/x", nil, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestDelayedEventsAreBounded(t *testing.T) {
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	r := room(t, alice)
	path := func(delay int64, txn int) string {
		return fmt.Sprintf("%s/rooms/%s/send/m.room.message/%d?org.matrix.msc4140.delay=%d", v3, url.PathEscape(r), txn, delay)
	}
	send := func(delay int64, txn int) error {
		return alice.Do(t.Context(), http.MethodPut, path(delay, txn), struct{}{}, nil)
	}
	for _, delay := range []int64{0, -1} {
		if err := send(delay, 0); !is(err, 400, "M_INVALID_PARAM") {
			t.Errorf("a delay of %d: %v", delay, err)
		}
	}
	for _, delay := range []int64{delayed.MaxDelay.Milliseconds() + 1, 1 << 62} {
		if err := send(delay, 0); !is(err, 400, "M_UNKNOWN") {
			t.Errorf("a delay of %d: %v", delay, err)
		}
	}
	now := map[string]any{"delay_ms": delayed.MaxDelay.Milliseconds() + 1, "content": struct{}{}}
	if err := alice.Do(t.Context(), http.MethodPut, fmt.Sprintf("%s/rooms/%s/delayed_event/org.example/0", msc4140, url.PathEscape(r)), now, nil); !is(err, 403, "M_FORBIDDEN") {
		t.Errorf("a delay that is too long, where clients will schedule: %v", err)
	}
	for i := range delayed.MaxScheduled {
		if err := send(delayed.MaxDelay.Milliseconds(), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(1000, delayed.MaxScheduled); !is(err, 429, "M_LIMIT_EXCEEDED") {
		t.Errorf("one more than one may schedule: %v", err)
	}
}

// TestDelayedEventsThatFail: whether an event may be sent is asked when it is.
func TestDelayedEventsThatFail(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		r := room(t, alice, bob)
		id := sendLater(t, bob, r, "a", "too late", time.Hour)
		if err := alice.Do(t.Context(), http.MethodPost, v3+"/rooms/"+url.PathEscape(r)+"/ban", map[string]string{"user_id": bob.UserID}, nil); err != nil {
			t.Fatal(err)
		}
		if err := act(t, h, id, "send"); !is(err, 403, "M_FORBIDDEN") {
			t.Errorf("sending what may not be sent: %v", err)
		}
		if d := delaysOf(t, bob, "").Waiting; len(d) != 1 {
			t.Errorf("after that there wait %+v", d)
		}
		if err := bob.Do(t.Context(), http.MethodPut, fmt.Sprintf("%s/rooms/%s/send/m.room.message/b?org.matrix.msc4140.delay=1", v3, url.PathEscape(r)), struct{}{}, nil); !is(err, 403, "M_FORBIDDEN") {
			t.Errorf("scheduling in a room that one was banned from: %v", err)
		}
	})
}

// TestDelayedEventsSurviveRestarts: what falls due while the server is away is
// sent when it is back.
func TestDelayedEventsSurviveRestarts(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{
		"sqlite": func(*testing.T) string { return "" }, "postgres": func(t *testing.T) string { return dbtest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, database := t.TempDir(), database(t)
			at := func(cfg *config.Config) { cfg.Storage.Dir = dir }
			h := newHouse(t, database, at)
			alice := h.user(t, "alice")
			r := room(t, alice)
			sendLater(t, alice, r, "a", "overdue", 50*time.Millisecond)
			id := sendLater(t, alice, r, "b", "to come", time.Hour)
			h.stop(t)
			h = newHouse(t, database, at)
			alice.URL = h.url
			listen(t, alice, r, "overdue")
			if err := act(t, h, id, "send"); err != nil {
				t.Error(err)
			}
			listen(t, alice, r, "to come")
		})
	}
}

// TestMessagesThatDestroyThemselves: a redaction can be scheduled like any event,
// in rooms of every version.
func TestMessagesThatDestroyThemselves(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		for _, version := range []string{"10", "12"} {
			var made struct {
				RoomID string `json:"room_id"`
			}
			if err := alice.Do(t.Context(), http.MethodPost, v3+"/createRoom", map[string]string{"room_version": version}, &made); err != nil {
				t.Fatal(err)
			}
			in := "/rooms/" + url.PathEscape(made.RoomID)
			for txn, form := range map[string]struct {
				path string
				body func(target map[string]string) any
			}{
				"a": {v3 + in + "/send/m.room.redaction/a?org.matrix.msc4140.delay=3600000", func(target map[string]string) any { return target }},
				"b": {msc4140 + in + "/delayed_event/m.room.redaction/b", func(target map[string]string) any {
					return map[string]any{"delay_ms": 3600000, "content": target}
				}},
			} {
				var said struct {
					ID string `json:"event_id"`
				}
				if err := alice.Do(t.Context(), http.MethodPut, v3+in+"/send/m.room.message/said-"+txn, map[string]string{"body": "burn this"}, &said); err != nil {
					t.Fatal(err)
				}
				var later struct {
					ID string `json:"delay_id"`
				}
				if err := alice.Do(t.Context(), http.MethodPut, form.path, form.body(map[string]string{"redacts": said.ID}), &later); err != nil {
					t.Fatal(err)
				}
				if err := act(t, h, later.ID, "send"); err != nil {
					t.Errorf("version %s, form %s: %v", version, txn, err)
				}
				var left struct{ Content map[string]any }
				if err := alice.Do(t.Context(), http.MethodGet, v3+in+"/event/"+url.PathEscape(said.ID), nil, &left); err != nil || len(left.Content) != 0 {
					t.Errorf("version %s, form %s: %v is left, %v", version, txn, left.Content, err)
				}
			}
		}
	})
}

// TestGuestsLeaveCalls: guests are in calls too (MSC4140, "Guest accounts").
func TestGuestsLeaveCalls(t *testing.T) {
	h := newHouse(t, "", func(cfg *config.Config) { cfg.Registration.Guests = true })
	alice, guest := h.user(t, "alice"), h.guest(t)
	r := room(t, alice)
	if err := alice.Do(t.Context(), http.MethodPut, v3+"/rooms/"+url.PathEscape(r)+"/state/m.room.guest_access", map[string]string{"guest_access": "can_join"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := guest.Do(t.Context(), http.MethodPost, v3+"/join/"+url.PathEscape(r), struct{}{}, nil); err != nil {
		t.Fatal(err)
	}
	left := map[string]any{"delay_ms": 1, "content": map[string]string{"body": "the guest has left"}}
	if err := guest.Do(t.Context(), http.MethodPut, fmt.Sprintf("%s/rooms/%s/delayed_event/m.room.message/a", msc4140, url.PathEscape(r)), left, nil); err != nil {
		t.Fatal(err)
	}
	listen(t, alice, r, "the guest has left")
	delaysOf(t, guest, "")
}

// is reports whether err is an answer with a status and an errcode.
func is(err error, status int, code string) bool {
	var refusal *e2e.StatusError
	return errors.As(err, &refusal) && refusal.Status == status && refusal.Code == code
}

// TestEndedDelayedEventsAreForgotten: of what a user has cancelled the newest are
// remembered.
func TestEndedDelayedEventsAreForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	r := room(t, alice)
	ended := func(txn string) string {
		id := sendLater(t, alice, r, txn, "never", time.Hour)
		if err := act(t, h, id, "cancel"); err != nil {
			t.Error(err)
		}
		return id
	}
	first := ended("first")
	manyAtOnce(delayed.MaxDone+1, func(i int) { ended(fmt.Sprint(i)) })
	last := ended("last")
	ask := func(id string) error {
		return alice.Do(t.Context(), http.MethodGet, msc4140+"/delayed_events/"+id, nil, nil)
	}
	if err := ask(first); !is(err, 404, "M_NOT_FOUND") {
		t.Errorf("the first: %v", err)
	}
	if err := ask(last); err != nil {
		t.Errorf("the last: %v", err)
	}
}
