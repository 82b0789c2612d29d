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
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// TestBridge: a bridge of the framework that most bridges are made of is
// registered with the file it writes, finds the server, brings a person of another
// network into a room, and hears what is said there and what passes, also what was
// said while it was away and the server was started anew. Its person has a device
// without anybody logging in, and gets messages to it.
func TestBridge(t *testing.T) {
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		address := freeTCP(t)
		registration := appservice.CreateRegistration()
		registration.ID, registration.URL, registration.SenderLocalpart = "irc", "http://"+address, "ircbot"
		registration.EphemeralEvents, registration.SoruEphemeralEvents, registration.MSC3202, registration.MSC4190 = true, true, true, true
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

		heard, keys := make(chan *event.Event, 100), make(chan *mautrix.OTKCount, 100)
		bridge, stop := runBridge(ctx, t, h.URL, registration, address, heard, keys)
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

		then := time.UnixMilli(1_500_000_000_000)
		sent, err := ghost.SendMessageEvent(ctx, made.RoomID, event.EventMessage, &event.MessageEventContent{MsgType: event.MsgText, Body: "Long ago"}, mautrix.ReqSendEvent{Timestamp: then.UnixMilli()})
		if err != nil {
			t.Fatal(err)
		}
		expect(ctx, t, aliceHears, ghost.UserID, "Long ago")
		if ev, err := alice.GetEvent(ctx, made.RoomID, sent.EventID); err != nil || ev.Timestamp != then.UnixMilli() {
			t.Errorf("what was said long ago is from %v, %v", ev, err)
		}

		if _, err := alice.UserTyping(ctx, made.RoomID, true, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		expectType(ctx, t, heard, event.EphemeralEventTyping)
		if err := alice.SendReceipt(ctx, made.RoomID, sent.EventID, event.ReceiptTypeRead, nil); err != nil {
			t.Fatal(err)
		}
		expectType(ctx, t, heard, event.EphemeralEventReceipt)
		if err := ghost.CreateDeviceMSC4190(ctx, "BRIDGE", "Carol on IRC"); err != nil {
			t.Fatal(err)
		}
		if me, err := ghost.Whoami(ctx); err != nil || me.DeviceID != "BRIDGE" || me.UserID != ghost.UserID {
			t.Errorf("carol is %+v, %v", me, err)
		}
		signed := func(key id.Ed25519) mautrix.OneTimeKey {
			return mautrix.OneTimeKey{Key: id.Curve25519(key), Signatures: signatures.NewSingleSignature(ghost.UserID, id.KeyAlgorithmEd25519, "BRIDGE", "x")}
		}
		if _, err := ghost.UploadKeys(ctx, &mautrix.ReqUploadKeys{OneTimeKeys: map[id.KeyID]mautrix.OneTimeKey{
			"signed_curve25519:AAA": signed("a"), "signed_curve25519:AAB": signed("b"),
		}}); err != nil {
			t.Fatal(err)
		}
		if _, err := alice.ClaimKeys(ctx, &mautrix.ReqClaimKeys{OneTimeKeys: mautrix.OneTimeKeysRequest{
			ghost.UserID: {"BRIDGE": id.KeyAlgorithmSignedCurve25519},
		}}); err != nil {
			t.Fatal(err)
		}
		select {
		case count := <-keys:
			if count.UserID != ghost.UserID || count.DeviceID != "BRIDGE" || count.SignedCurve25519 != 1 {
				t.Errorf("carol has left %+v", count)
			}
		case <-ctx.Done():
			t.Fatal("the bridge never heard that a key is gone")
		}
		secret := event.NewEventType("test.secret")
		secret.Class = event.ToDeviceEventType
		if _, err := alice.SendToDevice(ctx, secret, &mautrix.ReqSendToDevice{Messages: map[id.UserID]map[id.DeviceID]*event.Content{
			ghost.UserID: {"BRIDGE": {Raw: map[string]any{"hush": true}}},
		}}); err != nil {
			t.Fatal(err)
		}
		if ev := expectType(ctx, t, heard, secret); ev.ToUserID != ghost.UserID || ev.ToDeviceID != "BRIDGE" || ev.Sender != alice.UserID {
			t.Errorf("carol's device got %+v", ev)
		}

		stop()
		say(ctx, t, alice, made.RoomID, "Are you there?")
		h.Stop(t)
		h.Restart(t)
		bridge, _ = runBridge(ctx, t, h.URL, registration, address, heard, keys)
		bridge.BotIntent().EnsureAppserviceConnection(ctx)
		expectOf(ctx, t, heard, alice.UserID, "Are you there?")
	})
}

// runBridge starts a bridge that passes on the messages that it is told.
func runBridge(ctx context.Context, t *testing.T, url string, r *appservice.Registration, address string, heard chan<- *event.Event, keys chan<- *mautrix.OTKCount) (as *appservice.AppService, stop func()) {
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
	for _, typ := range []event.Type{event.EventMessage, event.EphemeralEventTyping, event.EphemeralEventReceipt, {Type: "test.secret", Class: event.ToDeviceEventType}} {
		processor.On(typ, func(_ context.Context, ev *event.Event) { heard <- ev })
	}
	processor.OnOTK(func(_ context.Context, count *mautrix.OTKCount) { keys <- count })
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
			if ev.Type == event.EventMessage && ev.Sender == sender && ev.Content.AsMessage().Body == text {
				return
			}
		case <-ctx.Done():
			t.Fatalf("the bridge never heard %q", text)
		}
	}
}

func expectType(ctx context.Context, t *testing.T, heard <-chan *event.Event, typ event.Type) *event.Event {
	t.Helper()
	for {
		select {
		case ev := <-heard:
			if ev.Type == typ {
				return ev
			}
		case <-ctx.Done():
			t.Fatalf("the bridge never heard of %s", typ.Type)
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
