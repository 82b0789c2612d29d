package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"hearth/base/config"
	"hearth/base/db/dbtest"
	"hearth/base/mail/mailtest"
	"hearth/e2e"
)

// postal is a house that sends mail, and the server that takes it.
type postal struct {
	*house
	*mailtest.Server
}

func withMail(t *testing.T, change func(*config.Config), f func(t *testing.T, p postal)) {
	onBothWith(t, func(t *testing.T, database string) {
		s := mailtest.New(t, false)
		h := newHouse(t, database, func(c *config.Config) {
			c.Mail = config.Mail{SMTP: s.Addr, TLS: "none", From: "Hearth <hearth@example.test>"}
			c.Listen.PublicURL = "https://matrix.example.test/"
			if change != nil {
				change(c)
			}
		})
		f(t, postal{h, s})
	})
}

// onBothWith runs f with a database of each kind; "" is SQLite.
func onBothWith(t *testing.T, f func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, "") })
	t.Run("postgres", func(t *testing.T) { f(t, dbtest.Postgres(t)) })
}

var linkIn = regexp.MustCompile(`https://matrix\.example\.test(/\S+)`)

// link is the path that the next mail to somebody leads to.
func (p postal) link(t *testing.T, to string) string {
	t.Helper()
	m := p.Next(t)
	if m.To != to {
		t.Errorf("the mail went to %s, want %s", m.To, to)
	}
	_, body, _ := strings.Cut(m.Data, "\r\n\r\n")
	text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	found := linkIn.FindSubmatch(text)
	if found == nil {
		t.Fatalf("there is no link in\n%s", text)
	}
	return string(found[1])
}

// browse is what a browser does with a page: it follows no redirect here.
func (h *house) browse(t *testing.T, method, path string, form url.Values) (status int, location, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	browser := *h.http
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), string(body)
}

// question is what a request under user-interactive authentication answers first.
type question struct {
	Session   string
	Flows     []struct{ Stages []string }
	Completed []string
	Params    map[string]any
	Code      string `json:"errcode"`
}

func (h *house) challenged(t *testing.T, path string, body map[string]any, token string) (q question) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+path, strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := h.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&q); err != nil || res.StatusCode != 401 || q.Session == "" {
		t.Fatalf("%s: %d, %v, %+v", path, res.StatusCode, err, q)
	}
	return q
}

func (p postal) prove(t *testing.T, who *e2e.Client, what, address string) map[string]any {
	t.Helper()
	creds := map[string]any{"client_secret": "s3cret" + strings.ReplaceAll(what, "/", ".")}
	res := ask(t, who, http.MethodPost, v3+what+"/email/requestToken", map[string]any{"client_secret": creds["client_secret"], "email": address, "send_attempt": 1})
	creds["sid"] = res["sid"]
	path := p.link(t, strings.ToLower(address))
	if status, _, text := p.browse(t, http.MethodGet, path, nil); status != 200 || !strings.Contains(text, `<form method="post">`) {
		t.Errorf("the page: %d %s", status, text)
	}
	if status, _, text := p.browse(t, http.MethodPost, path, url.Values{}); status != 200 || strings.Contains(text, "does not work") {
		t.Errorf("confirm: %d %s", status, text)
	}
	return creds
}

// TestForgottenPassword: alice proves her address, forgets her password, and
// comes back in by the mail she gets.
func TestForgottenPassword(t *testing.T) {
	withMail(t, nil, func(t *testing.T, p postal) {
		alice, bob := p.user(t, "alice"), p.user(t, "bob")
		creds := p.prove(t, alice, "/account/3pid", "Alice@Example.org")
		q := p.challenged(t, v3+"/account/3pid/add", creds, alice.Token)
		auth := map[string]any{"type": "m.login.password", "password": e2e.Password("alice"), "session": q.Session}
		ask(t, alice, http.MethodPost, v3+"/account/3pid/add", map[string]any{"sid": creds["sid"], "client_secret": creds["client_secret"], "auth": auth})
		list := ask(t, alice, http.MethodGet, v3+"/account/3pid", nil)["threepids"].([]any)
		if len(list) != 1 || list[0].(map[string]any)["address"] != "alice@example.org" {
			t.Errorf("alice's addresses: %v", list)
		}
		refused(t, bob, http.MethodPost, v3+"/account/3pid/email/requestToken", map[string]any{"client_secret": "x", "email": "ALICE@example.org", "send_attempt": 1}, "M_THREEPID_IN_USE")

		// She logs in by her address.
		byMail := map[string]any{"type": "m.login.password", "password": e2e.Password("alice"), "identifier": map[string]string{"type": "m.id.thirdparty", "medium": "email", "address": "alice@EXAMPLE.org"}}
		if res := ask(t, e2e.NewClient(p.url, p.http), http.MethodPost, v3+"/login", byMail); res["user_id"] != alice.UserID {
			t.Errorf("login by mail: %v", res)
		}

		nobody := e2e.NewClient(p.url, p.http)
		// Who asks is not told which addresses have accounts; their owners are.
		ask(t, nobody, http.MethodPost, v3+"/account/password/email/requestToken", map[string]any{"client_secret": "x", "email": "nobody@example.org", "send_attempt": 1})
		if m := p.Next(t); m.To != "nobody@example.org" || !strings.Contains(m.Data, "You have no account") || linkIn.MatchString(m.Data) {
			t.Errorf("to somebody without an account: %+v", m)
		}
		lost := map[string]any{"new_password": "new one"}
		q = p.challenged(t, v3+"/account/password", lost, "")
		// What was proved for something else opens nothing.
		reset := func(creds map[string]any) map[string]any {
			return map[string]any{"new_password": "new one", "auth": map[string]any{"type": "m.login.email.identity", "session": q.Session, "threepid_creds": creds}}
		}
		if q := p.challenged(t, v3+"/account/password", reset(creds), ""); q.Code != "M_UNAUTHORIZED" {
			t.Errorf("with another proof: %+v", q)
		}
		creds = p.prove(t, nobody, "/account/password", "alice@example.org")
		ask(t, nobody, http.MethodPost, v3+"/account/password", reset(creds))
		byMail["password"] = "new one"
		ask(t, nobody, http.MethodPost, v3+"/login", byMail)
		refused(t, alice, http.MethodGet, v3+"/account/whoami", nil, "M_UNKNOWN_TOKEN") // all devices are logged out
		// The proof is used up.
		q = p.challenged(t, v3+"/account/password", lost, "")
		if q := p.challenged(t, v3+"/account/password", reset(creds), ""); q.Code != "M_UNAUTHORIZED" {
			t.Errorf("a second time: %+v", q)
		}
	})
}

// TestMailAboutMessages: alice asks for it at her own address only. What goes into
// it, and when, is tested in package pusher.
func TestMailAboutMessages(t *testing.T) {
	withMail(t, nil, func(t *testing.T, p postal) {
		alice := p.user(t, "alice")
		pusher := map[string]any{
			"kind": "email", "app_id": "m.email", "pushkey": "alice@example.org", "app_display_name": "Email Notifications",
			"device_display_name": "alice@example.org", "lang": "en", "data": map[string]string{"brand": "Element"}, "append": true,
		}
		refused(t, alice, http.MethodPost, v3+"/pushers/set", pusher, "M_THREEPID_NOT_FOUND")
		creds := p.prove(t, alice, "/account/3pid", "alice@example.org")
		creds["auth"] = map[string]any{"type": "m.login.password", "password": e2e.Password("alice")}
		ask(t, alice, http.MethodPost, v3+"/account/3pid/add", creds)
		ask(t, alice, http.MethodPost, v3+"/pushers/set", pusher)
		if list := ask(t, alice, http.MethodGet, v3+"/pushers", nil)["pushers"].([]any); len(list) != 1 || list[0].(map[string]any)["kind"] != "email" {
			t.Errorf("pushers: %v", list)
		}
		if status, _, _ := p.browse(t, http.MethodPost, "/_matrix/client/unsubscribe?u=@alice:example.test&a=alice@example.org&h=00", url.Values{}); status != 403 {
			t.Errorf("a forged link: %d", status)
		}
	})
}

// TestNoMailTwice: a client that repeats itself sends one mail, and a link that
// was not clicked proves nothing.
func TestNoMailTwice(t *testing.T) {
	withMail(t, nil, func(t *testing.T, p postal) {
		alice := p.user(t, "alice")
		request := map[string]any{"client_secret": "x", "email": "alice@example.org", "send_attempt": 1, "next_link": "https://app.example.org/done?x=1"}
		const path = v3 + "/account/3pid/email/requestToken"
		sid := ask(t, alice, http.MethodPost, path, request)["sid"]
		first := p.link(t, "alice@example.org")
		if again := ask(t, alice, http.MethodPost, path, request)["sid"]; again != sid {
			t.Errorf("another session: %v, %v", sid, again)
		}
		request["send_attempt"] = 2
		ask(t, alice, http.MethodPost, path, request)
		second := p.link(t, "alice@example.org")
		p.None(t)
		if _, _, text := p.browse(t, http.MethodPost, first, url.Values{}); !strings.Contains(text, "does not work") {
			t.Errorf("the link of the first mail: %s", text)
		}
		p.browse(t, http.MethodGet, second, nil) // by a program that looks at mail
		add := map[string]any{"client_secret": "x", "sid": sid, "auth": map[string]any{"type": "m.login.password", "password": e2e.Password("alice")}}
		refused(t, alice, http.MethodPost, v3+"/account/3pid/add", add, "M_THREEPID_AUTH_FAILED")
		if status, to, _ := p.browse(t, http.MethodPost, second, url.Values{}); status != 303 || to != "https://app.example.org/done?x=1" {
			t.Errorf("confirmed: %d %q", status, to)
		}
		ask(t, alice, http.MethodPost, v3+"/account/3pid/add", add)
		if res := ask(t, alice, http.MethodPost, v3+"/account/3pid/delete", map[string]any{"medium": "email", "address": "alice@example.org"}); res["id_server_unbind_result"] != "no-support" {
			t.Errorf("delete: %v", res)
		}
		for _, bad := range []map[string]any{
			{"client_secret": "x", "email": "nonsense", "send_attempt": 1},
			{"client_secret": "with space", "email": "alice@example.org", "send_attempt": 1},
			{"client_secret": "x", "email": "alice@example.org", "send_attempt": 1, "next_link": "javascript:alert(1)"},
			{"client_secret": "x", "email": "Alice <alice@example.org>", "send_attempt": 1},
			{"client_secret": "x", "email": "alice@example.org\r\nBcc: bob@example.org", "send_attempt": 1},
		} {
			refused(t, alice, http.MethodPost, path, bad, "M_INVALID_PARAM")
		}
	})
}

// TestRegisterWithAddressAndTerms goes through all stages, some in a browser.
func TestRegisterWithAddressAndTerms(t *testing.T) {
	withMail(t, func(c *config.Config) {
		c.Registration.Mode, c.Registration.Email = "token", "required"
		c.Terms = config.Terms{Version: "2026-01", URL: "https://example.test/terms", Privacy: "https://example.test/privacy", For: "everybody"}
	}, func(t *testing.T, p postal) {
		root := p.operatorOf(t)
		refused(t, root, http.MethodPost, v3+"/createRoom", nil, "M_CONSENT_NOT_GIVEN")
		ask(t, root, http.MethodPost, admin+"/registration_tokens/new", map[string]any{"token": "open.sesame"})
		want := map[string]any{"username": "alice", "password": e2e.Password("alice")}
		q := p.challenged(t, v3+"/register", want, "")
		if len(q.Flows) != 1 || strings.Join(q.Flows[0].Stages, " ") != "m.login.registration_token m.login.terms m.login.email.identity" {
			t.Errorf("flows: %v", q.Flows)
		}
		policies := q.Params["m.login.terms"].(map[string]any)["policies"].(map[string]any)
		if len(policies) != 2 || policies["terms_of_service"].(map[string]any)["version"] != "2026-01" {
			t.Errorf("params: %v", q.Params)
		}
		in := func(stage string) string { return v3 + "/auth/" + stage + "/fallback/web?session=" + q.Session }
		if _, _, text := p.browse(t, http.MethodPost, in("m.login.registration_token"), url.Values{"token": {"wrong"}}); !strings.Contains(text, "Invalid registration token") {
			t.Errorf("a wrong token: %s", text)
		}
		if _, _, text := p.browse(t, http.MethodPost, in("m.login.registration_token"), url.Values{"token": {"open.sesame"}}); !strings.Contains(text, "done.js") {
			t.Errorf("the token: %s", text)
		}
		if _, _, text := p.browse(t, http.MethodGet, in("m.login.terms"), nil); !strings.Contains(text, "https://example.test/privacy") {
			t.Errorf("the terms: %s", text)
		}
		body := map[string]any{"auth": map[string]any{"type": "m.login.terms", "session": q.Session}}
		if q := p.challenged(t, v3+"/register", body, ""); len(q.Completed) != 2 {
			t.Errorf("completed: %v", q.Completed)
		}
		_, _, text := p.browse(t, http.MethodPost, in("m.login.email.identity"), url.Values{"address": {"alice@example.org"}})
		hidden := regexp.MustCompile(`name="(sid|client_secret)" value="([^"]+)"`).FindAllStringSubmatch(text, -1)
		if len(hidden) != 2 {
			t.Fatalf("no way on: %s", text)
		}
		creds := url.Values{hidden[0][1]: {hidden[0][2]}, hidden[1][1]: {hidden[1][2]}}
		if _, _, text := p.browse(t, http.MethodPost, in("m.login.email.identity"), creds); !strings.Contains(text, "not been confirmed") {
			t.Errorf("too early: %s", text)
		}
		p.browse(t, http.MethodPost, p.link(t, "alice@example.org"), url.Values{})
		if _, _, text := p.browse(t, http.MethodPost, in("m.login.email.identity"), creds); !strings.Contains(text, "done.js") {
			t.Errorf("the address: %s", text)
		}
		alice := e2e.NewClient(p.url, p.http)
		res := ask(t, alice, http.MethodPost, v3+"/register", map[string]any{"auth": map[string]any{"session": q.Session}})
		alice.Token = res["access_token"].(string)
		ask(t, alice, http.MethodPost, v3+"/createRoom", nil) // she has agreed
		if list := ask(t, alice, http.MethodGet, v3+"/account/3pid", nil)["threepids"].([]any); len(list) != 1 {
			t.Errorf("alice's addresses: %v", list)
		}

		ask(t, alice, http.MethodPost, v3+"/register/email/requestToken", map[string]any{"client_secret": "x", "email": "alice@example.org", "send_attempt": 1})
		if m := p.Next(t); !strings.Contains(m.Data, "You have an account") || linkIn.MatchString(m.Data) {
			t.Errorf("to somebody with an account: %+v", m)
		}

		// Who was here before agrees later.
		var refusal map[string]any
		if err := root.Do(t.Context(), http.MethodPost, v3+"/createRoom", nil, nil); err != nil {
			se, _ := errors.AsType[*e2e.StatusError](err)
			_, uri, _ := strings.Cut(se.Message, "https://matrix.example.test")
			refusal = map[string]any{"uri": uri}
		}
		uri := refusal["uri"].(string)
		if status, _, _ := p.browse(t, http.MethodPost, strings.Replace(uri, "root", "alice", 1), url.Values{}); status != 403 {
			t.Errorf("a forged link: %d", status)
		}
		if _, _, text := p.browse(t, http.MethodGet, uri, nil); !strings.Contains(text, "I agree") {
			t.Errorf("the page: %s", text)
		}
		p.browse(t, http.MethodPost, uri, url.Values{})
		ask(t, root, http.MethodPost, v3+"/createRoom", nil)
	})
}

// TestPhone: alice adds her number, logs in by it, and gets a new password by it.
func TestPhone(t *testing.T) {
	onBothWith(t, func(t *testing.T, database string) {
		texts := make(chan string, 10)
		gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var m struct{ To, Text string }
			if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.To != "+447700900001" {
				t.Errorf("%+v, %v", m, err)
			}
			texts <- m.Text
		}))
		defer gateway.Close()
		h := newHouse(t, database, func(c *config.Config) { c.SMS.URL, c.Listen.PublicURL = gateway.URL, "https://matrix.example.test" })
		alice := h.user(t, "alice")
		code := func() string {
			select {
			case text := <-texts:
				return regexp.MustCompile(`^\d{6}`).FindString(text)
			case <-time.After(20 * time.Second):
				t.Fatal("no text came")
				return ""
			}
		}
		prove := func(path, secret string) map[string]any {
			res := ask(t, alice, http.MethodPost, v3+path+"/msisdn/requestToken", map[string]any{"client_secret": secret, "country": "GB", "phone_number": "07700 900 001", "send_attempt": 1})
			submit, ok := strings.CutPrefix(res["submit_url"].(string), "https://matrix.example.test")
			if !ok || res["msisdn"] != "447700900001" {
				t.Errorf("requestToken: %v", res)
			}
			creds := map[string]any{"sid": res["sid"], "client_secret": secret}
			right := code()
			for _, try := range []string{"", "x" + right, right} {
				creds["token"] = try
				if got := ask(t, e2e.NewClient(h.url, h.http), http.MethodPost, submit, creds); got["success"] != (try == right) {
					t.Errorf("%q: %v", try, got)
				}
			}
			delete(creds, "token")
			return creds
		}
		add := prove("/account/3pid", "s1")
		add["auth"] = map[string]any{"type": "m.login.password", "password": e2e.Password("alice")}
		ask(t, alice, http.MethodPost, v3+"/account/3pid/add", add)
		byPhone := map[string]any{"type": "m.login.password", "password": e2e.Password("alice"), "identifier": map[string]string{"type": "m.id.phone", "country": "GB", "phone": "07700-900001"}}
		if res := ask(t, e2e.NewClient(h.url, h.http), http.MethodPost, v3+"/login", byPhone); res["user_id"] != alice.UserID {
			t.Errorf("login: %v", res)
		}
		creds := prove("/account/password", "s2")
		q := h.challenged(t, v3+"/account/password", map[string]any{"new_password": "new one"}, "")
		if len(q.Flows) != 1 || q.Flows[0].Stages[0] != "m.login.msisdn" {
			t.Errorf("flows: %v", q.Flows)
		}
		ask(t, e2e.NewClient(h.url, h.http), http.MethodPost, v3+"/account/password", map[string]any{"auth": map[string]any{"type": "m.login.msisdn", "session": q.Session, "threepid_creds": creds}})
		byPhone["password"] = "new one"
		res := ask(t, e2e.NewClient(h.url, h.http), http.MethodPost, v3+"/login", byPhone)
		alice.Token = res["access_token"].(string)

		// On the page for clients that do not know how.
		q = h.challenged(t, v3+"/account/password", map[string]any{"new_password": "newer"}, "")
		at := v3 + "/auth/m.login.msisdn/fallback/web?session=" + q.Session
		_, _, text := h.browse(t, http.MethodPost, at, url.Values{"address": {"+44 7700 900001"}})
		fields := url.Values{}
		for _, f := range regexp.MustCompile(`name="(sid|client_secret)" value="([^"]+)"`).FindAllStringSubmatch(text, -1) {
			fields.Set(f[1], f[2])
		}
		fields.Set("code", "wrong")
		if _, _, text := h.browse(t, http.MethodPost, at, fields); !strings.Contains(text, "This is not the code") {
			t.Errorf("a wrong code: %s", text)
		}
		fields.Set("code", code())
		if _, _, text := h.browse(t, http.MethodPost, at, fields); !strings.Contains(text, "done.js") {
			t.Errorf("the code: %s", text)
		}
		refused(t, alice, http.MethodPost, v3+"/register/msisdn/requestToken", map[string]any{"client_secret": "x", "country": "GB", "phone_number": "07700900002", "send_attempt": 1}, "M_THREEPID_DENIED")
	})
}

// TestWithoutMail: what needs mail says so.
func TestWithoutMail(t *testing.T) {
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	for path, code := range map[string]string{
		"/register/email/requestToken":          "M_THREEPID_MEDIUM_NOT_SUPPORTED",
		"/register/msisdn/requestToken":         "M_THREEPID_MEDIUM_NOT_SUPPORTED",
		"/account/password/email/requestToken":  "M_THREEPID_MEDIUM_NOT_SUPPORTED",
		"/account/password/msisdn/requestToken": "M_THREEPID_MEDIUM_NOT_SUPPORTED",
		"/account/3pid/email/requestToken":      "M_THREEPID_MEDIUM_NOT_SUPPORTED",
		"/account/3pid/msisdn/requestToken":     "M_THREEPID_MEDIUM_NOT_SUPPORTED",
		"/account/3pid":                         "M_THREEPID_AUTH_FAILED",
		"/account/3pid/bind":                    "M_SERVER_NOT_TRUSTED",
	} {
		refused(t, alice, http.MethodPost, v3+path, map[string]any{"client_secret": "x", "email": "a@b.c", "send_attempt": 1}, code)
	}
	refused(t, e2e.NewClient(h.url, h.http), http.MethodPost, v3+"/account/password", map[string]any{"new_password": "x"}, "M_MISSING_TOKEN")
	can := ask(t, alice, http.MethodGet, v3+"/capabilities", nil)["capabilities"].(map[string]any)
	if can["m.3pid_changes"].(map[string]any)["enabled"] != false {
		t.Errorf("capabilities: %v", can)
	}
}

// TestPagesOfTheSpecification: they are there, and hold nothing that a browser
// must be warned of.
func TestPagesOfTheSpecification(t *testing.T) {
	h := newHouse(t, "", nil)
	for _, path := range []string{"/_matrix/static/client/login/", "/_matrix/static/client/register/", "/_matrix/static/page.css", "/_matrix/static/done.js", "/_matrix/static/login.js"} {
		res, err := h.http.Get(h.url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		if strings.HasSuffix(path, "/") && (!strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") || regexp.MustCompile(`<script>|style=|onclick`).Match(text)) {
			t.Errorf("%s: %v\n%s", path, res.Header, text)
		}
	}
	status, _, _ := h.browse(t, http.MethodGet, v3+"/auth/m.login.unheard/fallback/web?session=x", nil)
	if status != 404 {
		t.Errorf("a stage that nobody knows: %d", status)
	}
	if _, _, text := h.browse(t, http.MethodGet, v3+"/auth/m.login.password/fallback/web?session=x", nil); !strings.Contains(text, "too old") {
		t.Errorf("an old session: %s", text)
	}
}
