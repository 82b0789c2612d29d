package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"

	"hearth/e2e"
)

// atOnce runs f sixteen times at once.
func atOnce(f func(i int)) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// codeOf is the error code of an answer, "" if err is none.
func codeOf(err error) string {
	if e := new(e2e.StatusError); errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// TestImpatientClient: a client that repeats a message before it has heard of
// the first try sends it once.
func TestImpatientClient(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		room := room(t, alice)
		for round := range 10 {
			ids := make([]string, 16)
			atOnce(func(i int) {
				var err error
				if ids[i], err = say(t.Context(), alice, room, fmt.Sprint("again", round), "hello"); err != nil {
					t.Error(err)
				}
			})
			if all := slices.Compact(slices.Sorted(slices.Values(ids))); len(all) != 1 {
				t.Fatalf("%d messages of one transaction", len(all))
			}
		}
		messages := 0
		for _, ev := range pages(t, alice, room, "f") {
			if ev.Type == "m.room.message" {
				messages++
			}
		}
		if messages != 10 {
			t.Errorf("%d messages are in the room, want 10", messages)
		}
	})
}

// TestOneWinner: of sixteen who want the same name at once, one gets it; and
// nothing of the others is left.
func TestOneWinner(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		for _, tc := range []struct{ what, path, lost string }{
			{"an alias of a new room", "/createRoom", "M_ROOM_IN_USE"},
			{"a user name", "/register", "M_USER_IN_USE"},
		} {
			var mu sync.Mutex
			won, lost := 0, 0
			atOnce(func(int) {
				err := alice.Do(t.Context(), http.MethodPost, v3+tc.path, map[string]any{
					"room_alias_name": "wanted", "username": "wanted", "password": "a good password",
					"auth": map[string]string{"type": "m.login.dummy"},
				}, nil)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case codeOf(err) == tc.lost:
					lost++
				default:
					t.Errorf("%s: %v", tc.what, err)
				}
			})
			if won != 1 || lost != 15 {
				t.Errorf("%s: %d got it and %d were told that it is taken", tc.what, won, lost)
			}
		}
		var mine struct {
			Rooms []string `json:"joined_rooms"`
		}
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/joined_rooms", nil, &mine); err != nil || len(mine.Rooms) != 1 {
			t.Errorf("alice is in %d rooms (%v), want 1", len(mine.Rooms), err)
		}
	})
}

// TestComeAndGo: people who join and leave a room at once, many times over, are
// in it or not, as they were told last, and the counts are right.
func TestComeAndGo(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		room := room(t, alice)
		path := v3 + "/rooms/" + url.PathEscape(room)
		guests := make([]func(string) error, 4)
		for i := range guests {
			who := h.user(t, fmt.Sprint("user", i))
			guests[i] = func(verb string) error {
				return who.Do(t.Context(), http.MethodPost, path+"/"+verb, struct{}{}, nil)
			}
		}
		atOnce(func(i int) {
			for n := range 10 {
				err := guests[i%4]([]string{"join", "leave"}[n%2])
				if code := codeOf(err); err != nil && code != "M_FORBIDDEN" { // left already, by the other device
					t.Error(err)
				}
			}
		})
		for i, guest := range guests {
			if err := guest("join"); err != nil {
				t.Errorf("user%d: %v", i, err)
			}
		}
		var members struct {
			Joined map[string]any `json:"joined"`
		}
		if err := alice.Do(t.Context(), http.MethodGet, path+"/joined_members", nil, &members); err != nil || len(members.Joined) != 5 {
			t.Errorf("%d members (%v), want 5", len(members.Joined), err)
		}
		var news struct {
			Rooms struct {
				Join map[string]struct {
					Summary struct {
						Joined int `json:"m.joined_member_count"`
					} `json:"summary"`
				} `json:"join"`
			} `json:"rooms"`
		}
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/sync?timeout=0", nil, &news); err != nil || news.Rooms.Join[room].Summary.Joined != 5 {
			t.Errorf("/sync counts %d members (%v), want 5", news.Rooms.Join[room].Summary.Joined, err)
		}
	})
}
