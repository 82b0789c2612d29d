package adminapi

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hearth/api/clientapi"
	"hearth/api/httpx"
	"hearth/auth/password"
	"hearth/base/blob"
	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/account"
	"hearth/homeserver/directory"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/media"
	"hearth/homeserver/notice"
	"hearth/homeserver/personal"
	"hearth/homeserver/pusher"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/homeserver/search"
	"hearth/homeserver/spaces"
	"hearth/homeserver/steward"
)

// house is a server with its admin doors, an admin and a user.
type house struct {
	t            *testing.T
	engine       *account.Engine
	router       *httpx.Router
	now          time.Time
	admin, alice string // access tokens
}

// each runs f on both databases.
func each(t *testing.T, f func(t *testing.T, h *house)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		h := &house{t: t, now: time.UnixMilli(1_800_000_000_000)}
		h.engine = account.New(d, account.Options{
			ServerName:   "example.test",
			Mode:         account.Token,
			SharedSecret: "shared_secret",
			Guests:       true,
			Hasher:       password.New(password.Options{Cost: password.Cost{Memory: 64, Passes: 1, Threads: 1}}),
			Now:          func() time.Time { return h.now },
		})
		h.router = httpx.NewRouter(httpx.Config{
			Auth: &clientapi.Accounts{Engine: h.engine}, Log: slog.New(slog.DiscardHandler),
		})
		hub := notify.NewHub(d.Position())
		rooms := room.New(room.Config{DB: d, Hub: hub, Server: "example.test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32))})
		names := directory.New(directory.Config{DB: d, Rooms: rooms, Server: "example.test"})
		blobs, err := blob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		h.router.Add((&API{
			Media:   media.New(media.Config{DB: d, Blobs: blobs, Server: "example.test"}),
			Pushers: pusher.New(pusher.Config{DB: d, Rooms: rooms, Personal: personal.New(d, hub), Receipts: receipt.New(d, rooms, hub)}), Search: search.New(search.Config{DB: d, Server: "example.test"}),
			Spaces: &spaces.Engine{DB: d, Rooms: rooms, Directory: names}, Unstable: []string{"org.matrix.msc4222"},
			Engine: h.engine, Rooms: rooms, Directory: names, Steward: steward.New(steward.Config{DB: d, Rooms: rooms, Directory: names}),
			Personal: personal.New(d, hub), Keys: e2ee.New(e2ee.Config{DB: d, Hub: hub, Server: "example.test"}), Version: "1.2.3",
			Notices: notice.New(notice.Config{DB: d, Rooms: rooms, Personal: personal.New(d, hub)}),
		}).Routes()...)
		h.admin = h.make("root", true)
		h.now = h.now.Add(time.Second)
		h.alice = h.make("alice", false)
		f(t, h)
	})
}

func (h *house) make(name string, admin bool) string {
	g, err := h.engine.CreateAndLogin(h.t.Context(), account.NewUser{Localpart: name, Password: "pw-" + name, Admin: admin}, "", "Laptop", false)
	if err != nil {
		h.t.Fatal(err)
	}
	return g.AccessToken
}

type object = map[string]any

// want is a call to a path below /_synapse/admin that must answer with status,
// and errcode unless that is "".
func (h *house) want(status int, errcode, token, method, path, body string) object {
	h.t.Helper()
	r := httptest.NewRequest(method, "/_synapse/admin"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded") // what curl -d says
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.router.ServeHTTP(w, r)
	var o object
	if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil {
		h.t.Fatalf("%s %s answered %d %q, which is not a JSON object", method, path, w.Code, w.Body)
	}
	if code, _ := o["errcode"].(string); w.Code != status || code != errcode {
		h.t.Errorf("%s %s %s: %d %v, want %d %s", method, path, body, w.Code, o, status, errcode)
	}
	return o
}

// same compares what an answer holds with JSON.
func same(t *testing.T, got any, want string) {
	t.Helper()
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	sorted, _ := json.Marshal(w)
	if string(b) != string(sorted) {
		t.Errorf("got  %s\nwant %s", b, sorted)
	}
}

func TestOnlyAdminsMayEnter(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, r := range (&API{}).Routes() {
			method, path, _ := strings.Cut(r.Pattern, " ")
			if r.Auth == httpx.Anyone {
				continue
			}
			path = strings.NewReplacer("{userId}", "@root:example.test", "{deviceId}", "X", "{token}", "x").Replace(path)
			path = strings.TrimPrefix(r.In[0], "/_synapse/admin") + path
			h.want(401, "M_MISSING_TOKEN", "", method, path, "{}")
			h.want(403, "M_FORBIDDEN", h.alice, method, path, "{}")
		}
	})
}

func TestServerVersion(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		same(t, h.want(200, "", "", "GET", "/v1/server_version", ""), `{"server_version":"1.2.3"}`)
	})
}

// The vector is computed by both Python's and Go's HMAC.
func TestMACOfSharedSecret(t *testing.T) {
	s := signed{nonce: "thisisanonce", username: "pepper_roni", password: "pizza", admin: true}
	if got := s.sign("shared_secret"); got != "48715842ad67d5dc9a9ee938a3bda4fcfae8d7c7" {
		t.Errorf("MAC is %s", got)
	}
}

func TestRegisterBySharedSecret(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		nonce := func() string { return h.want(200, "", "", "GET", "/v1/register", "")["nonce"].(string) }
		body := func(s signed, secret, more string) string {
			return fmt.Sprintf(`{"nonce":%q,"username":%q,"password":%q,"admin":%v,"mac":%q%s}`,
				s.nonce, s.username, s.password, s.admin, s.sign(secret), more)
		}
		s := signed{nonce: nonce(), username: "Bob", password: "pw", admin: true}
		if len(s.nonce) != 128 {
			t.Errorf("nonce %q", s.nonce)
		}
		o := h.want(200, "", "", "POST", "/v1/register", body(s, "shared_secret", ""))
		if o["user_id"] != "@bob:example.test" || o["home_server"] != "example.test" || o["access_token"] == nil || o["device_id"] == nil {
			t.Errorf("registered: %v", o)
		}
		h.want(200, "", o["access_token"].(string), "GET", "/v2/users", "")

		again := h.want(400, "M_UNKNOWN", "", "POST", "/v1/register", body(s, "shared_secret", ""))
		if again["error"] != "unrecognised nonce" {
			t.Errorf("used nonce: %v", again)
		}
		s.nonce, s.username = nonce(), "carol"
		wrong := h.want(403, "M_UNKNOWN", "", "POST", "/v1/register", body(s, "guess", ""))
		if wrong["error"] != "HMAC incorrect" {
			t.Errorf("wrong MAC: %v", wrong)
		}
		h.want(400, "M_UNKNOWN", "", "POST", "/v1/register", body(s, "shared_secret", "")) // the nonce is burnt
		s.nonce = nonce()
		h.now = h.now.Add(61 * time.Second)
		h.want(400, "M_UNKNOWN", "", "POST", "/v1/register", body(s, "shared_secret", ""))

		s.nonce, s.username, s.kind = nonce(), "robot", "bot"
		o = h.want(200, "", "", "POST", "/v1/register", body(s, "shared_secret", `,"user_type":"bot","displayname":"R2","refresh_token":true`))
		if o["refresh_token"] == nil || o["expires_in_ms"] == nil {
			t.Errorf("with refresh: %v", o)
		}
		s.nonce = nonce()
		h.want(400, "M_USER_IN_USE", "", "POST", "/v1/register", body(s, "shared_secret", `,"user_type":"bot"`))

		for _, tc := range []struct{ body, code, text string }{
			{`{}`, "M_BAD_JSON", "nonce must be specified"},
			{`{"nonce":7}`, "M_UNKNOWN", "unrecognised nonce"},
			{`{"nonce":"NONCE"}`, "M_BAD_JSON", "username must be specified"},
			{`{"nonce":"NONCE","username":"a\u0000"}`, "M_UNKNOWN", "Invalid username"},
			{`{"nonce":"NONCE","username":"a"}`, "M_BAD_JSON", "password must be specified"},
			{`{"nonce":"NONCE","username":"a","password":[]}`, "M_UNKNOWN", "Invalid password"},
			{`{"nonce":"NONCE","username":"a","password":"b"}`, "M_BAD_JSON", "mac must be specified"},
			{`{"nonce":"NONCE","username":"a","password":"b","user_type":"alien"}`, "M_UNKNOWN", "Invalid user type"},
		} {
			o := h.want(400, tc.code, "", "POST", "/v1/register", strings.ReplaceAll(tc.body, "NONCE", nonce()))
			if o["error"] != tc.text {
				t.Errorf("%s: %v, want %s", tc.body, o["error"], tc.text)
			}
		}
		h.engine.SharedSecret = ""
		o = h.want(400, "M_UNKNOWN", "", "POST", "/v1/register", `{}`)
		if o["error"] != "Shared secret registration is not enabled" {
			t.Errorf("without a secret: %v", o)
		}
	})
}

func TestRegistrationTokens(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const path = "/v1/registration_tokens"
		same(t, h.want(200, "", h.admin, "GET", path, ""), `{"registration_tokens":[]}`)
		o := h.want(200, "", h.admin, "POST", path+"/new", "{}")
		if name, _ := o["token"].(string); len(name) != 16 {
			t.Errorf("random token: %v", o)
		}
		h.want(200, "", h.admin, "DELETE", path+"/"+o["token"].(string), "")
		expiry := h.now.Add(time.Hour).UnixMilli()
		want := fmt.Sprintf(`{"token":"wel-come","uses_allowed":1,"pending":0,"completed":0,"expiry_time":%d}`, expiry)
		same(t, h.want(200, "", h.admin, "POST", path+"/new", fmt.Sprintf(`{"token":"wel-come","uses_allowed":1,"expiry_time":%d}`, expiry)), want)
		same(t, h.want(200, "", h.admin, "GET", path+"/wel-come", ""), want)
		same(t, h.want(200, "", h.admin, "GET", path+"?valid=true", ""), `{"registration_tokens":[`+want+`]}`)
		same(t, h.want(200, "", h.admin, "GET", path+"?valid=false", ""), `{"registration_tokens":[]}`)

		changed := `{"token":"wel-come","uses_allowed":null,"pending":0,"completed":0,"expiry_time":null}`
		same(t, h.want(200, "", h.admin, "PUT", path+"/wel-come", `{"uses_allowed":null,"expiry_time":null}`), changed)
		same(t, h.want(200, "", h.admin, "PUT", path+"/wel-come", `{}`), changed)
		h.want(200, "", h.admin, "PUT", path+"/wel-come", `{"uses_allowed":0}`)
		if list := h.want(200, "", h.admin, "GET", path+"?valid=false", "")["registration_tokens"].([]any); len(list) != 1 {
			t.Errorf("a token for no uses is valid: %v", list)
		}

		for body, text := range map[string]string{
			`{"token":""}`:         "token must not be empty and must not be longer than 64 characters",
			`{"token":7}`:          "token must be a string",
			`{"token":"a b"}`:      "token must consist only of characters matched by the regex [A-Za-z0-9-_]",
			`{"token":"wel-come"}`: "Token already exists: wel-come",
			`{"length":0}`:         "length must be greater than zero and not greater than 64",
			`{"length":"x"}`:       "length must be an integer",
			`{"uses_allowed":-1}`:  "uses_allowed must be a non-negative integer or null",
			`{"uses_allowed":1.5}`: "uses_allowed must be a non-negative integer or null",
			`{"expiry_time":1}`:    "expiry_time must not be in the past",
			`{"expiry_time":"x"}`:  "expiry_time must be an integer or null",
		} {
			if o := h.want(400, "M_INVALID_PARAM", h.admin, "POST", path+"/new", body); o["error"] != text {
				t.Errorf("%s: %v", body, o["error"])
			}
		}
		h.want(200, "", h.admin, "DELETE", path+"/wel-come", "")
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			h.want(404, "M_NOT_FOUND", h.admin, method, path+"/wel-come", "{}")
			h.want(404, "M_NOT_FOUND", h.admin, method, path+"/%00%ff", "{}")
		}
	})
}

func names(o object) string {
	var out []string
	for _, u := range o["users"].([]any) {
		name, _, _ := strings.Cut(u.(object)["name"].(string)[1:], ":")
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

func TestUserList(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		for _, n := range []string{"bob", "carol", "dave"} {
			h.make(n, false)
		}
		guest, err := h.engine.RegisterGuest(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		h.want(200, "", h.admin, "PUT", "/v2/users/@bob:example.test", `{"displayname":"The 100% Builder","user_type":"bot"}`)
		h.want(200, "", h.admin, "POST", "/v1/deactivate/@dave:example.test", "{}")

		o := h.want(200, "", h.admin, "GET", "/v2/users?from=0&limit=10&guests=false", "{}")
		if names(o) != "alice bob carol root" || o["total"] != 4.0 || o["next_token"] != nil {
			t.Errorf("the guides' line: %v", o)
		}
		same(t, o["users"].([]any)[0], `{"name":"@alice:example.test","user_type":null,"is_guest":false,"admin":false,
			"deactivated":false,"shadow_banned":false,"displayname":"alice","avatar_url":null,"creation_ts":1800000001000,
			"erased":false,"last_seen_ts":null,"locked":false}`)

		g := guest.User.Localpart()
		for query, want := range map[string]string{
			"":                                    g + " alice bob carol root",
			"deactivated=true&guests=false":       "alice bob carol dave root",
			"guests=false&dir=b":                  "root carol bob alice",
			"guests=false&limit=2":                "alice bob",
			"guests=false&limit=2&from=2":         "carol root",
			"name=ROL":                            "carol",
			"name=example":                        "",
			"name=100%25":                         "bob",
			"name=%25":                            "bob",
			"name=%00":                            "",
			"user_id=example&guests=false":        "alice bob carol root",
			"user_id=@car":                        "carol",
			"admins=true":                         "root",
			"admins=false&guests=false":           "alice bob carol",
			"not_user_type=bot&guests=false":      "alice carol root",
			"not_user_type=":                      "bob",
			"guests=false&order_by=creation_ts":   "root alice bob carol",
			"guests=false&order_by=displayname":   "bob alice carol root",
			"guests=false&order_by=admin&dir=b":   "root alice bob carol",
			"guests=false&order_by=shadow_banned": "alice bob carol root",
		} {
			if got := names(h.want(200, "", h.admin, "GET", "/v2/users?"+query, "")); got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		if o := h.want(200, "", h.admin, "GET", "/v2/users?guests=false&limit=3", ""); o["next_token"] != "3" || o["total"] != 4.0 {
			t.Errorf("first page: %v", o)
		}
		if got := names(h.want(200, "", h.admin, "GET", "/v3/users?deactivated=true", "")); got != "dave" {
			t.Errorf("v3: %s", got)
		}
		for _, query := range []string{"from=-1", "limit=x", "order_by=shoe_size", "dir=up", "guests=maybe", "limit=99999999999999999999"} {
			h.want(400, "M_INVALID_PARAM", h.admin, "GET", "/v2/users?"+query, "")
		}
	})
}

func TestOneUser(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		same(t, h.want(200, "", h.admin, "GET", "/v2/users/@alice:example.test", ""), `{"name":"@alice:example.test","admin":false,
			"deactivated":false,"locked":false,"shadow_banned":false,"creation_ts":1800000001,"appservice_id":null,
			"consent_server_notice_sent":null,"consent_version":null,"consent_ts":null,"user_type":null,"is_guest":false,
			"suspended":false,"displayname":"alice","avatar_url":null,"threepids":[],"external_ids":[],"erased":false,"last_seen_ts":null}`)

		const eve = "/v2/users/@eve:example.test"
		o := h.want(201, "", h.admin, "PUT", eve, `{"password":"first","displayname":"Eve","avatar_url":"mxc://a/b","admin":true,"threepids":[]}`)
		if o["displayname"] != "Eve" || o["avatar_url"] != "mxc://a/b" || o["admin"] != true {
			t.Errorf("created: %v", o)
		}
		login := func(password string) string {
			t.Helper()
			g, err := h.engine.Login(t.Context(), account.LoginRequest{Identifier: account.Identifier{Type: "m.id.user", User: "eve"}, Password: password})
			if err != nil {
				t.Error(err)
			}
			return g.AccessToken
		}
		token := login("first")
		h.want(200, "", token, "GET", "/v2/users", "")
		o = h.want(200, "", h.admin, "PUT", eve, `{"admin":false,"displayname":"","avatar_url":null}`)
		if o["displayname"] != nil || o["avatar_url"] != nil || o["admin"] != false {
			t.Errorf("modified: %v", o)
		}
		h.want(403, "M_FORBIDDEN", token, "GET", "/v2/users", "") // at once
		h.want(200, "", h.admin, "PUT", eve, `{"password":"second","logout_devices":false}`)
		h.want(403, "M_FORBIDDEN", token, "GET", "/v2/users", "")
		h.want(200, "", h.admin, "POST", "/v1/reset_password/@eve:example.test", `{"new_password":"third"}`)
		h.want(401, "M_UNKNOWN_TOKEN", token, "GET", "/v2/users", "")
		login("third")
		if o := h.want(200, "", h.admin, "PUT", eve, `{"deactivated":true}`); o["deactivated"] != true {
			t.Errorf("deactivated: %v", o)
		}
		if o := h.want(200, "", h.admin, "PUT", eve, `{"deactivated":false,"password":"fourth"}`); o["deactivated"] != false {
			t.Errorf("reactivated: %v", o)
		}
		login("fourth")

		for body, code := range map[string]string{
			`{"admin":"yes"}`: "M_BAD_JSON", `{"password":7}`: "M_UNKNOWN", `{"deactivated":"x"}`: "M_UNKNOWN",
			`{"logout_devices":1}`: "M_UNKNOWN", `{"user_type":"alien"}`: "M_UNKNOWN", `{"locked":7}`: "M_UNKNOWN",
			`{"displayname":7}`: "M_BAD_JSON", `{"threepids":[{"medium":"email","address":"nonsense"}]}`: "M_INVALID_PARAM", `[]`: "M_BAD_JSON",
		} {
			h.want(400, code, h.admin, "PUT", eve, body)
		}
		if o := h.want(400, "M_UNKNOWN", h.admin, "PUT", "/v2/users/@root:example.test", `{"admin":false}`); o["error"] != "You may not demote yourself." {
			t.Errorf("demoted: %v", o)
		}
		h.want(400, "M_INVALID_USERNAME", h.admin, "PUT", "/v2/users/@Big%20Man:example.test", `{}`)
		h.want(404, "M_NOT_FOUND", h.admin, "GET", "/v2/users/@nobody:example.test", "")
		h.want(400, "M_UNKNOWN", h.admin, "GET", "/v2/users/@alice:elsewhere.test", "")
		h.want(400, "M_INVALID_PARAM", h.admin, "GET", "/v2/users/alice", "")
	})
}

func TestNeighbours(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		same(t, h.want(200, "", h.admin, "GET", "/v1/users/@alice:example.test/admin", ""), `{"admin":false}`)
		h.want(200, "", h.admin, "PUT", "/v1/users/@alice:example.test/admin", `{"admin":true}`)
		same(t, h.want(200, "", h.alice, "GET", "/v1/users/@alice:example.test/admin", ""), `{"admin":true}`)
		h.want(400, "M_UNKNOWN", h.alice, "PUT", "/v1/users/@alice:example.test/admin", `{"admin":false}`)
		same(t, h.want(200, "", h.admin, "GET", "/v1/username_available?username=zoe", ""), `{"available":true}`)
		h.want(400, "M_USER_IN_USE", h.admin, "GET", "/v1/username_available?username=alice", "")

		o := h.want(200, "", h.admin, "GET", "/v2/users/@alice:example.test/devices", "")
		d := o["devices"].([]any)[0].(object)
		if o["total"] != 1.0 || d["display_name"] != "Laptop" || d["user_id"] != "@alice:example.test" || d["last_seen_ip"] != "192.0.2.1" {
			t.Errorf("devices: %v", o)
		}
		if o := h.want(200, "", h.alice, "GET", "/v1/whois/@alice:example.test", ""); !strings.Contains(fmt.Sprint(o), "192.0.2.1") {
			t.Errorf("whois: %v", o)
		}
		h.want(404, "M_NOT_FOUND", h.admin, "GET", "/v1/whois/@nobody:example.test", "")
		h.want(200, "", h.admin, "DELETE", "/v2/users/@alice:example.test/devices/"+d["device_id"].(string), "")
		h.want(401, "M_UNKNOWN_TOKEN", h.alice, "GET", "/v1/whois/@alice:example.test", "")

		same(t, h.want(200, "", h.admin, "POST", "/v1/deactivate/@alice:example.test", `{"erase":true}`), `{"id_server_unbind_result":"success"}`)
		if o := h.want(200, "", h.admin, "GET", "/v2/users/@alice:example.test", ""); o["erased"] != true || o["deactivated"] != true {
			t.Errorf("erased: %v", o)
		}
		h.want(404, "M_NOT_FOUND", h.admin, "POST", "/v1/deactivate/@nobody:example.test", "{}")
		h.want(400, "M_UNKNOWN", h.admin, "POST", "/v1/deactivate/@a:elsewhere.test", "{}")
		h.want(400, "M_BAD_JSON", h.admin, "POST", "/v1/deactivate/@root:example.test", `{"erase":"x"}`)
	})
}
