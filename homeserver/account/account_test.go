package account

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"hearth/auth/password"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/matrix/mxerr"
)

// cheap hashes let tests make many accounts.
var cheap = password.Cost{Memory: 64, Passes: 1, Threads: 1}

// clock is a time that a test turns.
type clock struct{ now time.Time }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

// each runs f on both databases with a fresh engine that change has set up.
func each(t *testing.T, change func(*Options), f func(t *testing.T, e *Engine, c *clock)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		c := &clock{time.UnixMilli(1_800_000_000_000)}
		o := Options{
			ServerName: "example.test",
			Mode:       Open,
			Hasher:     password.New(password.Options{Cost: cheap}),
			Now:        func() time.Time { return c.now },
		}
		if change != nil {
			change(&o)
		}
		f(t, New(d, o), c)
	})
}

func wantCode(t *testing.T, err error, code mxerr.Code) {
	t.Helper()
	var got mxerr.Code
	if e, ok := errors.AsType[*mxerr.Error](err); ok {
		got = e.Code
	}
	if got != code {
		t.Errorf("error is %v, want %s", err, code)
	}
}

// must ends the test if something failed that is not its subject.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var dummy = &Auth{Type: "m.login.dummy"}

func TestRegisterLoginAuthenticateLogout(t *testing.T) {
	each(t, nil, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		g := must(e.Register(ctx, Registration{Username: "Alice", Password: "wonderland"}, dummy, "127.0.0.1"))
		if g.User != "@alice:example.test" {
			t.Fatalf("registered as %s", g.User)
		}
		login := LoginRequest{Identifier: Identifier{Type: "m.id.user", User: "alice"}, Password: "wonderland"}
		for _, name := range []string{"alice", "ALICE", "@alice:example.test", "@Alice:example.test"} {
			login.Identifier.User = name
			if _, err := e.Login(ctx, login); err != nil {
				t.Errorf("login as %s: %v", name, err)
			}
		}
		login.Password = "wrong"
		_, err := e.Login(ctx, login)
		wantCode(t, err, mxerr.Forbidden)
		login.Identifier.User = "@alice:elsewhere.test"
		_, err = e.Login(ctx, login)
		wantCode(t, err, mxerr.Forbidden)

		s := must(e.Authenticate(ctx, g.AccessToken, Client{Addr: "192.0.2.1"}))
		if s.User != g.User || s.Device != g.Device || s.Admin || s.Guest {
			t.Errorf("session is %+v", s)
		}
		again := must(e.Authenticate(ctx, g.AccessToken, Client{}))
		if again != s {
			t.Error("the session was not cached")
		}
		if err := e.Logout(ctx, s); err != nil {
			t.Fatal(err)
		}
		_, err = e.Authenticate(ctx, g.AccessToken, Client{})
		wantCode(t, err, mxerr.UnknownToken)
		if n := len(must(e.Devices(ctx, g.User))); n != 4 {
			t.Errorf("%d devices are left, want the 4 that logged in", n)
		}
	})
}

func TestTakenAndBadNames(t *testing.T) {
	each(t, func(o *Options) { o.Exclusive = func(l string) bool { return l == "bridge" } }, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		must(e.Create(ctx, NewUser{Localpart: "alice"}))
		for name, code := range map[string]mxerr.Code{
			"alice": mxerr.UserInUse, "ALICE": mxerr.UserInUse, "é": mxerr.InvalidUsername, "a b": mxerr.InvalidUsername,
			"@bob:example.test": mxerr.InvalidUsername, "bridge": mxerr.Exclusive,
		} {
			// Before authentication: nobody should solve a challenge in vain.
			_, err := e.Register(ctx, Registration{Username: name, Password: "x"}, nil, "")
			wantCode(t, err, code)
		}
		g, err := e.Register(ctx, Registration{Password: "x"}, dummy, "")
		if err != nil || g.User.Localpart() == "" {
			t.Errorf("without a name: %v, %v", g.User, err)
		}
	})
}

func TestContextIsHonoured(t *testing.T) {
	each(t, nil, func(t *testing.T, e *Engine, c *clock) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := e.Create(ctx, NewUser{Localpart: "late"}); err == nil {
			t.Error("an account was made for a client that had gone")
		}
	})
}

// An account that came from another server has that server's kind of hash until
// its owner logs in.
func TestImportedHashIsReplaced(t *testing.T) {
	each(t, func(o *Options) { o.Hasher = password.New(password.Options{Cost: cheap, Pepper: "chili"}) }, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		user := must(e.Create(ctx, NewUser{Localpart: "alice"}))
		stored := func() string { return must(e.find(ctx, "alice")).Password }
		err := e.db.Write(ctx, func(tx *db.Tx) error {
			return store.RehashPassword(tx, string(user), "", "$2b$05$4fc/Vjv8BUtLGupGg1N0DO5fQmoy/vLx7Xot1AFJYD9uUO8t5VFWi")
		})
		if err != nil {
			t.Fatal(err)
		}
		login := LoginRequest{Identifier: Identifier{Type: "m.id.user", User: "alice"}, Password: "wrong"}
		_, err = e.Login(ctx, login)
		wantCode(t, err, mxerr.Forbidden)
		if !strings.HasPrefix(stored(), "$2b$") {
			t.Error("a wrong password has replaced the hash")
		}
		login.Password = "pw"
		must(e.Login(ctx, login))
		if !strings.HasPrefix(stored(), "$argon2id$") {
			t.Errorf("the hash is still %s", stored())
		}
		must(e.Login(ctx, login))
	})
}
