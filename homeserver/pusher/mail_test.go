package pusher_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/mail"
	"hearth/base/store"
	"hearth/homeserver/pusher"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// clock is a time that passes when a test says so.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*timer]struct{}
}

type timer struct {
	clock *clock
	at    time.Time
	f     func()
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration, f func()) pusher.Stopper {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{c, c.now.Add(d), f}
	c.timers[t] = struct{}{}
	return t
}

func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	_, was := t.clock.timers[t]
	delete(t.clock.timers, t)
	return was
}

// pass lets time pass, and runs what is due.
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	for t := range c.timers {
		if !t.at.After(c.now) {
			due = append(due, t.f)
			delete(c.timers, t)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

func (c *clock) armed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers) > 0
}

// postHouse is a house from which mail goes to bob.
type postHouse struct {
	*house
	sent chan mail.Message

	mu     sync.Mutex
	owner  string // of bob's address
	refuse int
}

func withMail(t *testing.T, f func(h *postHouse)) {
	each(t, func(plain *house) {
		h := &postHouse{house: plain, sent: make(chan mail.Message, 100), owner: bob}
		h.engine.Stop()
		h.clock = &clock{now: time.Now(), timers: map[*timer]struct{}{}}
		h.mail = &pusher.Mail{
			Server: "test", PublicURL: "https://test", Secret: []byte("secret"),
			Send: func(_ context.Context, m mail.Message) error {
				h.mu.Lock()
				defer h.mu.Unlock()
				if h.refuse > 0 {
					h.refuse--
					return errors.New("the mail server is away")
				}
				h.sent <- m
				return nil
			},
			Owns: func(_ context.Context, user, address string) (bool, error) {
				h.mu.Lock()
				defer h.mu.Unlock()
				return user == h.owner && address == "bob@example.org", nil
			},
		}
		h.start()
		if err := h.engine.Set(h.Context(), mailTo("Bob@Example.org"), true); err != nil {
			h.Fatal(err)
		}
		f(h)
	})
}

func mailTo(address string) store.Pusher {
	return store.Pusher{
		User: bob, App: "m.email", Key: address, Kind: pusher.Email, AppName: "Mail", DeviceName: address, Lang: "en", Device: "PHONE", Data: []byte("{}"),
	}
}

// waiting waits until n messages are on their way to bob, and when they go is known.
func (h *postHouse) waiting(n int) {
	h.Helper()
	h.until(func(have []store.Push) bool { return len(have) == n && (n == 0 || h.clock.armed()) }, fmt.Sprintf("%d wait", n))
}

// queued waits until an event waits for the mail about it; others may be gone by
// then.
func (h *postHouse) queued(id string) {
	h.Helper()
	ev, err := h.rooms.EventByID(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	is := func(p store.Push) bool { return p.Event == ev.NID }
	h.until(func(have []store.Push) bool { return slices.ContainsFunc(have, is) && h.clock.armed() }, id+" waits")
}

// until looks at what waits for bob's mail until it is as wanted.
func (h *postHouse) until(done func(have []store.Push) bool, want string) {
	h.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		var have []store.Push
		err := h.db.Read(h.Context(), func(tx *db.Tx) error {
			all, err := store.PushersOf(tx, bob)
			if err == nil && len(all) == 1 {
				have, err = store.Pushes(tx, all[0].ID, 1000)
			}
			return err
		})
		if err != nil {
			h.Fatal(err)
		}
		if done(have) {
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("%d wait, want: %s", len(have), want)
		}
		time.Sleep(time.Millisecond) // there is nothing to wait for but the store
	}
}

func (h *postHouse) mailed() mail.Message {
	h.Helper()
	select {
	case m := <-h.sent:
		return m
	case <-time.After(10 * time.Second):
		h.Fatal("no mail came")
		return mail.Message{}
	}
}

func (h *postHouse) silence() {
	h.Helper()
	select {
	case m := <-h.sent:
		h.Errorf("a mail came: %s", m.Subject)
	default:
	}
}

// TestMailAboutWhatWasMissed: one mail ten minutes after the first message that
// bob did not read, about all of them.
func TestMailAboutWhatWasMissed(t *testing.T) {
	withMail(t, func(h *postHouse) {
		h.say("supper & <b>wine</b>")
		h.waiting(1)
		h.clock.pass(9 * time.Minute)
		for i := range 7 {
			h.say(fmt.Sprint("come ", i))
		}
		h.waiting(8)
		h.silence()
		h.clock.pass(time.Minute)
		m := h.mailed()
		if m.To != "bob@example.org" || m.Subject != "[test] 8 messages in Kitchen" {
			h.Errorf("to %s: %s", m.To, m.Subject)
		}
		for text, want := range map[string][]string{
			m.Text: {"Somebody: supper & <b>wine</b>", "come 3", "and 3 more", "https://matrix.to/#/" + h.room.ID, "for @bob:test"},
			m.HTML: {"supper &amp; &lt;b&gt;wine&lt;/b&gt;", "come 3", "and 3 more"},
		} {
			for _, w := range want {
				if !strings.Contains(text, w) {
					h.Errorf("there is no %q in\n%s", w, text)
				}
			}
		}
		h.waiting(0)
	})
}

// TestNoMailAboutAnsweredInvites: who has come need not be told that they may.
func TestNoMailAboutAnsweredInvites(t *testing.T) {
	withMail(t, func(h *postHouse) {
		invited := func(name string) *room.Room {
			r, err := h.rooms.Create(h.Context(), alice, room.CreateRequest{Name: name})
			if err == nil {
				err = h.rooms.Invite(h.Context(), alice, r.ID, bob, "")
			}
			if err != nil {
				h.Fatal(err)
			}
			return r
		}
		cellar := invited("Cellar")
		invited("Attic")
		if err := h.rooms.Join(h.Context(), bob, cellar.ID, room.JoinRequest{}); err != nil {
			h.Fatal(err)
		}
		h.room = cellar
		h.queued(h.say("wine"))
		h.clock.pass(10 * time.Minute)
		m := h.mailed()
		if m.Subject != "[test] 2 messages in 2 rooms" || strings.Count(m.Text, "invites you") != 1 || !strings.Contains(m.Text, "Attic") || !strings.Contains(m.Text, "wine") {
			h.Errorf("%s\n%s", m.Subject, m.Text)
		}
	})
}

// TestNoMailAboutWhatWasRead, and less and less about what is not.
func TestNoMailAboutWhatWasRead(t *testing.T) {
	withMail(t, func(h *postHouse) {
		id := h.say("supper")
		h.waiting(1)
		if err := h.receipts.Set(h.Context(), h.room, bob, receipt.Private, "", id); err != nil {
			h.Fatal(err)
		}
		h.clock.pass(10 * time.Minute)
		h.waiting(0)
		h.silence()

		for _, pause := range []time.Duration{10 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute} {
			h.say("again")
			h.waiting(1)
			h.clock.pass(pause - time.Second)
			h.waiting(1)
			h.silence()
			h.clock.pass(time.Second)
			h.mailed()
			h.waiting(0)
		}
		last := h.say("and again")
		h.waiting(1)
		if err := h.receipts.Set(h.Context(), h.room, bob, receipt.Read, "", last); err != nil {
			h.Fatal(err)
		}
		h.clock.pass(80 * time.Minute)
		h.waiting(0)
		h.say("welcome back")
		h.waiting(1)
		h.clock.pass(10 * time.Minute)
		h.mailed()
	})
}

// TestMailServerIsAway: the mail goes when it is back.
func TestMailServerIsAway(t *testing.T) {
	withMail(t, func(h *postHouse) {
		h.refuse = 2
		h.say("supper")
		for _, pause := range []time.Duration{10 * time.Minute, time.Second, 2 * time.Second} {
			h.waiting(1)
			h.silence()
			h.clock.pass(pause)
		}
		h.mailed()
	})
}

// TestMailOnlyToOnesOwn: bob cannot have mail sent to others, and gets none at an
// address that he has given up.
func TestMailOnlyToOnesOwn(t *testing.T) {
	withMail(t, func(h *postHouse) {
		if err := h.engine.Set(h.Context(), mailTo("eve@example.org"), true); mxerr.From(err).Code != mxerr.ThreepidNotFound {
			h.Errorf("eve's address: %v", err)
		}
		wrong := mailTo("bob@example.org")
		wrong.App = "org.example"
		if err := h.engine.Set(h.Context(), wrong, true); mxerr.From(err).Code != mxerr.InvalidParam {
			h.Errorf("another app_id: %v", err)
		}
		h.say("supper")
		h.waiting(1)
		h.mu.Lock()
		h.owner = alice
		h.mu.Unlock()
		h.clock.pass(10 * time.Minute)
		for deadline := time.Now().Add(10 * time.Second); ; {
			all, err := h.engine.Pushers(h.Context(), bob)
			if err != nil || len(all) == 0 {
				break
			}
			if time.Now().After(deadline) {
				h.Fatal("the pusher is still there")
			}
			time.Sleep(time.Millisecond) // as above
		}
		h.silence()
	})
}

// TestUnsubscribe by the link of a mail, and only by that.
func TestUnsubscribe(t *testing.T) {
	withMail(t, func(h *postHouse) {
		h.say("supper")
		h.waiting(1)
		h.clock.pass(10 * time.Minute)
		m := h.mailed()
		link, err := url.Parse(strings.Trim(m.Headers["List-Unsubscribe"], "<>"))
		if err != nil || !strings.Contains(m.Text, link.String()) || link.Path != "/_matrix/client/unsubscribe" {
			h.Fatalf("link %v, %v", link, err)
		}
		q := link.Query()
		if h.engine.CheckUnsubscribe(alice, q.Get("a"), q.Get("h")) == nil {
			h.Error("the link is good for alice, too")
		}
		if err := h.engine.CheckUnsubscribe(q.Get("u"), q.Get("a"), q.Get("h")); err != nil {
			h.Error(err)
		}
		if err := h.engine.Unsubscribe(h.Context(), q.Get("u"), q.Get("a")); err != nil {
			h.Error(err)
		}
		if all, err := h.engine.Pushers(h.Context(), bob); err != nil || len(all) != 0 {
			h.Errorf("left: %v %v", all, err)
		}
	})
}
