package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"hearth/base/config"
	"hearth/e2e"
)

// counted is a server with its limits on, behind a proxy that says where
// requests come from.
func counted(t *testing.T) *house {
	return newHouse(t, "", func(c *config.Config) {
		c.Limits.Enabled = true
		c.Listen.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
}

// from makes one request from an address, and reports whether it was refused
// for coming too often. Such a refusal must say when to try again.
func (h *house) from(t *testing.T, addr, token, method, path string, body any) (tooOften bool) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", addr)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := h.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusTooManyRequests {
		return false
	}
	var says struct {
		Code  string `json:"errcode"`
		Text  string `json:"error"`
		Retry int64  `json:"retry_after_ms"`
	}
	if err := json.NewDecoder(res.Body).Decode(&says); err != nil || says.Code != "M_LIMIT_EXCEEDED" || says.Text == "" || says.Retry <= 0 {
		t.Errorf("%s %s: 429 with %+v (%v), want M_LIMIT_EXCEEDED with retry_after_ms", method, path, says, err)
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || int64(s)*1000 < says.Retry {
		t.Errorf("%s %s: Retry-After %q does not fit retry_after_ms %d", method, path, res.Header.Get("Retry-After"), says.Retry)
	}
	return true
}

// until repeats a request until it comes too often, which must be after at
// least burst times.
func until(t *testing.T, what string, burst int, request func(n int) (tooOften bool)) {
	t.Helper()
	for n := range 3000 {
		if request(n) {
			if n < burst {
				t.Errorf("%s: refused after %d times, want at least %d", what, n, burst)
			}
			return
		}
	}
	t.Errorf("%s: never refused", what)
}

func login(user, password string) map[string]any {
	return map[string]any{
		"type": "m.login.password", "password": password,
		"identifier": map[string]string{"type": "m.id.user", "user": user},
	}
}

const v3 = "/_matrix/client/v3"

// TestGuessingPasswords: one account is guarded from many addresses, and many
// accounts from one address.
func TestGuessingPasswords(t *testing.T) {
	h := counted(t)
	h.user(t, "alice")
	h.user(t, "bob")
	guess := func(addr, user string) bool {
		return h.from(t, addr, "", http.MethodPost, v3+"/login", login(user, "not it"))
	}
	until(t, "guesses at alice", 10, func(n int) bool { return guess(fmt.Sprintf("192.0.2.%d", n), "alice") })
	if guess("198.51.100.1", "bob") {
		t.Error("bob pays for those who guess at alice")
	}
	until(t, "guesses from one address", 30, func(n int) bool { return guess("203.0.113.9", fmt.Sprintf("nobody%d", n)) })
	if h.from(t, "203.0.113.10", "", http.MethodPost, v3+"/login", login("bob", e2e.Password("bob"))) {
		t.Error("bob pays for his neighbour's guesses")
	}
}

func TestManyRegistrations(t *testing.T) {
	h := counted(t)
	register := func(addr string) bool {
		return h.from(t, addr, "", http.MethodPost, v3+"/register", map[string]any{"username": "x"})
	}
	until(t, "registrations from one address", 20, func(int) bool { return register("192.0.2.1") })
	if register("192.0.2.2") {
		t.Error("one address pays for another")
	}
	// A household has 2^64 addresses.
	until(t, "registrations from one network", 20, func(n int) bool { return register(fmt.Sprintf("2001:db8::%x", n)) })
	if register("2001:db8:0:1::1") {
		t.Error("one network pays for another")
	}
}

func TestManyMessages(t *testing.T) {
	h := counted(t)
	alice, bob := h.user(t, "alice"), h.user(t, "bob")
	room := room(t, alice, bob)
	send := func(who *e2e.Client, n int) bool {
		path := fmt.Sprintf("%s/rooms/%s/send/m.room.message/%d", v3, url.PathEscape(room), n)
		// From wherever: it is the user who is counted.
		return h.from(t, fmt.Sprintf("192.0.2.%d", n%256), who.Token, http.MethodPut, path, map[string]string{"msgtype": "m.text", "body": "x"})
	}
	until(t, "messages of alice", 100, func(n int) bool { return send(alice, n) })
	if send(bob, 0) {
		t.Error("bob pays for alice")
	}
	if err := alice.Do(t.Context(), http.MethodGet, v3+"/sync?timeout=0", nil, nil); err != nil {
		t.Errorf("alice cannot even read: %v", err)
	}
}
