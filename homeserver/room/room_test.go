package room_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/roomver"
)

// Two people talk in a room of every version, and a server that starts anew
// on the same database finds all of it.
func TestTalkInEveryRoomVersion(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := newEngine(d)
		for _, v := range roomver.All() {
			t.Run(v.ID, func(t *testing.T) {
				r := create(t, e, room.CreateRequest{Preset: "public_chat", RoomVersion: v.ID, Name: "Kitchen", Topic: "Food"})
				join(t, e, r, bob)
				first := say(t, e, r, alice, "hello")
				second := say(t, e, r, bob, "hello yourself")
				if len(second.PrevEvents) != 1 || second.PrevEvents[0] != first.ID {
					t.Errorf("second follows %v, want %s", second.PrevEvents, first.ID)
				}
				if second.State != first.State {
					t.Error("a message made a new state")
				}

				again := newEngine(d)
				r2, err := again.Room(t.Context(), r.ID)
				if err != nil {
					t.Fatal(err)
				}
				if c := r2.Current(); c.Joined != 2 || c.LastPos != second.NID || c.HeadIDs[0] != second.ID {
					t.Errorf("after a restart: %+v", c)
				}
				name, err := again.StateEvent(t.Context(), r2, r2.Current().State, "m.room.name", "")
				if err != nil || name == nil {
					t.Fatalf("no name: %v", err)
				}
				if s, _ := name.GetString("name"); s != "Kitchen" {
					t.Errorf("name = %q", s)
				}
				third := say(t, again, r2, bob, "still here?")
				if third.PrevEvents[0] != second.ID {
					t.Error("the third event does not follow the second")
				}
			})
		}
	})
}

func TestStrangersMayNotSend(t *testing.T) {
	each(t, func(t *testing.T, e *room.Engine) {
		r := create(t, e, room.CreateRequest{})
		_, err := e.Send(t.Context(), r.ID, room.Draft{Sender: bob, Type: "m.room.message", Content: []byte(`{}`)})
		if mxerr.From(err).Code != mxerr.Forbidden {
			t.Errorf("err = %v, want M_FORBIDDEN", err)
		}
		if err := e.Join(t.Context(), bob, r.ID, room.JoinRequest{}); mxerr.From(err).Code != mxerr.Forbidden {
			t.Errorf("join: %v, want M_FORBIDDEN", err)
		}
		if err := e.Invite(t.Context(), alice, r.ID, bob, "come"); err != nil {
			t.Fatal(err)
		}
		join(t, e, r, bob)
		say(t, e, r, bob, "thanks")
		if err := e.Kick(t.Context(), alice, r.ID, bob, "bye"); err != nil {
			t.Fatal(err)
		}
		if _, err = e.Send(t.Context(), r.ID, room.Draft{Sender: bob, Type: "m.room.message", Content: []byte(`{}`)}); err == nil {
			t.Error("a kicked user may still send")
		}
	})
}

// Many senders at once make one line of events, each stored once.
func TestConcurrentSendersMakeALine(t *testing.T) {
	each(t, func(t *testing.T, e *room.Engine) {
		r := create(t, e, room.CreateRequest{Preset: "public_chat"})
		var wg sync.WaitGroup
		const senders, each = 16, 20
		for i := range senders {
			user := fmt.Sprintf("@u%d:test", i)
			join(t, e, r, user)
			wg.Go(func() {
				for n := range each {
					body := fmt.Appendf(nil, `{"body":"%d/%d","msgtype":"m.text"}`, i, n)
					if _, err := e.Send(context.Background(), r.ID, room.Draft{Sender: user, Type: "m.room.message", Content: body, Device: "D", TxnID: fmt.Sprint(n)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		events, err := e.After(t.Context(), r, 0, math.MaxInt64, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if want := 7 + senders + senders*each - 1; len(events) != want && len(events) != want+1 {
			t.Errorf("%d events, want about %d", len(events), want)
		}
		seen := map[string]bool{}
		for i, ev := range events {
			if i > 0 && (len(ev.PrevEvents) != 1 || ev.PrevEvents[0] != events[i-1].ID || ev.Depth != events[i-1].Depth+1) {
				t.Fatalf("event %d does not follow the one before it", i)
			}
			body, _ := ev.GetString("body")
			if ev.Type == "m.room.message" && seen[body] {
				t.Errorf("%s is there twice", body)
			}
			seen[body] = true
		}
	})
}

// A client that repeats a request gets the first event, also after a restart.
func TestTransactionsAreIdempotent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := newEngine(d)
		r := create(t, e, room.CreateRequest{})
		draft := room.Draft{Sender: alice, Type: "m.room.message", Content: []byte(`{"body":"hi"}`), Device: "PHONE", TxnID: "1"}
		first, err := e.Send(t.Context(), r.ID, draft)
		if err != nil {
			t.Fatal(err)
		}
		for _, eng := range []*room.Engine{e, newEngine(d)} {
			again, err := eng.Send(t.Context(), r.ID, draft)
			if err != nil || again.ID != first.ID {
				t.Errorf("repeated: %v, %v; want %s", again, err, first.ID)
			}
		}
		draft.Device = "LAPTOP"
		if other, err := e.Send(t.Context(), r.ID, draft); err != nil || other.ID == first.ID {
			t.Errorf("another device got the same event: %v", err)
		}
	})
}

func TestRedactionRemovesContentForGood(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := newEngine(d)
		for _, version := range []string{"1", "6", "11", "12"} {
			r := create(t, e, room.CreateRequest{Preset: "public_chat", RoomVersion: version})
			join(t, e, r, bob)
			secret := say(t, e, r, bob, "my PIN is 1234")
			redact := func(who string) error {
				_, err := e.Send(t.Context(), r.ID, room.Draft{Sender: who, Type: "m.room.redaction", Redacts: secret.ID, Content: []byte(`{"reason":"oops"}`)})
				return err
			}
			join(t, e, r, carol)
			if err := redact(carol); mxerr.From(err).Code != mxerr.Forbidden {
				t.Errorf("version %s: carol redacts: %v, want M_FORBIDDEN", version, err)
			}
			if err := redact(bob); err != nil {
				t.Fatalf("version %s: %v", version, err)
			}
			for _, eng := range []*room.Engine{e, newEngine(d)} {
				ev, err := eng.EventByID(t.Context(), secret.ID)
				if err != nil || string(ev.Content) != "{}" || ev.RedactedBy == 0 {
					t.Errorf("version %s: after redaction: %s, %v", version, ev.Content, err)
				}
			}
			events, _, err := e.Since(t.Context(), r, 0, math.MaxInt64, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range events {
				if ev.ID == secret.ID && string(ev.Content) != "{}" {
					t.Errorf("version %s: the room's memory still has the content", version)
				}
			}
		}
	})
}

func TestHistoryVisibility(t *testing.T) {
	each(t, func(t *testing.T, e *room.Engine) {
		for _, tc := range []struct {
			visibility                   string
			beforeInvite, invited, after bool
		}{
			{"world_readable", true, true, true},
			{"shared", true, true, true},
			{"invited", false, true, true},
			{"joined", false, false, true},
		} {
			r := create(t, e, room.CreateRequest{InitialState: []room.InitialState{{
				Type: "m.room.history_visibility", Content: []byte(`{"history_visibility":"` + tc.visibility + `"}`),
			}}})
			early := say(t, e, r, alice, "before the invite")
			if err := e.Invite(t.Context(), alice, r.ID, bob, ""); err != nil {
				t.Fatal(err)
			}
			invited := say(t, e, r, alice, "while invited")
			join(t, e, r, bob)
			after := say(t, e, r, alice, "welcome")
			if err := e.Leave(t.Context(), bob, r.ID, ""); err != nil {
				t.Fatal(err)
			}
			gone := say(t, e, r, alice, "he is gone")
			v, err := e.Viewer(t.Context(), r, bob)
			if err != nil {
				t.Fatal(err)
			}
			for _, see := range []struct {
				ev   *room.Event
				want bool
			}{{early, tc.beforeInvite}, {invited, tc.invited}, {after, tc.after}, {gone, tc.visibility == "world_readable"}} {
				if got, err := v.CanSee(see.ev); err != nil || got != see.want {
					body, _ := see.ev.GetString("body")
					t.Errorf("%s, %q: visible = %v (%v), want %v", tc.visibility, body, got, err, see.want)
				}
			}
		}
	})
}

func TestRestrictedJoin(t *testing.T) {
	each(t, func(t *testing.T, e *room.Engine) {
		club := create(t, e, room.CreateRequest{Preset: "public_chat"})
		inner := create(t, e, room.CreateRequest{InitialState: []room.InitialState{{
			Type: "m.room.join_rules", Content: []byte(`{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"` + club.ID + `"}]}`),
		}}})
		if err := e.Join(t.Context(), bob, inner.ID, room.JoinRequest{}); err == nil {
			t.Error("bob got in without being in the club")
		}
		join(t, e, club, bob)
		join(t, e, inner, bob)
		m, err := e.Membership(t.Context(), inner.ID, bob)
		if err != nil || m != store.Join {
			t.Errorf("membership = %v, %v", m, err)
		}
	})
}

// Rooms made by one user at the same moment are different rooms.
func TestManyRoomsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, e *room.Engine) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					if _, err := e.Create(context.Background(), alice, room.CreateRequest{Name: "same"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}
