package gosdk

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"hearth/e2e"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// TestBridge: a bridge of the framework that most bridges are made of is
// registered with the file it writes, finds the server, brings a person of another
// network into a room, and hears what is said there, also what was said while it
// was away.
func TestBridge(t *testing.T) {
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		address := freeTCP(t)
		registration := appservice.CreateRegistration()
		registration.ID, registration.URL, registration.SenderLocalpart = "irc", "http://"+address, "ircbot"
		registration.EphemeralEvents, registration.MSC3202 = true, true
		limited := false
		registration.RateLimited = &limited
		registration.Namespaces.UserIDs.Register(regexp.MustCompile(`@irc_.*:example\.test`), true)
		file := filepath.Join(t.TempDir(), "irc.yaml")
		if err := registration.Save(file); err != nil {
			t.Fatal(err)
		}
		h.Stop(t)
		h.Configure(t, fmt.Sprintf("[appservices]\nfiles = [%q]\n", file))
		h.Restart(t)

		heard := make(chan *event.Event, 100)
		bridge, stop := runBridge(ctx, t, h.URL, registration, address, heard)
		if err := bridge.BotIntent().EnsureRegistered(ctx); err != nil {
			t.Fatalf("the bridge's own user: %v", err)
		}
		bridge.BotIntent().EnsureAppserviceConnection(ctx) // ends the program if the ping fails

		alice := register(ctx, t, h.URL, "alice")
		ghost := bridge.Intent(id.NewUserID("irc_carol", "example.test"))
		if err := ghost.SetDisplayName(ctx, "Carol (IRC)"); err != nil {
			t.Fatal(err)
		}
		made, err := bridge.BotIntent().CreateRoom(ctx, &mautrix.ReqCreateRoom{
			Name: "A bridged room", Preset: "private_chat", Invite: []id.UserID{alice.UserID, ghost.UserID},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := ghost.EnsureJoined(ctx, made.RoomID); err != nil {
			t.Fatal(err)
		}
		if _, err := alice.JoinRoomByID(ctx, made.RoomID); err != nil {
			t.Fatal(err)
		}
		aliceHears := listen(ctx, t, alice)
		if _, err := ghost.SendText(ctx, made.RoomID, "Hello from IRC"); err != nil {
			t.Fatal(err)
		}
		expect(ctx, t, aliceHears, ghost.UserID, "Hello from IRC")
		say(ctx, t, alice, made.RoomID, "Hello to IRC")
		expectOf(ctx, t, heard, alice.UserID, "Hello to IRC")

		stop()
		say(ctx, t, alice, made.RoomID, "Are you there?")
		bridge, _ = runBridge(ctx, t, h.URL, registration, address, heard)
		bridge.BotIntent().EnsureAppserviceConnection(ctx)
		expectOf(ctx, t, heard, alice.UserID, "Are you there?")
	})
}

// runBridge starts a bridge that passes on the messages that it is told.
func runBridge(ctx context.Context, t *testing.T, url string, r *appservice.Registration, address string, heard chan<- *event.Event) (as *appservice.AppService, stop func()) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	as, err = appservice.CreateFull(appservice.CreateOpts{
		Registration: r, HomeserverDomain: "example.test", HomeserverURL: url,
		HostConfig: appservice.HostConfig{Hostname: host, Port: uint16(number)},
	})
	if err != nil {
		t.Fatal(err)
	}
	processor := appservice.NewEventProcessor(as)
	processor.On(event.EventMessage, func(_ context.Context, ev *event.Event) { heard <- ev })
	processor.Start(ctx)
	go as.Start()
	var stopped bool
	stop = func() {
		if !stopped {
			as.Stop()
			processor.Stop()
		}
		stopped = true
	}
	t.Cleanup(stop)
	return as, stop
}

func expectOf(ctx context.Context, t *testing.T, heard <-chan *event.Event, sender id.UserID, text string) {
	t.Helper()
	for {
		select {
		case ev := <-heard:
			if ev.Sender == sender && ev.Content.AsMessage().Body == text {
				return
			}
		case <-ctx.Done():
			t.Fatalf("the bridge never heard %q", text)
		}
	}
}

// freeTCP finds a port of 127.0.0.1 that nobody has.
func freeTCP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
