package crash

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"hearth/e2e"
)

const (
	kills   = 100
	senders = 16
	people  = 4
)

// TestNothingIsLost: sixteen clients of four people talk in two rooms while the
// server is killed a hundred times, and stopped politely now and then. They
// repeat a request that got no answer, as real clients do. In the end each
// message is there once, each client's in its order, under the id that was
// acknowledged; and a client that synced all along has missed nothing.
func TestNothingIsLost(t *testing.T) {
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		users, rooms := gather(t, h)
		var all []*sender
		stop, acks := make(chan struct{}), make(chan struct{}, senders)
		var talking sync.WaitGroup
		defer talking.Wait()
		defer cancel()
		for i := range senders {
			s := &sender{n: i, user: users[i%people], room: rooms[i%len(rooms)], acks: acks}
			all = append(all, s)
			talking.Go(func() { s.talk(ctx, t, stop) })
		}

		reader := &reader{user: users[0], heard: map[string][]message{}}
		for round := range kills {
			// Some progress, then any moment.
			for range rand.N(senders) + 1 {
				select {
				case <-acks:
				case <-ctx.Done():
					t.Fatalf("nothing was acknowledged any more after %d kills", round)
				}
			}
			<-time.After(rand.N(20 * time.Millisecond))
			if round%10 == 9 {
				h.Stop(t)
			} else {
				h.Kill()
			}
			h.Restart(t)
			reader.sync(ctx, t)
		}
		close(stop)
		talking.Wait()
		reader.sync(ctx, t)

		for _, room := range rooms {
			here := slices.DeleteFunc(slices.Clone(all), func(s *sender) bool { return s.room != room })
			compare(t, "history", history(ctx, t, users[0], room), here)
			compare(t, "/sync", reader.heard[room], here)
		}
		h.Stop(t)
		checkSQLite(t, h.Data)
	})
}

// gather makes the people and two rooms that all of them are in.
func gather(t *testing.T, h *e2e.Hearth) (users []*e2e.Client, rooms []string) {
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		users = append(users, h.Register(t, name))
	}
	for range 2 {
		var room struct {
			ID string `json:"room_id"`
		}
		if err := users[0].Do(t.Context(), http.MethodPost, "/_matrix/client/v3/createRoom", map[string]any{"preset": "public_chat"}, &room); err != nil {
			t.Fatal(err)
		}
		for _, u := range users[1:] {
			if err := u.Do(t.Context(), http.MethodPost, "/_matrix/client/v3/join/"+url.PathEscape(room.ID), struct{}{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		rooms = append(rooms, room.ID)
	}
	return users, rooms
}
