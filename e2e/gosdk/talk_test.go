package gosdk

import (
	"context"
	"slices"
	"testing"
	"time"

	"hearth/api/spectest"
	"hearth/e2e"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// TestTwoPeopleTalkThroughSync: alice invites bob, they talk, and each hears
// the other through /sync. Then both read the room back.
func TestTwoPeopleTalkThroughSync(t *testing.T) {
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		url := spectest.Proxy(t, h.URL)
		alice, bob := register(ctx, t, url, "alice"), register(ctx, t, url, "bob")
		room := createRoom(ctx, t, alice, bob)

		bobHears, aliceHears := listen(ctx, t, bob), listen(ctx, t, alice)
		say(ctx, t, alice, room, "Is the hearth warm?")
		expect(ctx, t, bobHears, alice.UserID, "Is the hearth warm?")
		say(ctx, t, bob, room, "It is. Come in.")
		expect(ctx, t, aliceHears, bob.UserID, "It is. Come in.")

		want := []string{"Is the hearth warm?", "It is. Come in."}
		for _, who := range []*mautrix.Client{alice, bob} {
			if got := history(ctx, t, who, room); !slices.Equal(got, want) {
				t.Errorf("%s reads %q, want %q", who.UserID, got, want)
			}
		}
	})
}

// register opens an account the way clients do: ask, learn the flows, answer.
func register(ctx context.Context, t *testing.T, url, name string) *mautrix.Client {
	t.Helper()
	c, err := mautrix.NewClient(url, "", "")
	if err != nil {
		t.Fatal(err)
	}
	account, err := c.RegisterDummy(ctx, &mautrix.ReqRegister[any]{Username: name, Password: "password of " + name})
	if err != nil {
		t.Fatalf("register %s: %v", name, err)
	}
	c.UserID, c.DeviceID, c.AccessToken = account.UserID, account.DeviceID, account.AccessToken
	return c
}

// createRoom has host make a room that guest is invited to and joins.
func createRoom(ctx context.Context, t *testing.T, host, guest *mautrix.Client) id.RoomID {
	t.Helper()
	room, err := host.CreateRoom(ctx, &mautrix.ReqCreateRoom{
		Name: "Two people", Preset: "private_chat", Invite: []id.UserID{guest.UserID},
	})
	if err != nil {
		t.Fatalf("create room: %v", err)
	}
	if _, err := guest.JoinRoomByID(ctx, room.RoomID); err != nil {
		t.Fatalf("join: %v", err)
	}
	return room.RoomID
}

func say(ctx context.Context, t *testing.T, who *mautrix.Client, room id.RoomID, text string) {
	t.Helper()
	if _, err := who.SendText(ctx, room, text); err != nil {
		t.Fatalf("%s cannot speak: %v", who.UserID, err)
	}
}

// listen syncs who until the test ends and passes on the messages of others.
func listen(ctx context.Context, t *testing.T, who *mautrix.Client) <-chan *event.Event {
	heard := make(chan *event.Event, 100)
	who.Syncer.(*mautrix.DefaultSyncer).OnEventType(event.EventMessage, func(_ context.Context, ev *event.Event) {
		if ev.Sender != who.UserID {
			heard <- ev
		}
	})
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := who.SyncWithContext(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("%s: /sync: %v", who.UserID, err)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return heard
}

func expect(ctx context.Context, t *testing.T, heard <-chan *event.Event, sender id.UserID, text string) {
	t.Helper()
	select {
	case ev := <-heard:
		if got := ev.Content.AsMessage().Body; ev.Sender != sender || got != text {
			t.Errorf("heard %q from %s, want %q from %s", got, ev.Sender, text, sender)
		}
	case <-ctx.Done():
		t.Fatalf("nobody heard %q", text)
	}
}

// history is the messages of a room as /messages gives them, oldest first.
// Small pages, so that paging is part of it.
func history(ctx context.Context, t *testing.T, who *mautrix.Client, room id.RoomID) []string {
	t.Helper()
	var texts []string
	for from := ""; ; {
		page, err := who.Messages(ctx, room, from, "", mautrix.DirectionBackward, nil, 3)
		if err != nil {
			t.Fatalf("%s: /messages: %v", who.UserID, err)
		}
		for _, ev := range page.Chunk {
			if ev.Type == event.EventMessage {
				texts = append(texts, text(t, ev))
			}
		}
		if page.End == "" || len(page.Chunk) == 0 {
			slices.Reverse(texts)
			return texts
		}
		from = page.End
	}
}

// text is what a message says.
func text(t *testing.T, ev *event.Event) string {
	t.Helper()
	if ev.Content.Parsed == nil {
		if err := ev.Content.ParseRaw(ev.Type); err != nil {
			t.Fatalf("%s: %v", ev.ID, err)
		}
	}
	return ev.Content.AsMessage().Body
}
