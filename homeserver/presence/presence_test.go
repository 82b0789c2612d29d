package presence_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/presence"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

const (
	alice = "@alice:test"
	bob   = "@bob:test"
	carol = "@carol:test"
)

type nobody struct{}

func (nobody) Profile(context.Context, string) (string, string, error) { return "", "", nil }

// house is a server with one room, in which alice and bob are, but not carol.
type house struct {
	*testing.T
	db       *db.DB
	hub      *notify.Hub
	rooms    *room.Engine
	presence *presence.Engine
	room     *room.Room
}

func newHouse(t *testing.T, d *db.DB, enabled bool) *house {
	h := &house{T: t, db: d, hub: notify.NewHub(d.Position())}
	d.OnCommit(h.hub.Advance)
	h.rooms = room.New(room.Config{
		DB: d, Hub: h.hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: nobody{},
	})
	h.start(enabled)
	var err error
	if h.room, err = h.rooms.Create(t.Context(), alice, room.CreateRequest{Preset: "public_chat"}); err != nil {
		t.Fatal(err)
	}
	if err := h.rooms.Join(t.Context(), bob, h.room.ID, room.JoinRequest{}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) start(enabled bool) {
	h.presence = presence.New(presence.Config{DB: h.db, Rooms: h.rooms, Hub: h.hub, Enabled: enabled})
	h.presence.Start(context.Background())
	h.Cleanup(h.presence.Stop)
}

func (h *house) set(user, state, status string) {
	h.Helper()
	if err := h.presence.Set(h.Context(), user, state, &status); err != nil {
		h.Fatal(err)
	}
}

// sees checks what viewer is told of user.
func (h *house) sees(viewer, user, want string) {
	h.Helper()
	ev, err := h.presence.Get(h.Context(), viewer, user)
	if err != nil {
		h.Errorf("%s asks for %s: %v", viewer, user, err)
		return
	}
	if got, _ := json.Marshal(ev.Content()); string(got) != want {
		h.Errorf("%s is %s, want %s", user, got, want)
	}
}

// news lists "user state" of what changed.
func (h *house) news(live int64, want ...string) int64 {
	h.Helper()
	next := h.hub.Live()
	got := []string{}
	for _, ev := range h.presence.Since(live, func(string) bool { return true }) {
		got = append(got, ev.User+" "+ev.State)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Errorf("news are %v, want %v", got, want)
	}
	return next
}

// inTime runs f in a house whose clock is ours.
func inTime(t *testing.T, f func(h *house)) {
	synctest.Test(t, func(t *testing.T) { f(newHouse(t, storetest.Open(t, dbtest.SQLite(t)), true)) })
}

func TestComingAndGoing(t *testing.T) {
	inTime(t, func(h *house) {
		ctx := h.Context()
		live := h.news(0)
		leave := h.presence.Syncing(ctx, alice, "")
		live = h.news(live, alice+" online")
		if h.presence.LastChange() != live {
			h.Errorf("last change %d, want %d", h.presence.LastChange(), live)
		}
		h.sees(bob, alice, `{"presence":"online","last_active_ago":0,"currently_active":true}`)

		time.Sleep(70 * time.Second) // she reads, but does nothing
		live = h.news(live, alice+" online")
		h.sees(bob, alice, `{"presence":"online","last_active_ago":70000,"currently_active":false}`)
		time.Sleep(4 * time.Minute)
		live = h.news(live, alice+" unavailable")

		body := json.RawMessage(`{"body":"hello"}`)
		if _, err := h.rooms.Send(ctx, h.room.ID, room.Draft{Sender: alice, Type: "m.room.message", Content: body}); err != nil {
			h.Fatal(err)
		}
		live = h.news(live, alice+" online")

		leave()
		time.Sleep(20 * time.Second) // between two requests
		h.presence.Syncing(ctx, alice, "online")()
		live = h.news(live)
		time.Sleep(36 * time.Second)
		live = h.news(live, alice+" offline")
		h.sees(bob, alice, `{"presence":"offline","last_active_ago":56000}`)
		h.news(0) // a new client need not hear of those who are gone

		h.presence.Syncing(ctx, alice, "offline")() // a client that hides
		live = h.news(live)
		h.presence.Syncing(ctx, alice, "unavailable")()
		h.news(live, alice+" unavailable")
	})
}

func TestStatus(t *testing.T) {
	inTime(t, func(h *house) {
		h.set(alice, "online", "at home")
		h.sees(alice, alice, `{"presence":"online","status_msg":"at home","last_active_ago":0,"currently_active":true}`)
		live := h.news(0, alice+" online")
		raw, err := json.Marshal(h.presence.Since(0, func(string) bool { return true }))
		if want := `[{"content":{"presence":"online","status_msg":"at home","last_active_ago":0,"currently_active":true},` +
			`"sender":"@alice:test","type":"m.presence"}]`; err != nil || string(raw) != want {
			h.Errorf("in /sync it is %s, want %s", raw, want)
		}
		h.set(alice, "online", "at home")
		live = h.news(live)
		h.set(alice, "unavailable", "asleep")
		h.sees(bob, alice, `{"presence":"unavailable","status_msg":"asleep","last_active_ago":0}`)
		live = h.news(live, alice+" unavailable")
		h.set(alice, "offline", "")
		h.sees(bob, alice, `{"presence":"offline","last_active_ago":0}`)
		h.news(live, alice+" offline")
	})
}

func TestStatusOutlivesARestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, true)
		h.set(alice, "online", "at home")
		h.presence.Stop()
		h.start(true)
		check := func(state string) {
			ev, err := h.presence.Get(t.Context(), bob, alice)
			if err != nil || ev.State != state || ev.Status == nil || *ev.Status != "at home" {
				t.Errorf("alice is %+v, %v", ev, err)
			}
		}
		check("offline")
		h.presence.Syncing(t.Context(), alice, "")()
		check("online")
	})
}

func TestWhoMaySee(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, true)
		h.set(alice, "online", "at home")
		for _, tc := range []struct {
			viewer, user string
			want         mxerr.Code
		}{
			{carol, alice, mxerr.Forbidden},
			{alice, carol, mxerr.Forbidden},
		} {
			if _, err := h.presence.Get(t.Context(), tc.viewer, tc.user); err == nil || mxerr.From(err).Code != tc.want {
				t.Errorf("%s asks for %s: %v, want %s", tc.viewer, tc.user, err, tc.want)
			}
		}
		only := h.presence.Since(0, func(id string) bool { return id == bob })
		if len(only) != 0 {
			t.Errorf("a stranger is told %v", only)
		}
	})
}

// Who meets whom changes as people come and go.
func TestShares(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, true)
		shares := func(a, b string, want bool) {
			t.Helper()
			if got, err := h.presence.Shares(t.Context(), a, b); err != nil || got != want {
				t.Errorf("%s and %s share a room: %v, %v", a, b, got, err)
			}
		}
		shares(alice, bob, true)
		shares(alice, carol, false)
		shares(carol, carol, true)
		if err := h.rooms.Join(t.Context(), carol, h.room.ID, room.JoinRequest{}); err != nil {
			t.Fatal(err)
		}
		shares(alice, carol, true)
		shares(carol, bob, true)
		if err := h.rooms.Leave(t.Context(), bob, h.room.ID, ""); err != nil {
			t.Fatal(err)
		}
		shares(bob, alice, false)
		shares(alice, bob, false)
		other, err := h.rooms.Create(t.Context(), bob, room.CreateRequest{Preset: "public_chat"})
		if err != nil {
			t.Fatal(err)
		}
		shares(alice, bob, false)
		if err := h.rooms.Join(t.Context(), alice, other.ID, room.JoinRequest{}); err != nil {
			t.Fatal(err)
		}
		shares(alice, bob, true)
	})
}

func TestPresenceThatIsRefused(t *testing.T) {
	h := newHouse(t, storetest.Open(t, dbtest.SQLite(t)), true)
	long := string(make([]byte, 3000))
	bad := "\xff"
	for _, tc := range []struct {
		state  string
		status *string
	}{{"away", nil}, {"", nil}, {"online", &long}, {"online", &bad}} {
		err := h.presence.Set(t.Context(), alice, tc.state, tc.status)
		if err == nil || mxerr.From(err).Code != mxerr.InvalidParam {
			t.Errorf("%q: %v", tc.state, err)
		}
	}
}

func TestPresenceSwitchedOff(t *testing.T) {
	h := newHouse(t, storetest.Open(t, dbtest.SQLite(t)), false)
	h.set(alice, "online", "at home")
	h.presence.Syncing(t.Context(), alice, "")()
	h.sees(carol, alice, `{"presence":"offline"}`)
	h.news(0)
}

// When many come at once, each person is woken in rounds, not for each of
// them.
func TestManyComeAtOnce(t *testing.T) {
	inTime(t, func(h *house) {
		l := h.hub.Listen(bob)
		defer l.Close()
		l.Watch(h.room.NID)
		for i := range 200 {
			user := fmt.Sprintf("@user%d:test", i)
			if err := h.rooms.Join(h.Context(), user, h.room.ID, room.JoinRequest{}); err != nil {
				h.Fatal(err)
			}
		}
		synctest.Wait()
		woken, cancel := l.Wait()
		defer cancel()
		ctx, stop := context.WithCancel(h.Context())
		rounds := make(chan int)
		go func() {
			n := 0
			for {
				select {
				case <-woken:
					n++
				case <-ctx.Done():
					rounds <- n
					return
				}
			}
		}()
		for i := range 200 {
			h.presence.Syncing(h.Context(), fmt.Sprintf("@user%d:test", i), "")
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stop()
		if n := <-rounds; n < 2 || n > 6 { // in 2 s
			h.Errorf("bob was woken %d times", n)
		}
	})
}
