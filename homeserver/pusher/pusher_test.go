package pusher_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/netguard"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/personal"
	"hearth/homeserver/push"
	"hearth/homeserver/pusher"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
)

const (
	alice = "@alice:test"
	bob   = "@bob:test"
)

type names struct{}

func (names) Profile(context.Context, string) (string, string, error) { return "Somebody", "", nil }

// house is a server with a room, in which alice and bob are.
type house struct {
	testing.TB
	db       *db.DB
	hub      *notify.Hub
	rooms    *room.Engine
	receipts *receipt.Engine
	engine   *pusher.Engine
	room     *room.Room
	vapid    *pusher.VAPID
	mail     *pusher.Mail // nil for none
	clock    *clock       // nil for the real one
	sending  int          // requests at a time; 0 for what is usual
}

func each(t *testing.T, f func(h *house)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		h := &house{TB: t, db: d, hub: notify.NewHub(d.Position())}
		if h.vapid, err = pusher.NewVAPID(key, "https://test"); err != nil {
			t.Fatal(err)
		}
		d.OnCommit(h.hub.Advance)
		h.start()
		if h.room, err = h.rooms.Create(t.Context(), alice, room.CreateRequest{Preset: "public_chat", Name: "Kitchen"}); err != nil {
			t.Fatal(err)
		}
		if err := h.rooms.Join(t.Context(), bob, h.room.ID, room.JoinRequest{}); err != nil {
			t.Fatal(err)
		}
		defer func() { h.engine.Stop() }()
		f(h)
	})
}

// start makes the engines, as after a restart.
func (h *house) start() {
	h.rooms = room.New(room.Config{
		DB: h.db, Hub: h.hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: names{},
	})
	h.receipts = receipt.New(h.db, h.rooms, h.hub)
	data := personal.New(h.db, h.hub)
	counter := push.New(push.Config{DB: h.db, Rooms: h.rooms, Receipts: h.receipts, Personal: data, Hub: h.hub})
	loopback, err := netguard.ParseRanges([]string{"127.0.0.0/8"})
	if err != nil {
		h.Fatal(err)
	}
	c := pusher.Config{
		DB: h.db, Rooms: h.rooms, Push: counter, Receipts: h.receipts, Personal: data, Allowed: loopback, VAPID: h.vapid, Mail: h.mail, MaxSending: h.sending,
	}
	if h.clock != nil {
		c.Now, c.After = h.clock.Now, h.clock.After
	}
	h.engine = pusher.New(c)
	h.engine.Start(h.Context())
}

func (h *house) say(text string) string {
	h.Helper()
	body, _ := json.Marshal(map[string]any{"msgtype": "m.text", "body": text})
	ev, err := h.rooms.Send(h.Context(), h.room.ID, room.Draft{Sender: alice, Type: "m.room.message", Content: body})
	if err != nil {
		h.Fatal(err)
	}
	return ev.ID
}

// gateway is a push gateway that hands on what it gets.
type gateway struct {
	*httptest.Server
	got chan map[string]any
}

func newGateway(t testing.TB, answer func(n int) (status int, body string)) *gateway {
	g := &gateway{got: make(chan map[string]any, 100)}
	n := 0
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Notification map[string]any }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		n++
		status, text := answer(n)
		w.WriteHeader(status)
		io.WriteString(w, text)
		g.got <- body.Notification
	}))
	t.Cleanup(g.Close)
	return g
}

func fine(int) (int, string) { return 200, `{"rejected":[]}` }

func (g *gateway) wait(t testing.TB) map[string]any {
	t.Helper()
	select {
	case n := <-g.got:
		return n
	case <-time.After(10 * time.Second):
		t.Fatal("no notification came")
		return nil
	}
}

func (h *house) phone(url, format string) store.Pusher {
	h.Helper()
	p := store.Pusher{
		User: bob, App: "org.example", Key: "bobs-phone", Kind: pusher.HTTP, AppName: "App", DeviceName: "Phone", Lang: "en", Device: "PHONE",
		Data: fmt.Appendf(nil, `{"url":%q,"format":%q}`, url+"/_matrix/push/v1/notify", format),
	}
	if err := h.engine.Set(h.Context(), p, false); err != nil {
		h.Fatal(err)
	}
	return p
}

func unreadOf(n map[string]any) any { return n["counts"].(map[string]any)["unread"] }

// TestPhoneRings: bob's phone hears of alice's message within a second, and that
// nothing is unread any more once he has read it elsewhere.
func TestPhoneRings(t *testing.T) {
	each(t, func(h *house) {
		g := newGateway(h, fine)
		h.say("before the phone was there")
		h.phone(g.URL, "event_id_only")
		before := time.Now()
		id := h.say("supper")
		n := g.wait(h)
		if d := time.Since(before); d > time.Second {
			h.Errorf("the notification took %s", d)
		}
		if n["event_id"] != id || n["room_id"] != h.room.ID || unreadOf(n) != 2.0 {
			h.Errorf("got %v", n)
		}
		if n["content"] != nil || n["sender"] != nil {
			h.Errorf("event_id_only told more: %v", n)
		}
		if err := h.receipts.Set(h.Context(), h.room, bob, receipt.Read, "", id); err != nil {
			h.Fatal(err)
		}
		if n := g.wait(h); n["event_id"] != nil || unreadOf(n) != 0.0 {
			h.Errorf("after reading, got %v", n)
		}
	})
}

func TestFullFormat(t *testing.T) {
	each(t, func(h *house) {
		g := newGateway(h, fine)
		h.phone(g.URL, "")
		h.say("supper")
		n := g.wait(h)
		device := n["devices"].([]any)[0].(map[string]any)
		if n["sender"] != alice || n["room_name"] != "Kitchen" || n["sender_display_name"] != "Somebody" ||
			n["content"].(map[string]any)["body"] != "supper" || n["prio"] != "high" {
			h.Errorf("got %v", n)
		}
		if device["pushkey"] != "bobs-phone" || device["data"].(map[string]any)["url"] != nil {
			h.Errorf("device %v", device)
		}
	})
}

// TestRejected: a gateway that does not know a phone any more ends its pusher.
func TestRejected(t *testing.T) {
	each(t, func(h *house) {
		g := newGateway(h, func(int) (int, string) { return 200, `{"rejected":["bobs-phone"]}` })
		h.phone(g.URL, "")
		h.say("supper")
		g.wait(h)
		for deadline := time.Now().Add(10 * time.Second); ; {
			if all, err := h.engine.Pushers(h.Context(), bob); err != nil || len(all) == 0 {
				break
			}
			if time.Now().After(deadline) {
				h.Fatal("the pusher is still there")
			}
		}
	})
}

// TestRetry: what a gateway did not take is sent again, in order.
func TestRetry(t *testing.T) {
	each(t, func(h *house) {
		g := newGateway(h, func(n int) (int, string) {
			if n == 1 {
				return 502, "busy"
			}
			return 200, "{}"
		})
		h.phone(g.URL, "event_id_only")
		first := h.say("one")
		g.wait(h)
		second := h.say("two")
		for _, want := range []string{first, second} {
			if n := g.wait(h); n["event_id"] != want {
				h.Errorf("got %v, want %s", n, want)
			}
		}
	})
}

// TestRestart: what was said while nothing followed the stream is told later.
func TestRestart(t *testing.T) {
	each(t, func(h *house) {
		g := newGateway(h, fine)
		h.phone(g.URL, "event_id_only")
		h.engine.Stop()
		id := h.say("supper")
		h.start()
		if n := g.wait(h); n["event_id"] != id {
			h.Errorf("got %v, want %s", n, id)
		}
	})
}

// TestQueueIsBounded: a phone that was away for long hears of the newest only.
func TestQueueIsBounded(t *testing.T) {
	each(t, func(h *house) {
		err := h.db.Write(h.Context(), func(tx *db.Tx) error {
			if err := store.SetPusher(tx, store.Pusher{ID: 1, User: "@x:test", Data: []byte("{}")}); err != nil {
				return err
			}
			for i := range int64(30) {
				if err := store.AddPush(tx, store.Push{Pusher: 1, Event: i + 1, Tweaks: []byte("{}")}); err != nil {
					return err
				}
			}
			if err := store.TrimPushes(tx, 1, 10); err != nil {
				return err
			}
			left, err := store.Pushes(tx, 1, 100)
			if len(left) != 10 || left[0].Event != 21 {
				h.Errorf("%d are left, the first is %d", len(left), left[0].Event)
			}
			return err
		})
		if err != nil {
			h.Fatal(err)
		}
	})
}

// TestLogout: a pusher goes with the device that set it.
func TestLogout(t *testing.T) {
	each(t, func(h *house) {
		h.phone("http://127.0.0.1:1", "")
		if err := h.db.Write(h.Context(), func(tx *db.Tx) error { return h.engine.DeviceRemoved(tx, bob, "PHONE") }); err != nil {
			h.Fatal(err)
		}
		if all, err := h.engine.Pushers(h.Context(), bob); err != nil || len(all) != 0 {
			h.Errorf("left: %v %v", all, err)
		}
	})
}

// TestWebPush: a browser decrypts what its push service got (RFC 8291), which
// knows the server by its key.
func TestWebPush(t *testing.T) {
	each(t, func(h *house) {
		browser, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			h.Fatal(err)
		}
		auth := make([]byte, 16)
		rand.Read(auth)
		type message struct {
			header http.Header
			body   []byte
		}
		got := make(chan message, 10)
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusCreated)
			got <- message{r.Header, body}
		}))
		defer service.Close()
		b64 := base64.RawURLEncoding
		err = h.engine.Set(h.Context(), store.Pusher{
			User: bob, App: "web", Key: b64.EncodeToString(browser.PublicKey().Bytes()), Kind: pusher.WebPush, AppName: "a", DeviceName: "b", Lang: "en",
			Data: fmt.Appendf(nil, `{"url":%q,"auth":%q}`, service.URL+"/x", b64.EncodeToString(auth)),
		}, true)
		if err != nil {
			h.Fatal(err)
		}
		id := h.say("supper")
		var m message
		select {
		case m = <-got:
		case <-time.After(10 * time.Second):
			h.Fatal("no message came")
		}
		var n map[string]any
		if err := json.Unmarshal(decrypt(h, browser, auth, m.body), &n); err != nil {
			h.Fatal(err)
		}
		if n["event_id"] != id || n["content"].(map[string]any)["body"] != "supper" {
			h.Errorf("got %v", n)
		}
		if m.header.Get("Content-Encoding") != "aes128gcm" || m.header.Get("TTL") == "" {
			h.Errorf("headers %v", m.header)
		}
		checkVAPID(h, m.header.Get("Authorization"), h.vapid.Public(), service.URL)

		// A push service takes 4096 bytes: first the content is left out, then all but
		// where the event is.
		for _, long := range []string{"message", "name"} {
			switch text := strings.Repeat("x", 5000); long {
			case "message":
				id = h.say(text)
			case "name":
				key, name := "", fmt.Appendf(nil, `{"name":%q}`, text)
				ev, err := h.rooms.Send(h.Context(), h.room.ID, room.Draft{Sender: alice, Type: "m.room.name", StateKey: &key, Content: name})
				if err != nil {
					h.Fatal(err)
				}
				if id = h.say("soup"); id == ev.ID {
					h.Fatal("the name was no event")
				}
			}
			for n = nil; n["event_id"] != id; {
				select {
				case m = <-got:
				case <-time.After(10 * time.Second):
					h.Fatalf("no message with a long %s came", long)
				}
				n = nil
				if err := json.Unmarshal(decrypt(h, browser, auth, m.body), &n); err != nil {
					h.Fatal(err)
				}
			}
			if len(m.body) > 4096 || n["content"] != nil || n["room_id"] != h.room.ID || n["counts"] == nil || (n["sender"] == alice) != (long == "message") {
				h.Errorf("a long %s: %d bytes with %v", long, len(m.body), n)
			}
		}
	})
}

func decrypt(t testing.TB, browser *ecdh.PrivateKey, auth, body []byte) []byte {
	t.Helper()
	salt, public := body[:16], body[21:21+body[20]]
	sender, err := ecdh.P256().NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := browser.ECDH(sender)
	if err != nil {
		t.Fatal(err)
	}
	key := func(secret, salt []byte, info string, n int) []byte {
		out, err := hkdf.Key(sha256.New, secret, salt, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	ikm := key(shared, auth, "WebPush: info\x00"+string(browser.PublicKey().Bytes())+string(public), 32)
	block, err := aes.NewCipher(key(ikm, salt, "Content-Encoding: aes128gcm\x00", 16))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, key(ikm, salt, "Content-Encoding: nonce\x00", 12), body[21+len(public):], nil)
	if err != nil {
		t.Fatal(err)
	}
	if plain[len(plain)-1] != 2 {
		t.Fatal("the record is not marked as the last")
	}
	return plain[:len(plain)-1]
}

func checkVAPID(t testing.TB, header, public, audience string) {
	t.Helper()
	token, key, ok := strings.Cut(strings.TrimPrefix(header, "vapid t="), ", k=")
	parts := strings.Split(token, ".")
	if !ok || key != public || len(parts) != 3 {
		t.Fatalf("Authorization: %s", header)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(key)
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
	if !ecdsa.Verify(pub, digest[:], bigInt(sig[:32]), bigInt(sig[32:])) {
		t.Error("the signature is wrong")
	}
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var c struct {
		Aud string
		Exp int64
	}
	if json.Unmarshal(claims, &c) != nil || c.Aud != audience || c.Exp < time.Now().Unix() || c.Exp > time.Now().Add(24*time.Hour).Unix() {
		t.Errorf("claims %s", claims)
	}
}

// TestSwitchedOff: bob's other device silences his phone, which stays the phone's
// pusher. When it is on again it hears of what comes then, and not of what was said
// meanwhile, also after a restart.
func TestSwitchedOff(t *testing.T) {
	each(t, func(h *house) {
		g := newGateway(h, fine)
		phone := h.phone(g.URL, "event_id_only")
		set := func(off bool) {
			p := phone
			p.Off, p.Device = off, "LAPTOP"
			if err := h.engine.Set(h.Context(), p, false); err != nil {
				h.Fatal(err)
			}
			all, err := h.engine.Pushers(h.Context(), bob)
			if err != nil || len(all) != 1 || all[0].Off != off || all[0].Device != "PHONE" {
				h.Fatalf("bob's pushers: %+v, %v", all, err)
			}
		}
		first := h.say("one")
		if n := g.wait(h); n["event_id"] != first {
			h.Errorf("got %v", n)
		}
		set(true)
		h.say("two")
		h.engine.Stop()
		h.start()
		set(false)
		h.engine.Stop()
		h.start()
		third := h.say("three")
		if n := g.wait(h); n["event_id"] != third {
			h.Errorf("got %v, want what was said when the phone was on again", n)
		}
	})
}
