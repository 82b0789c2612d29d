package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"hearth/base/config"
	"hearth/e2e"
)

// TestCaptcha: people who register solve a captcha first, in their client or on
// our page, and nobody gets in when it cannot be checked.
func TestCaptcha(t *testing.T) {
	var down atomic.Bool
	verify := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down.Load():
			w.WriteHeader(http.StatusBadGateway)
		case r.FormValue("secret") == "private" && r.FormValue("response") == "solved" && r.FormValue("remoteip") == "127.0.0.1":
			_, _ = io.WriteString(w, `{"success": true}`)
		default:
			_, _ = io.WriteString(w, `{"success": false, "error-codes": ["invalid-input-response"]}`)
		}
	}))
	t.Cleanup(verify.Close)
	h := newHouse(t, "", func(c *config.Config) {
		c.Registration.Mode = "open"
		c.Captcha = config.Captcha{PublicKey: "public", PrivateKey: "private", SiteVerify: verify.URL}
	})
	want := map[string]any{"username": "alice", "password": e2e.Password("alice")}
	solve := func(session, response string) map[string]any {
		return map[string]any{"username": "alice", "password": e2e.Password("alice"), "auth": map[string]any{"type": "m.login.recaptcha", "session": session, "response": response}}
	}
	q := h.challenged(t, v3+"/register", want, "")
	if len(q.Flows) != 1 || strings.Join(q.Flows[0].Stages, " ") != "m.login.recaptcha" {
		t.Errorf("flows: %v", q.Flows)
	}
	if key := q.Params["m.login.recaptcha"].(map[string]any)["public_key"]; key != "public" {
		t.Errorf("params: %v", q.Params)
	}
	for _, wrong := range []string{"", "guessed"} {
		if q := h.challenged(t, v3+"/register", solve(q.Session, wrong), ""); q.Code != "M_CAPTCHA_INVALID" || len(q.Completed) != 0 {
			t.Errorf("response %q: %+v", wrong, q)
		}
	}
	down.Store(true)
	if q := h.challenged(t, v3+"/register", solve(q.Session, "solved"), ""); q.Code != "M_UNKNOWN" || len(q.Completed) != 0 {
		t.Errorf("when it cannot be checked: %+v", q)
	}
	if status, _, text := h.browse(t, http.MethodPost, v3+"/auth/m.login.recaptcha/fallback/web?session="+q.Session, url.Values{"g-recaptcha-response": {"solved"}}); status != 200 || !strings.Contains(text, "try again later") {
		t.Errorf("the page when it cannot be checked: %d %s", status, text)
	}
	down.Store(false)
	alice := e2e.NewClient(h.url, h.http)
	if res := ask(t, alice, http.MethodPost, v3+"/register", solve(q.Session, "solved")); res["user_id"] != "@alice:example.test" {
		t.Errorf("alice: %v", res)
	}

	want["username"] = "bob"
	q = h.challenged(t, v3+"/register", want, "")
	page := v3 + "/auth/m.login.recaptcha/fallback/web?session=" + q.Session
	if _, _, text := h.browse(t, http.MethodGet, page, nil); !strings.Contains(text, `data-sitekey="public"`) {
		t.Errorf("the page: %s", text)
	}
	if _, _, text := h.browse(t, http.MethodPost, page, url.Values{"g-recaptcha-response": {"guessed"}}); !strings.Contains(text, "not been solved") || !strings.Contains(text, "data-sitekey") {
		t.Errorf("a wrong one: %s", text)
	}
	if _, _, text := h.browse(t, http.MethodPost, page, url.Values{"g-recaptcha-response": {"solved"}}); !strings.Contains(text, "done.js") {
		t.Errorf("the right one: %s", text)
	}
	want["auth"] = map[string]any{"session": q.Session}
	if res := ask(t, alice, http.MethodPost, v3+"/register", want); res["user_id"] != "@bob:example.test" {
		t.Errorf("bob: %v", res)
	}
}
