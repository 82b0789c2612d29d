package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/limit"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// challenged returns the question that an operation asks.
func challenged(t *testing.T, err error) *Challenge {
	t.Helper()
	c, ok := errors.AsType[*Challenge](err)
	if !ok {
		t.Fatalf("got %v, want a question", err)
	}
	return c
}

func TestTokenIsKeptInReserve(t *testing.T) {
	each(t, func(o *Options) { o.Mode = Token }, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		one := int64(1)
		must(e.CreateToken(ctx, RegistrationToken{Token: "once", UsesAllowed: &one}))
		pending := func() int64 { return must(e.Token(ctx, "once")).Pending }

		// Alice shows the token, but takes a name that somebody else was faster with.
		q := challenged(t, second(e.Register(ctx, Registration{Username: "alice", Password: "x"}, nil, "")))
		must(e.Create(ctx, NewUser{Localpart: "alice"}))
		_, err := e.Register(ctx, Registration{}, &Auth{Type: stageToken, Token: "once", Session: q.Session}, "")
		wantCode(t, err, mxerr.UserInUse)
		if pending() != 1 || must(e.TokenValid(ctx, "once")) {
			t.Error("the token is not kept for her")
		}
		// Bob cannot take it from her.
		other := challenged(t, second(e.Register(ctx, Registration{Username: "bob", Password: "x"}, &Auth{Type: stageToken, Token: "once"}, "")))
		if other.Code != mxerr.Unauthorized {
			t.Errorf("bob was told %s", other.Code)
		}
		// She goes on in the same session.
		g, err := e.Register(ctx, Registration{Username: "alice2", Password: "x"}, &Auth{Session: q.Session}, "")
		if err != nil || g.User != "@alice2:example.test" {
			t.Errorf("second name: %v, %v", g.User, err)
		}
		if tok := must(e.Token(ctx, "once")); tok.Pending != 0 || tok.Completed != 1 {
			t.Errorf("token is %+v", tok)
		}
	})
}

func TestTokenIsReleased(t *testing.T) {
	each(t, func(o *Options) { o.Mode = Token }, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		one := int64(1)
		must(e.CreateToken(ctx, RegistrationToken{Token: "once", UsesAllowed: &one}))
		_, err := e.Register(ctx, Registration{Username: "alice"}, &Auth{Type: stageToken, Token: "once"}, "")
		wantCode(t, err, mxerr.MissingParam)
		if must(e.TokenValid(ctx, "once")) {
			t.Error("the token is not in reserve")
		}
		c.pass(interactionLife)
		if !must(e.TokenValid(ctx, "once")) {
			t.Error("the token stays in reserve although its session has expired")
		}
		until := c.now.Add(time.Hour)
		must(e.UpdateToken(ctx, "once", func(t *RegistrationToken) { t.Expires = &until }))
		c.pass(time.Hour)
		if must(e.TokenValid(ctx, "once")) {
			t.Error("the token is valid after its time")
		}
	})
}

// A token that is used up while a session has it in reserve makes no account.
func TestTokenRevokedInBetween(t *testing.T) {
	each(t, func(o *Options) { o.Mode = Token }, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		must(e.CreateToken(ctx, RegistrationToken{Token: "many"}))
		q := challenged(t, second(e.Register(ctx, Registration{}, nil, "")))
		_, err := e.Register(ctx, Registration{Username: "alice"}, &Auth{Type: stageToken, Token: "many", Session: q.Session}, "")
		wantCode(t, err, mxerr.MissingParam)
		if err := e.RevokeToken(ctx, "many"); err != nil {
			t.Fatal(err)
		}
		_, err = e.Register(ctx, Registration{Username: "alice", Password: "x"}, &Auth{Session: q.Session}, "")
		wantCode(t, err, mxerr.Unauthorized)
		if err := e.Available(ctx, "alice"); err != nil {
			t.Errorf("the account was made: %v", err)
		}
	})
}

func TestOpenOnlyOnThisMachine(t *testing.T) {
	each(t, func(o *Options) { o.OpenOnlyFrom = func(addr string) bool { return addr == "127.0.0.1" } }, func(t *testing.T, e *Engine, c *clock) {
		r := Registration{Username: "alice", Password: "x"}
		q := challenged(t, second(e.Register(t.Context(), r, dummy, "192.0.2.1")))
		if fmt.Sprint(q.Flows) != "[{[m.login.registration_token]}]" {
			t.Errorf("from elsewhere: %v", q.Flows)
		}
		must(e.Register(t.Context(), r, dummy, "127.0.0.1"))
	})
}

func TestSessionsOfInteractionAreBounded(t *testing.T) {
	each(t, nil, func(t *testing.T, e *Engine, c *clock) {
		first := challenged(t, second(e.Register(t.Context(), Registration{}, nil, "")))
		for range maxInteractions {
			challenged(t, second(e.Register(t.Context(), Registration{}, nil, "")))
		}
		if n := len(e.uia.byID); n > maxInteractions || len(e.uia.order) > maxInteractions {
			t.Errorf("%d sessions", n)
		}
		_, err := e.Register(t.Context(), Registration{Password: "x"}, &Auth{Type: "m.login.dummy", Session: first.Session}, "")
		wantCode(t, err, mxerr.Unknown)
	})
}

func TestGuessingIsSlow(t *testing.T) {
	each(t, func(o *Options) { o.Limits = limit.New(limit.Default()) }, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		must(e.Create(ctx, NewUser{Localpart: "alice", Password: "right"}))
		login := func(user, pass, addr string) mxerr.Code {
			_, err := e.Login(ctx, LoginRequest{Identifier: Identifier{Type: "m.id.user", User: user}, Password: pass, Addr: addr})
			if err == nil {
				return ""
			}
			return mxerr.From(err).Code
		}
		for range 50 {
			if code := login("alice", "right", "192.0.2.1"); code != "" {
				t.Fatalf("a right password: %s", code)
			}
		}
		for i := range 10 {
			if code := login("alice", "wrong", fmt.Sprint("192.0.2.", i)); code != mxerr.Forbidden {
				t.Fatalf("guess %d: %s", i, code)
			}
		}
		if code := login("@ALICE:example.test", "right", "192.0.2.77"); code != mxerr.LimitExceeded {
			t.Errorf("guess 11 under another spelling: %s", code)
		}
		for i := range 30 {
			login(fmt.Sprint("nobody", i), "wrong", "192.0.2.99")
		}
		if code := login("nobody", "wrong", "192.0.2.99"); code != mxerr.LimitExceeded {
			t.Errorf("an address that tries many users: %s", code)
		}
		must(e.Create(ctx, NewUser{Localpart: "bob", Password: "right"}))
		if code := login("bob", "right", "192.0.2.98"); code != "" {
			t.Errorf("somebody else: %s", code)
		}
	})
}

func TestDeactivationSurvivesACrash(t *testing.T) {
	left := 0
	broken := errors.New("the room engine is down")
	var hook func() error
	each(t, func(o *Options) {
		left, hook = 0, func() error { return broken }
		o.OnDeactivate = func(_ context.Context, user mxid.UserID) error {
			if user != "@alice:example.test" {
				t.Errorf("%s has left", user)
			}
			left++
			return hook()
		}
	}, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		must(e.Create(ctx, NewUser{Localpart: "alice"}))
		if err := e.Deactivate(ctx, "alice", false); err != nil {
			t.Fatal(err)
		}
		hook = func() error { return nil }
		e.finishDeactivations(ctx)
		if left != 2 {
			t.Errorf("alice was told to leave %d times, want 2", left)
		}
		e.finishDeactivations(ctx)
		if left != 2 {
			t.Error("alice was told to leave again")
		}
	})
}

func TestHooksAreTold(t *testing.T) {
	var heard []string
	each(t, func(o *Options) {
		heard = nil
		o.OnProfile = func(_ context.Context, user mxid.UserID, field string, value json.RawMessage) {
			heard = append(heard, fmt.Sprintf("%s=%s", field, value))
		}
		o.DeviceRemoved = func(tx *db.Tx, user, device string) error {
			tx.AfterCommit(func() { heard = append(heard, "-"+device) })
			return nil
		}
	}, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		g := must(e.CreateAndLogin(ctx, NewUser{Localpart: "alice", Password: "old"}, "A", "", false))
		must(e.LoginAs(ctx, g.User, "B", "", false))
		for _, name := range []string{`"Al"`, ` "Al" `, `null`, `null`} {
			if err := e.SetProfileField(ctx, g.User, "displayname", json.RawMessage(name)); err != nil {
				t.Error(err)
			}
		}
		s := must(e.Authenticate(ctx, g.AccessToken, Client{}))
		if err := e.ChangePassword(ctx, s, "new", true, &Auth{Type: stagePassword, Password: "old"}, ""); err != nil {
			t.Error(err)
		}
		if err := e.RemoveDevices(ctx, g.User, []string{"B", "C", "\x00"}); err != nil {
			t.Error(err)
		}
		if err := e.LogoutAll(ctx, g.User); err != nil {
			t.Error(err)
		}
		if got, want := fmt.Sprint(heard), `[displayname="Al" displayname= -B -A]`; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	})
}

// second drops what comes before an error.
func second[T any](_ T, err error) error { return err }
