package clientapi

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hearth/api/httpx"
	"hearth/api/spectest"
	"hearth/auth/password"
	"hearth/base/db/dbtest"
	"hearth/base/store/storetest"
	"hearth/homeserver/account"
	"hearth/matrix/mxid"
)

// house is a server with doors to accounts only, as clients see it.
type house struct {
	t      *testing.T
	engine *account.Engine
	doors  *Accounts
	router *httpx.Router
	now    time.Time
}

func newHouse(t *testing.T, change func(*account.Options)) *house {
	h := &house{t: t, now: time.UnixMilli(1_800_000_000_000)}
	o := account.Options{
		ServerName: "example.test",
		Mode:       account.Open,
		Guests:     true,
		Hasher:     password.New(password.Options{Cost: password.Cost{Memory: 64, Passes: 1, Threads: 1}}),
		Now:        func() time.Time { return h.now },
	}
	if change != nil {
		change(&o)
	}
	h.engine = account.New(storetest.Open(t, dbtest.SQLite(t)), o)
	h.doors = &Accounts{Engine: h.engine}
	h.router = httpx.NewRouter(httpx.Config{Auth: h.doors, Log: slog.New(slog.DiscardHandler)})
	h.router.Add(h.doors.Routes()...)
	return h
}

// answer is a decoded JSON answer with its status.
type answer struct {
	status int
	body   map[string]any
}

func (a answer) str(key string) string {
	s, _ := a.body[key].(string)
	return s
}

// call sends a request to a path below /_matrix/client, or to a whole path.
func (h *house) call(token, method, path, body string) answer {
	h.t.Helper()
	if !strings.HasPrefix(path, "/_") {
		path = "/_matrix/client" + path
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.router.ServeHTTP(w, r)
	if err := spectest.Check(method, r.URL.EscapedPath(), w.Code, w.Body.Bytes()); err != nil {
		h.t.Error(err)
	}
	a := answer{status: w.Code}
	if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
		h.t.Fatalf("%s %s answered %d %q, which is not a JSON object", method, path, w.Code, w.Body)
	}
	return a
}

// want is a call that must answer with status, and errcode unless that is "".
func (h *house) want(status int, errcode, token, method, path, body string) answer {
	h.t.Helper()
	a := h.call(token, method, path, body)
	if a.status != status || a.str("errcode") != errcode {
		h.t.Errorf("%s %s %s: %d %v, want %d %s", method, path, body, a.status, a.body, status, errcode)
	}
	return a
}

// register makes an account in one request.
func (h *house) register(name, more string) answer {
	h.t.Helper()
	return h.want(200, "", "", "POST", "/v3/register",
		fmt.Sprintf(`{"username":%q,"password":"pw-%s","auth":{"type":"m.login.dummy"}%s}`, name, name, more))
}

func TestFromRegistrationToLogout(t *testing.T) {
	h := newHouse(t, nil)
	asked := h.want(401, "", "", "POST", "/v3/register", `{"username":"alice","password":"pw-alice"}`)
	if _, shown := asked.body["error"]; shown {
		t.Error("the first question looks like an error")
	}
	first := h.want(200, "", "", "POST", "/v3/register",
		fmt.Sprintf(`{"auth":{"type":"m.login.dummy","session":%q}}`, asked.str("session")))
	if first.str("user_id") != "@alice:example.test" || first.str("device_id") == "" || first.str("home_server") != "example.test" {
		t.Errorf("registered: %v", first.body)
	}

	me := h.want(200, "", first.str("access_token"), "GET", "/r0/account/whoami", "")
	if me.str("user_id") != "@alice:example.test" || me.str("device_id") != first.str("device_id") || me.body["is_guest"] != false {
		t.Errorf("whoami: %v", me.body)
	}
	h.want(200, "", "", "GET", "/v3/account/whoami?access_token="+first.str("access_token"), "")

	flows := h.want(200, "", "", "GET", "/v3/login", "")
	if fmt.Sprint(flows.body["flows"]) != "[map[type:m.login.password] map[get_login_token:true type:m.login.token]]" {
		t.Errorf("flows: %v", flows.body)
	}
	second := h.want(200, "", "", "POST", "/v3/login", `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},
		"password":"pw-alice","device_id":"PHONE","initial_device_display_name":"My phone","refresh_token":true}`)
	if second.body["expires_in_ms"] != 900000.0 || second.str("refresh_token") == "" || second.str("device_id") != "PHONE" {
		t.Errorf("login: %v", second.body)
	}
	h.now = h.now.Add(time.Hour)
	gone := h.want(401, "M_UNKNOWN_TOKEN", second.str("access_token"), "GET", "/v3/account/whoami", "")
	if gone.body["soft_logout"] != true {
		t.Errorf("expired: %v", gone.body)
	}
	third := h.want(200, "", "", "POST", "/v3/refresh", fmt.Sprintf(`{"refresh_token":%q}`, second.str("refresh_token")))
	h.want(200, "", third.str("access_token"), "GET", "/v3/account/whoami", "")
	h.want(401, "M_UNKNOWN_TOKEN", "", "POST", "/v3/refresh", fmt.Sprintf(`{"refresh_token":%q}`, second.str("refresh_token")))

	h.want(200, "", third.str("access_token"), "POST", "/v3/logout", "")
	h.want(401, "M_UNKNOWN_TOKEN", third.str("access_token"), "POST", "/v3/logout", "{}")
	h.want(200, "", first.str("access_token"), "GET", "/v3/account/whoami", "")
	h.want(200, "", first.str("access_token"), "POST", "/v3/logout/all", "{}")
	h.want(401, "M_UNKNOWN_TOKEN", first.str("access_token"), "GET", "/v3/account/whoami", "")
}

// The line that set-up guides tell people to type.
func TestLoginAsTheGuidesDo(t *testing.T) {
	h := newHouse(t, nil)
	h.register("test", "")
	a := h.want(200, "", "", "POST", "/r0/login", `{
  "identifier": { "type": "m.id.user", "user": "test" },
  "password": "pw-test",
  "type": "m.login.password"
}`)
	turn := h.want(200, "", a.str("access_token"), "GET", "/r0/voip/turnServer", "{}")
	if len(turn.body) != 0 {
		t.Errorf("without a relay: %v", turn.body)
	}
}

func TestLoginsThatFail(t *testing.T) {
	h := newHouse(t, nil)
	h.register("alice", "")
	for _, tc := range []struct {
		body   string
		status int
		code   string
	}{
		{`{"type":"m.login.password","user":"alice","password":"pw-alice"}`, 200, ""},
		{`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"no"}`, 403, "M_FORBIDDEN"},
		{`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"nobody"},"password":"no"}`, 403, "M_FORBIDDEN"},
		{`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"a\u0000b"},"password":"no"}`, 403, "M_FORBIDDEN"},
		{`{"type":"m.login.password","identifier":{"type":"m.id.thirdparty","medium":"email","address":"a@b.c"},"password":"no"}`, 403, "M_FORBIDDEN"},
		{`{"type":"m.login.password","medium":"email","address":"a@b.c","password":"no"}`, 403, "M_FORBIDDEN"},
		{`{"type":"m.login.password","identifier":{"type":"m.id.fax"},"password":"no"}`, 400, "M_INVALID_PARAM"},
		{`{"type":"m.login.password","identifier":"alice","password":"no"}`, 400, "M_BAD_JSON"},
		{`{"type":"m.login.password","user":"alice"}`, 400, "M_MISSING_PARAM"},
		{`{"type":"m.login.password","password":"x"}`, 400, "M_MISSING_PARAM"},
		{`{"type":"m.login.sorcery"}`, 400, "M_UNKNOWN"},
		{`{}`, 400, "M_MISSING_PARAM"},
		{``, 400, "M_MISSING_PARAM"},
		{`{"type":7}`, 400, "M_BAD_JSON"},
		{`{"type"`, 400, "M_NOT_JSON"},
		{`[]`, 400, "M_BAD_JSON"},
	} {
		h.want(tc.status, tc.code, "", "POST", "/v3/login", tc.body)
	}
}

func TestRegistrationsThatFail(t *testing.T) {
	h := newHouse(t, func(o *account.Options) { o.Exclusive = func(l string) bool { return strings.HasPrefix(l, "_irc_") } })
	h.register("alice", "")
	long := strings.Repeat("a", 300)
	for _, tc := range []struct{ path, body, code string }{
		{"/v3/register", `{"username":"Alice","password":"x"}`, "M_USER_IN_USE"},
		{"/v3/register", `{"username":"a!","password":"x"}`, "M_INVALID_USERNAME"},
		{"/v3/register", `{"username":"` + long + `","password":"x"}`, "M_INVALID_USERNAME"},
		{"/v3/register", `{"username":"_irc_bob","password":"x"}`, "M_EXCLUSIVE"},
		{"/v3/register", `{"username":"bob","password":"` + long + long + `"}`, "M_INVALID_PARAM"},
		{"/v3/register", `{"username":"bob","device_id":"` + long + `"}`, "M_INVALID_PARAM"},
		{"/v3/register", `{"username":"bob","auth":{"type":"m.login.dummy"}}`, "M_MISSING_PARAM"},
		{"/v3/register", `{"username":"bob","auth":{"session":"unheard-of"}}`, "M_UNKNOWN"},
		{"/v3/register", `{"username":{}}`, "M_BAD_JSON"},
		{"/v3/register?kind=alien", `{}`, "M_INVALID_PARAM"},
	} {
		h.want(400, tc.code, "", "POST", tc.path, tc.body)
	}
	h.want(200, "", "", "GET", "/v3/register/available?username=bob", "")
	h.want(400, "M_USER_IN_USE", "", "GET", "/v3/register/available?username=alice", "")
	h.want(400, "M_INVALID_USERNAME", "", "GET", "/v3/register/available?username=%00", "")
	h.want(400, "M_MISSING_PARAM", "", "GET", "/v3/register/available", "")
	h.want(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED", "", "POST", "/v3/register/email/requestToken", `{"client_secret":"x","email":"a@b.c","send_attempt":1}`)

	g := h.register("carol", `,"inhibit_login":true`)
	if g.str("access_token") != "" || g.str("device_id") != "" {
		t.Errorf("inhibit_login: %v", g.body)
	}
}

func TestGuests(t *testing.T) {
	h := newHouse(t, nil)
	g := h.want(200, "", "", "POST", "/v3/register?kind=guest", `{"username":"boss","device_id":"MINE","initial_device_display_name":"Kiosk"}`)
	token := g.str("access_token")
	if g.str("user_id") == "@boss:example.test" || g.str("device_id") == "MINE" {
		t.Errorf("a guest chose: %v", g.body)
	}
	if me := h.want(200, "", token, "GET", "/v3/account/whoami", ""); me.body["is_guest"] != true {
		t.Errorf("whoami: %v", me.body)
	}
	devices := h.want(200, "", token, "GET", "/v3/devices", "")
	if s := fmt.Sprint(devices.body); !strings.Contains(s, "Kiosk") {
		t.Errorf("devices: %s", s)
	}
	profile := "/v3/profile/" + g.str("user_id")
	h.want(200, "", token, "PUT", profile+"/displayname", `{"displayname":"Visitor"}`)
	h.want(403, "M_GUEST_ACCESS_FORBIDDEN", token, "PUT", profile+"/avatar_url", `{"avatar_url":"mxc://x/y"}`)
	h.want(403, "M_GUEST_ACCESS_FORBIDDEN", token, "POST", "/v3/account/password", `{"new_password":"x"}`)
	h.want(200, "", token, "GET", "/v3/capabilities", "")

	closed := newHouse(t, func(o *account.Options) { o.Guests = false })
	closed.want(403, "M_GUEST_ACCESS_FORBIDDEN", "", "POST", "/v3/register?kind=guest", `{}`)
}

func TestDevicesOverHTTP(t *testing.T) {
	h := newHouse(t, nil)
	a := h.register("alice", `,"device_id":"LAPTOP","initial_device_display_name":"Laptop"`)
	token := a.str("access_token")
	h.want(200, "", "", "POST", "/v3/login", `{"type":"m.login.password","user":"alice","password":"pw-alice","device_id":"OLD"}`)

	d := h.want(200, "", token, "GET", "/v3/devices/LAPTOP", "")
	if d.str("display_name") != "Laptop" || d.str("last_seen_ip") != "192.0.2.1" || d.body["last_seen_ts"] == nil {
		t.Errorf("device: %v", d.body)
	}
	h.want(200, "", token, "PUT", "/v3/devices/LAPTOP", `{"display_name":"Old laptop"}`)
	h.want(200, "", token, "PUT", "/v3/devices/LAPTOP", `{}`)
	if d := h.want(200, "", token, "GET", "/v3/devices/LAPTOP", ""); d.str("display_name") != "Old laptop" {
		t.Errorf("renamed: %v", d.body)
	}
	for _, id := range []string{"NONE", "%00", "%ff", strings.Repeat("x", 5000)} {
		h.want(404, "M_NOT_FOUND", token, "GET", "/v3/devices/"+id, "")
		h.want(404, "M_NOT_FOUND", token, "PUT", "/v3/devices/"+id, `{"display_name":"x"}`)
	}
	h.want(400, "M_INVALID_PARAM", token, "PUT", "/v3/devices/LAPTOP", `{"display_name":"`+strings.Repeat("x", 300)+`"}`)

	asked := h.want(401, "", token, "DELETE", "/v3/devices/OLD", "")
	auth := func(password, session string) string {
		return fmt.Sprintf(`{"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":%q,"session":%q}`, password, session)
	}
	h.want(401, "M_FORBIDDEN", token, "DELETE", "/v3/devices/OLD", auth("wrong", asked.str("session"))+"}")
	h.want(403, "M_FORBIDDEN", token, "DELETE", "/v3/devices/LAPTOP", auth("pw-alice", asked.str("session"))+"}")
	h.want(200, "", token, "DELETE", "/v3/devices/OLD", auth("pw-alice", asked.str("session"))+"}")
	h.want(404, "M_NOT_FOUND", token, "GET", "/v3/devices/OLD", "")

	h.want(400, "M_MISSING_PARAM", token, "POST", "/v3/delete_devices", auth("pw-alice", "")+"}")
	h.want(200, "", token, "POST", "/v3/delete_devices", auth("pw-alice", "")+`,"devices":["GONE","LAPTOP"]}`)
	h.want(401, "M_UNKNOWN_TOKEN", token, "GET", "/v3/devices", "")
}

func TestPasswordAndDeactivation(t *testing.T) {
	h := newHouse(t, nil)
	token := h.register("alice", "").str("access_token")
	other := h.want(200, "", "", "POST", "/v3/login", `{"type":"m.login.password","user":"alice","password":"pw-alice"}`).str("access_token")
	auth := func(user, password string) string {
		return fmt.Sprintf(`"auth":{"type":"m.login.password","identifier":{"type":"m.id.user","user":%q},"password":%q}`, user, password)
	}
	h.register("mallory", "")
	h.want(403, "M_FORBIDDEN", token, "POST", "/v3/account/password", `{"new_password":"new",`+auth("mallory", "pw-mallory")+`}`)
	h.want(400, "M_MISSING_PARAM", token, "POST", "/v3/account/password", `{`+auth("alice", "pw-alice")+`}`)
	h.want(401, "M_MISSING_TOKEN", "", "POST", "/v3/account/password", `{"new_password":"new"}`)
	h.want(200, "", token, "POST", "/v3/account/password", `{"new_password":"new","logout_devices":false,`+auth("alice", "pw-alice")+`}`)
	h.want(200, "", other, "GET", "/v3/account/whoami", "")
	h.want(200, "", token, "POST", "/v3/account/password", `{"new_password":"newer",`+auth("alice", "new")+`}`)
	h.want(401, "M_UNKNOWN_TOKEN", other, "GET", "/v3/account/whoami", "")
	h.want(200, "", token, "GET", "/v3/account/whoami", "")
	h.want(403, "M_FORBIDDEN", "", "POST", "/v3/login", `{"type":"m.login.password","user":"alice","password":"pw-alice"}`)

	h.want(401, "", token, "POST", "/v3/account/deactivate", `{}`)
	a := h.want(200, "", token, "POST", "/v3/account/deactivate", `{"erase":true,`+auth("alice", "newer")+`}`)
	if a.str("id_server_unbind_result") != "success" {
		t.Errorf("deactivated: %v", a.body)
	}
	h.want(401, "M_UNKNOWN_TOKEN", token, "GET", "/v3/account/whoami", "")
	h.want(403, "M_USER_DEACTIVATED", "", "POST", "/v3/login", `{"type":"m.login.password","user":"alice","password":"newer"}`)
	h.want(404, "M_NOT_FOUND", "", "GET", "/v3/profile/@alice:example.test", "")
	h.want(400, "M_USER_IN_USE", "", "POST", "/v3/register", `{"username":"alice","password":"x"}`)
}

func TestProfileOverHTTP(t *testing.T) {
	h := newHouse(t, nil)
	token := h.register("alice", "").str("access_token")
	h.register("bob", "")
	const alice = "/v3/profile/@alice:example.test"
	if p := h.want(200, "", "", "GET", alice, ""); fmt.Sprint(p.body) != "map[displayname:alice]" {
		t.Errorf("a new profile: %v", p.body)
	}
	h.want(200, "", token, "PUT", alice+"/displayname", `{"displayname":"Älice"}`)
	h.want(200, "", token, "PUT", alice+"/avatar_url", `{"avatar_url":"mxc://example.test/cat"}`)
	h.want(200, "", token, "PUT", alice+"/m.tz", `{"m.tz":"Europe/Vienna"}`)
	h.want(200, "", token, "PUT", "/unstable/uk.tcpip.msc4133/profile/@alice:example.test/org.example.pets", `{"org.example.pets": ["cat", {"n": 1}]}`)
	if p := h.want(200, "", "", "GET", alice+"/displayname", ""); p.str("displayname") != "Älice" {
		t.Errorf("displayname: %v", p.body)
	}
	if p := h.want(200, "", "", "GET", alice, ""); len(p.body) != 4 {
		t.Errorf("profile: %v", p.body)
	}
	h.want(200, "", token, "DELETE", alice+"/org.example.pets", "")
	h.want(200, "", token, "DELETE", alice+"/org.example.pets", "")
	h.want(404, "M_NOT_FOUND", "", "GET", alice+"/org.example.pets", "")
	h.want(200, "", token, "PUT", alice+"/avatar_url", `{"avatar_url":""}`)
	h.want(404, "M_NOT_FOUND", "", "GET", alice+"/avatar_url", "")

	big := strings.Repeat("x", 60<<10)
	for _, tc := range []struct {
		field, body string
		status      int
		code        string
	}{
		{"displayname", `{"nickname":"Al"}`, 400, "M_MISSING_PARAM"},
		{"displayname", `{"displayname":7}`, 400, "M_BAD_JSON"},
		{"displayname", `{"displayname":`, 400, "M_NOT_JSON"},
		{"displayname", `{"displayname":"` + big + `"}`, 400, "M_INVALID_PARAM"},
		{"Loud", `{"Loud":1}`, 400, "M_INVALID_PARAM"},
		{"%00", `{}`, 400, "M_MISSING_PARAM"},
		{"org." + strings.Repeat("x", 300), `{"org.` + strings.Repeat("x", 300) + `":1}`, 400, "M_KEY_TOO_LARGE"},
		{"org.example.a", `{"org.example.a":"` + big + `"}`, 200, ""},
		{"org.example.b", `{"org.example.b":"` + big + `"}`, 400, "M_PROFILE_TOO_LARGE"},
	} {
		h.want(tc.status, tc.code, token, "PUT", alice+"/"+tc.field, tc.body)
	}
	h.want(403, "M_FORBIDDEN", token, "PUT", "/v3/profile/@bob:example.test/displayname", `{"displayname":"Rob"}`)
	h.want(401, "M_MISSING_TOKEN", "", "PUT", alice+"/displayname", `{"displayname":"x"}`)
	h.want(404, "M_NOT_FOUND", "", "GET", "/v3/profile/@nobody:example.test", "")
	h.want(404, "M_NOT_FOUND", "", "GET", "/v3/profile/@alice:elsewhere.test", "")
	h.want(400, "M_INVALID_PARAM", "", "GET", "/v3/profile/alice", "")
	h.want(400, "M_INVALID_PARAM", "", "GET", "/v3/profile/@a%ff:example.test", "")
}

func TestRegistrationByToken(t *testing.T) {
	h := newHouse(t, func(o *account.Options) { o.Mode = account.Token })
	one := int64(1)
	if _, err := h.engine.CreateToken(t.Context(), account.RegistrationToken{Token: "welcome", UsesAllowed: &one}); err != nil {
		t.Fatal(err)
	}
	valid := func(token string) any {
		return h.want(200, "", "", "GET", "/v1/register/m.login.registration_token/validity?token="+token, "").body["valid"]
	}
	if valid("welcome") != true || valid("other") != false || valid("%00") != false {
		t.Error("wrong tokens are valid")
	}
	asked := h.want(401, "", "", "POST", "/v3/register", `{"username":"alice","password":"x"}`)
	try := func(token string) string {
		return fmt.Sprintf(`{"username":"alice","password":"x","auth":{"type":"m.login.registration_token","token":%q,"session":%q}}`, token, asked.str("session"))
	}
	h.want(401, "M_UNRECOGNIZED", "", "POST", "/v3/register", fmt.Sprintf(`{"auth":{"type":"m.login.dummy","session":%q}}`, asked.str("session")))
	h.want(401, "M_UNAUTHORIZED", "", "POST", "/v3/register", try("guess"))
	h.want(200, "", "", "POST", "/v3/register", try("welcome"))
	h.want(401, "M_UNAUTHORIZED", "", "POST", "/v3/register", `{"username":"bob","password":"x","auth":{"type":"m.login.registration_token","token":"welcome"}}`)
	if valid("welcome") != false {
		t.Error("a token that is used up is valid")
	}

	closed := newHouse(t, func(o *account.Options) { o.Mode = account.Closed })
	closed.want(403, "M_FORBIDDEN", "", "POST", "/v3/register", `{"username":"alice","password":"x"}`)
	closed.want(403, "M_FORBIDDEN", "", "GET", "/v1/register/m.login.registration_token/validity?token=x", "")
}

type relay struct{}

func (relay) TurnCredentials(user mxid.UserID) TurnServer {
	return TurnServer{Username: "1800000000:" + string(user), Password: "secret", URIs: []string{"turn:127.0.0.1:3478?transport=udp"}, TTL: 86400}
}

func TestTurnServer(t *testing.T) {
	h := newHouse(t, nil)
	h.doors.TURN = relay{}
	alice := h.register("alice", "").str("access_token")
	guest := h.want(200, "", "", "POST", "/v3/register?kind=guest", `{}`).str("access_token")
	a := h.want(200, "", alice, "GET", "/v3/voip/turnServer", "")
	if a.str("username") != "1800000000:@alice:example.test" || a.body["ttl"] != 86400.0 {
		t.Errorf("credentials: %v", a.body)
	}
	h.want(403, "M_GUEST_ACCESS_FORBIDDEN", guest, "GET", "/v3/voip/turnServer", "")
	h.doors.TURNGuests = true
	h.want(200, "", guest, "GET", "/v3/voip/turnServer", "")
}

func TestWhatTheServerCanDo(t *testing.T) {
	h := newHouse(t, nil)
	h.doors.Unstable = []string{"org.example.feature"}
	v := h.want(200, "", "", "GET", "/versions", "")
	if s := fmt.Sprint(v.body["versions"]); !strings.Contains(s, "r0.6.1 v1.1 ") || !strings.HasSuffix(s, " v1.19]") {
		t.Errorf("versions: %s", s)
	}
	if features := v.body["unstable_features"].(map[string]any); features["org.example.feature"] != true {
		t.Errorf("features: %v", features)
	}
	c := h.want(200, "", h.register("alice", "").str("access_token"), "GET", "/v3/capabilities", "").body["capabilities"].(map[string]any)
	rooms := c["m.room_versions"].(map[string]any)
	if rooms["default"] != "12" || len(rooms["available"].(map[string]any)) != 12 {
		t.Errorf("room versions: %v", rooms)
	}
	if fmt.Sprint(c["m.3pid_changes"], c["m.change_password"]) != "map[enabled:false] map[enabled:true]" {
		t.Errorf("capabilities: %v", c)
	}
}
