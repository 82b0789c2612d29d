package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hearth/matrix/mxerr"
)

// book is an Admin that remembers what it was told.
type book struct {
	mu     sync.Mutex
	users  []User
	tokens []RegistrationToken
	calls  []string
}

func (b *book) note(call ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, strings.Join(call, " "))
}

func (b *book) AddUser(_ context.Context, localpart, password string, admin bool, displayName string) (string, error) {
	if localpart == "taken" {
		return "", mxerr.New(mxerr.UserInUse, "The name %s is taken", localpart)
	}
	if localpart == "unlucky" {
		return "", errors.New("disk on fire")
	}
	b.users = append(b.users, User{ID: "@" + localpart + ":a.test", DisplayName: displayName, Admin: admin, CreatedMS: 7})
	return "@" + localpart + ":a.test", nil
}

func (b *book) Users(_ context.Context, from string, limit int) ([]User, error) {
	var out []User
	for _, u := range b.users {
		if u.ID > from && len(out) < limit {
			out = append(out, u)
		}
	}
	return out, nil
}

func (b *book) SetPassword(_ context.Context, user, password string, logout bool) error {
	b.note("password", user, password, map[bool]string{true: "logout"}[logout])
	return nil
}

func (b *book) Deactivate(_ context.Context, user string, erase bool) error {
	b.note("deactivate", user, map[bool]string{true: "erase"}[erase])
	return nil
}

func (b *book) CreateToken(_ context.Context, t RegistrationToken) (RegistrationToken, error) {
	b.tokens = append(b.tokens, t)
	return t, nil
}

func (b *book) Tokens(context.Context) ([]RegistrationToken, error) { return b.tokens, nil }

func (b *book) RevokeToken(_ context.Context, token string) error {
	if len(b.tokens) == 0 || b.tokens[0].Token != token {
		return mxerr.New(mxerr.NotFound, "There is no token %s", token)
	}
	b.tokens = nil
	return nil
}

// serve runs a on a socket and returns its path.
func serve(t *testing.T, a Admin, path string) {
	t.Helper()
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: Handler(a)}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
		if _, err := os.Stat(path); err == nil {
			t.Error("the socket outlived its server")
		}
	})
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEveryVerbCrossesTheSocket(t *testing.T) {
	b := new(book)
	path := filepath.Join(t.TempDir(), SocketName)
	serve(t, b, path)
	c := dial(t, path)
	ctx := t.Context()

	id, err := c.AddUser(ctx, "alice", "pw", true, "Alice")
	if id != "@alice:a.test" || err != nil {
		t.Fatal(id, err)
	}
	if _, err := c.AddUser(ctx, "bob", "pw", false, ""); err != nil {
		t.Fatal(err)
	}
	users, err := c.Users(ctx, "", 1)
	if want := []User{{ID: "@alice:a.test", DisplayName: "Alice", Admin: true, CreatedMS: 7}}; err != nil || !reflect.DeepEqual(users, want) {
		t.Errorf("users %+v, %v", users, err)
	}
	if users, err = c.Users(ctx, "@alice:a.test", 10); err != nil || len(users) != 1 || users[0].ID != "@bob:a.test" {
		t.Errorf("second page %+v, %v", users, err)
	}
	if err := errors.Join(c.SetPassword(ctx, "@a/b:a.test", "new", true), c.Deactivate(ctx, "bob", true)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"password @a/b:a.test new logout", "deactivate bob erase"}; !reflect.DeepEqual(b.calls, want) {
		t.Errorf("calls %q", b.calls)
	}

	uses, expiry := int64(3), int64(1700000000000)
	tok := RegistrationToken{Token: "abc", UsesAllowed: &uses, ExpiryMS: &expiry}
	if got, err := c.CreateToken(ctx, tok); err != nil || !reflect.DeepEqual(got, tok) {
		t.Errorf("created %+v, %v", got, err)
	}
	if got, err := c.Tokens(ctx); err != nil || !reflect.DeepEqual(got, []RegistrationToken{tok}) {
		t.Errorf("tokens %+v, %v", got, err)
	}
	if err := c.RevokeToken(ctx, "abc"); err != nil {
		t.Error(err)
	}
	if got, err := c.Tokens(ctx); err != nil || len(got) != 0 {
		t.Errorf("after revoking %+v, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	serve(t, new(book), path)
	c := dial(t, path)
	_, err := c.AddUser(t.Context(), "taken", "pw", false, "")
	if e, ok := errors.AsType[*mxerr.Error](err); !ok || e.Code != mxerr.UserInUse || e.Text != "The name taken is taken" {
		t.Errorf("taken name: %#v", err)
	}
	if _, err = c.AddUser(t.Context(), "unlucky", "pw", false, ""); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("the operator is not told what failed: %v", err)
	}
	if err := c.RevokeToken(t.Context(), "nope"); err == nil || mxerr.From(err).Code != mxerr.NotFound {
		t.Errorf("unknown token: %v", err)
	}
	if _, err := c.Users(t.Context(), "", 0); err == nil || mxerr.From(err).Code != mxerr.InvalidParam {
		t.Errorf("limit 0: %v", err)
	}
	if err := c.SetPassword(t.Context(), "a", strings.Repeat("x", 1<<20), false); err == nil || mxerr.From(err).Code != mxerr.TooLarge {
		t.Errorf("a password of 1 MiB: %v", err)
	}
}

func TestSocketIsForOwnerAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	serve(t, new(book), path)
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
}

func TestNobodyListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	if _, err := Dial(path); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no socket: %v", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if _, err := Dial(path); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dead socket: %v", err)
	}
	serve(t, new(book), path) // replaces what a crash left
	dial(t, path)
}

// A data directory may be deeper than a socket address is long.
func TestDeepDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, SocketName)
	serve(t, new(book), path)
	if _, err := dial(t, path).Tokens(t.Context()); err != nil {
		t.Error(err)
	}
}
