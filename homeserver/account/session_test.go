package account

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/base/db/dbtest"
	"hearth/base/store/storetest"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (e *Engine) works(t *testing.T, token string) bool {
	t.Helper()
	_, err := e.Authenticate(t.Context(), token, Client{Addr: "192.0.2.1"})
	if err != nil {
		wantCode(t, err, mxerr.UnknownToken)
	}
	return err == nil
}

func TestRefresh(t *testing.T) {
	each(t, nil, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		first := must(e.CreateAndLogin(ctx, NewUser{Localpart: "alice"}, "", "", true))
		if first.ExpiresIn != e.TokenLife || !e.works(t, first.AccessToken) {
			t.Fatalf("first: %+v", first)
		}
		lost := must(e.Refresh(ctx, first.RefreshToken))
		if !e.works(t, first.AccessToken) {
			t.Error("the old access token ended before the new one arrived")
		}
		// The answer was lost, so the client asks again.
		second := must(e.Refresh(ctx, first.RefreshToken))
		if e.works(t, lost.AccessToken) {
			t.Error("the tokens of a lost answer work")
		}
		if _, err := e.Refresh(ctx, lost.RefreshToken); err == nil {
			t.Error("the refresh token of a lost answer works")
		}
		if !e.works(t, second.AccessToken) {
			t.Error("the second access token does not work")
		}
		if e.works(t, first.AccessToken) {
			t.Error("the first access token works although its successor is in use")
		}
		_, err := e.Refresh(ctx, first.RefreshToken)
		wantCode(t, err, mxerr.UnknownToken)
		if e, _ := errors.AsType[*mxerr.Error](err); e.Fields["soft_logout"] != true {
			t.Errorf("a dead refresh token: %v", e.Fields)
		}

		// A client that refreshes twice in a row without a request between.
		third := must(e.Refresh(ctx, second.RefreshToken))
		fourth := must(e.Refresh(ctx, third.RefreshToken))
		if _, err := e.Refresh(ctx, second.RefreshToken); err == nil {
			t.Error("a refresh token works although its successor was used")
		}
		c.pass(e.TokenLife)
		_, err = e.Authenticate(ctx, third.AccessToken, Client{})
		wantCode(t, err, mxerr.UnknownToken)
		if e, _ := errors.AsType[*mxerr.Error](err); e.Fields["soft_logout"] != true {
			t.Errorf("an expired access token: %v", e.Fields)
		}
		fifth := must(e.Refresh(ctx, fourth.RefreshToken))
		s := must(e.Authenticate(ctx, fifth.AccessToken, Client{}))
		if s.Device != first.Device {
			t.Errorf("the device is now %s", s.Device)
		}
		if err := e.Logout(ctx, s); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Refresh(ctx, fifth.RefreshToken); err == nil {
			t.Error("a refresh token works after logout")
		}
	})
}

func TestSameDeviceLogsInAgain(t *testing.T) {
	each(t, nil, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		g := must(e.CreateAndLogin(ctx, NewUser{Localpart: "alice"}, "PHONE", "My phone", false))
		if !e.works(t, g.AccessToken) {
			t.Fatal("token does not work")
		}
		c.pass(1000 * 24 * time.Hour)
		if !e.works(t, g.AccessToken) {
			t.Error("a token without refresh has expired")
		}
		again := must(e.LoginAs(ctx, g.User, "PHONE", "Other name", false))
		if e.works(t, g.AccessToken) || !e.works(t, again.AccessToken) {
			t.Error("the new login did not take over")
		}
		d := must(e.Device(ctx, g.User, "PHONE"))
		if d.Name != "My phone" {
			t.Errorf("the device is now called %q", d.Name)
		}
	})
}

func TestLastSeenIsWrittenLater(t *testing.T) {
	each(t, nil, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		g := must(e.CreateAndLogin(ctx, NewUser{Localpart: "alice"}, "PHONE", "", false))
		if d := must(e.Device(ctx, g.User, "PHONE")); !d.LastSeen.IsZero() {
			t.Errorf("seen at %v before any request", d.LastSeen)
		}
		at := c.now
		agent := strings.Repeat("x", 254) + "é, and a sea lion"
		must(e.Authenticate(ctx, g.AccessToken, Client{"192.0.2.1", agent}))
		c.pass(time.Second)
		must(e.Authenticate(ctx, g.AccessToken, Client{Addr: "192.0.2.2"}))
		for _, where := range []string{"memory", "database"} {
			d := must(e.Device(ctx, g.User, "PHONE"))
			if !d.LastSeen.Equal(at) || d.IP != "192.0.2.1" || d.Agent != agent[:256] {
				t.Errorf("in %s: %v from %s by %q", where, d.LastSeen, d.IP, d.Agent)
			}
			e.Start(ctx)
			e.Stop()
			if n := len(e.seen.take()); n != 0 {
				t.Errorf("%d sightings are left after Stop", n)
			}
		}
		c.pass(2 * time.Minute)
		must(e.Authenticate(ctx, g.AccessToken, Client{"192.0.2.2", "\xff" + agent[:253] + "é"}))
		e.flushSeen(ctx)
		if d := must(e.Device(ctx, g.User, "PHONE")); d.IP != "192.0.2.2" || d.Agent != agent[:253]+"é" {
			t.Errorf("seen last from %s by %q", d.IP, d.Agent)
		}
	})
}

// A logout must win against a request that read the token just before.
func TestLogoutWhileTokenIsRead(t *testing.T) {
	c := newSessions()
	key := hash("token")
	_, age := c.get(key)
	c.drop("@alice:example.test", "PHONE")
	c.add(key, &Session{User: "@alice:example.test", Device: "PHONE"}, age)
	if s, _ := c.get(key); s != nil {
		t.Error("a session that has ended is remembered")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	c := newSessions()
	for i := range maxSessions + 1000 {
		c.add(hash(fmt.Sprint(i)), &Session{User: mxid.UserID(fmt.Sprint("@", i%100, ":x")), Device: fmt.Sprint(i)}, 0)
		if s, _ := c.get(hash("7")); i >= 7 && s == nil {
			t.Fatalf("a session in steady use was thrown away for number %d", i)
		}
	}
	if len(c.at) != maxSessions || len(c.slots) != maxSessions {
		t.Errorf("%d sessions in %d slots", len(c.at), len(c.slots))
	}
	for i := range 100 {
		c.drop(mxid.UserID(fmt.Sprint("@", i, ":x")), "")
	}
	if len(c.at) != 0 || len(c.of) != 0 {
		t.Errorf("%d sessions of %d users are left", len(c.at), len(c.of))
	}
}

func TestManyAtOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		g := must(e.CreateAndLogin(ctx, NewUser{Localpart: "alice", Password: "x"}, "", "", true))
		var all sync.WaitGroup
		errs := make(chan error, 100)
		for i := range 16 {
			all.Go(func() {
				_, err := e.Authenticate(ctx, g.AccessToken, Client{})
				errs <- err
			})
			all.Go(func() {
				_, err := e.LoginAs(ctx, g.User, fmt.Sprint("D", i%4), "", false)
				errs <- err
			})
			all.Go(func() {
				_, err := e.Create(ctx, NewUser{Localpart: fmt.Sprint("u", i%4)})
				if err != nil {
					wantCode(t, err, mxerr.UserInUse)
				}
			})
		}
		all.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
		if n := len(must(e.Devices(ctx, g.User))); n != 5 {
			t.Errorf("%d devices, want 5", n)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	e := New(storetest.Open(b, dbtest.SQLite(b)), Options{ServerName: "example.test"})
	g := must(e.CreateAndLogin(b.Context(), NewUser{Localpart: "alice"}, "", "", false))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := e.Authenticate(b.Context(), g.AccessToken, Client{Addr: "192.0.2.1"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What waits to be written is bounded. Devices that are in it already are still
// followed, and the others' turn comes when it was written.
func TestManySeen(t *testing.T) {
	s := newSeen()
	for i := range maxSeen + 1 {
		s.note("@alice:test", fmt.Sprint(i), Client{}, 1)
	}
	s.note("@alice:test", "0", Client{}, 2)
	if note, _ := s.latest("@alice:test", "0"); len(s.notes) != maxSeen || note.at != 2 {
		t.Errorf("%d wait, the first from %d", len(s.notes), note.at)
	}
	s.take()
	s.note("@alice:test", fmt.Sprint(maxSeen), Client{}, 3)
	if _, ok := s.latest("@alice:test", fmt.Sprint(maxSeen)); !ok {
		t.Error("nothing is noted any more")
	}
}
