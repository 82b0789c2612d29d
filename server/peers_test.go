package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"hearth/e2e"
)

// What other servers got wrong when they were measured, as tests.

// event is what these tests look at.
type event struct {
	ID   string `json:"event_id"`
	Type string `json:"type"`
}

// talk has sixteen clients send n messages in all, each as fast as it is
// answered, and returns the ids per client.
func talk(t *testing.T, who []*e2e.Client, roomOf func(sender int) string, n int) [][]string {
	t.Helper()
	const senders = 16
	sent := make([][]string, senders)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for len(sent[i]) < n/senders {
				id, err := say(t.Context(), who[i%len(who)], roomOf(i), fmt.Sprintf("%d-%d", i, len(sent[i])), "hello")
				if err != nil {
					t.Errorf("sender %d: %v", i, err)
					return
				}
				sent[i] = append(sent[i], id)
			}
		})
	}
	wg.Wait()
	return sent
}

// pages reads a room's history from one end to the other.
func pages(t *testing.T, who *e2e.Client, room, dir string) (all []event) {
	t.Helper()
	query := url.Values{"dir": {dir}, "limit": {"100"}}
	for {
		var page struct {
			Chunk []event `json:"chunk"`
			End   string  `json:"end"`
		}
		if err := who.Do(t.Context(), http.MethodGet, v3+"/rooms/"+url.PathEscape(room)+"/messages?"+query.Encode(), nil, &page); err != nil {
			t.Fatalf("/messages?%s: %v", query.Encode(), err)
		}
		all = append(all, page.Chunk...)
		if page.End == "" {
			return all
		}
		query.Set("from", page.End)
	}
}

// TestHistoryIsWhole: /messages shows what sixteen senders said in one room,
// each message once and each sender's in order, and both ways are the same.
func TestHistoryIsWhole(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		people := []*e2e.Client{h.user(t, "alice"), h.user(t, "bob"), h.user(t, "carol"), h.user(t, "dave")}
		room := room(t, people[0], people[1:]...)
		sent := talk(t, people, func(int) string { return room }, 2000)

		forth := pages(t, people[1], room, "f")
		back := pages(t, people[1], room, "b")
		slices.Reverse(back)
		if !slices.Equal(forth, back) {
			t.Errorf("%d events one way, %d the other way, or in another order", len(forth), len(back))
		}
		at := map[string]int{}
		for i, ev := range forth {
			if _, twice := at[ev.ID]; twice {
				t.Errorf("%s is there twice", ev.ID)
			}
			at[ev.ID] = i
		}
		for i, ids := range sent {
			last := -1
			for n, id := range ids {
				place, there := at[id]
				if !there || place < last {
					t.Fatalf("message %d of sender %d: there %v, at %d after %d", n, i, there, place, last)
				}
				last = place
			}
		}
		messages := 0
		for _, ev := range forth {
			if ev.Type == "m.room.message" {
				messages++
			}
		}
		if messages != 2000 {
			t.Errorf("%d messages, want 2000", messages)
		}
	})
}

// synced is an answer of /sync.
type synced struct {
	Next  string `json:"next_batch"`
	Rooms struct {
		Join map[string]struct {
			Timeline struct {
				Events  []event `json:"events"`
				Limited bool    `json:"limited"`
			} `json:"timeline"`
		} `json:"join"`
	} `json:"rooms"`
}

func syncOnce(ctx context.Context, who *e2e.Client, since string, timeout time.Duration) (answer synced, err error) {
	query := url.Values{"timeout": {fmt.Sprint(timeout.Milliseconds())}, "filter": {`{"presence":{"types":[]},"room":{"timeline":{"limit":100}}}`}}
	if since != "" {
		query.Set("since", since)
	}
	err = who.Do(ctx, http.MethodGet, v3+"/sync?"+query.Encode(), nil, &answer)
	return answer, err
}

// TestTwoHundredListeners: two hundred parked clients get every message, and
// none of them waits for what another one holds.
func TestTwoHundredListeners(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		const listeners, messages = 200, 48
		var people []*e2e.Client
		for i := range 10 {
			people = append(people, h.user(t, fmt.Sprint("user", i)))
		}
		room := room(t, people[0], people[1:]...)
		since := make([]string, len(people))
		for i, who := range people {
			first, err := syncOnce(ctx, who, "", 0)
			if err != nil {
				t.Fatal(err)
			}
			since[i] = first.Next
		}

		heard := make([][]string, listeners)
		var listening sync.WaitGroup
		for i := range listeners {
			listening.Go(func() {
				next := since[i%len(people)]
				for len(heard[i]) < messages {
					answer, err := syncOnce(ctx, people[i%len(people)], next, 20*time.Second)
					if err != nil {
						t.Errorf("listener %d: %v", i, err)
						return
					}
					for _, ev := range answer.Rooms.Join[room].Timeline.Events {
						heard[i] = append(heard[i], ev.ID)
					}
					next = answer.Next
				}
			})
		}
		sent := slices.Concat(talk(t, people, func(int) string { return room }, messages)...)
		listening.Wait()
		for i, ids := range heard {
			if !slices.Equal(ids, heard[0]) {
				t.Errorf("listener %d heard %d messages, in another order than listener 0", i, len(ids))
			}
		}
		slices.Sort(sent)
		if got := slices.Sorted(slices.Values(heard[0])); !slices.Equal(got, sent) {
			t.Errorf("heard %d messages of %d", len(got), len(sent))
		}
	})
}

// TestSyncAfterSend: who has been told that a message was sent finds it with
// the next request, whatever else goes on.
func TestSyncAfterSend(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		var wg sync.WaitGroup
		for i := range 8 {
			who := h.user(t, fmt.Sprint("user", i))
			room := room(t, who)
			wg.Go(func() {
				since := ""
				for n := range 25 {
					id, err := say(t.Context(), who, room, fmt.Sprint(n), "hello")
					if err != nil {
						t.Error(err)
						return
					}
					for _, from := range []string{"", since} {
						answer, err := syncOnce(t.Context(), who, from, 0)
						if err != nil {
							t.Error(err)
							return
						}
						events := answer.Rooms.Join[room].Timeline.Events
						if len(events) == 0 || events[len(events)-1].ID != id {
							t.Errorf("message %d is not in /sync since %q", n, from)
						}
						since = answer.Next
					}
				}
			})
		}
		wg.Wait()
	})
}

// TestInitialSyncIsTheSameAgain: asking again, with a fresh device or the same
// one, gives the same answer; and asking for news when there are none costs a
// few bytes, however many rooms there are.
func TestInitialSyncIsTheSameAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		rooms := make([]string, 16)
		for i := range rooms {
			rooms[i] = room(t, alice)
		}
		talk(t, []*e2e.Client{alice}, func(i int) string { return rooms[i] }, 480)

		var first any
		for n := range 5 {
			var answer map[string]any
			if n == 3 {
				if err := alice.Login(t.Context(), "alice"); err != nil {
					t.Fatal(err)
				}
			}
			if err := alice.Do(t.Context(), http.MethodGet, v3+"/sync?timeout=0", nil, &answer); err != nil {
				t.Fatal(err)
			}
			since, _ := answer["next_batch"].(string)
			withoutTime(answer)
			if n == 0 {
				first = answer
			} else if n < 3 && !reflect.DeepEqual(answer, first) {
				t.Errorf("answer %d differs from the first: %s", n, difference(first, answer))
			} else if a, b := encoded(first), encoded(answer); n >= 3 && len(b) > len(a) {
				t.Errorf("answer %d to a new device has %d bytes, the first one %d", n, len(b), len(a))
			}

			var news json.RawMessage
			if err := alice.Do(t.Context(), http.MethodGet, v3+"/sync?timeout=0&since="+url.QueryEscape(since), nil, &news); err != nil {
				t.Fatal(err)
			}
			var left map[string]json.RawMessage
			if err := json.Unmarshal(news, &left); err != nil || left["rooms"] != nil || len(news) > 500 {
				t.Errorf("no news take %d bytes: %.600s", len(news), news)
			}
		}
	})
}

// withoutTime removes what may differ from one answer to the next: ages, the
// transaction ids that only the sending device sees, and the token itself.
func withoutTime(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range []string{"next_batch", "age", "transaction_id", "presence"} {
			delete(v, key)
		}
		for _, inner := range v {
			withoutTime(inner)
		}
	case []any:
		for _, inner := range v {
			withoutTime(inner)
		}
	}
}

func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// difference shows where two answers part.
func difference(a, b any) string {
	x, y := encoded(a), encoded(b)
	i := 0
	for i < min(len(x), len(y)) && x[i] == y[i] {
		i++
	}
	from := max(0, i-80)
	return fmt.Sprintf("%.200s / %.200s", x[from:], y[from:])
}
