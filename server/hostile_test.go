package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/api/httpx"
	"hearth/base/db/dbtest"
	"hearth/e2e"
)

// scene is a server with people whom others want to harm. Package e2e/hostile
// sends each route the same rubbish; here rubbish is put into requests that are
// otherwise good, and every name of a route is tried.
type scene struct {
	*house
	alice, mallory, operator, guest *e2e.Client
	room, event                     string // alice's, and private
}

// attack runs f on both databases, and wants nothing of the server to run when
// it is stopped.
func attack(t *testing.T, f func(t *testing.T, s *scene)) {
	dbtest.Each(t, func(t *testing.T, source string) {
		database := ""
		if strings.HasPrefix(source, "postgres") {
			database = source
		}
		before := runtime.NumGoroutine()
		s := newScene(t, database)
		f(t, s)
		s.stop(t)
		end := time.After(20 * time.Second)
		for tick := time.NewTicker(10 * time.Millisecond); runtime.NumGoroutine() > before; {
			select {
			case <-tick.C:
			case <-end:
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines are left behind:\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
}

func newScene(t *testing.T, database string) *scene {
	t.Helper()
	s := &scene{house: newHouse(t, database, nil)}
	s.alice, s.mallory, s.guest = s.user(t, "alice"), s.user(t, "mallory"), s.house.guest(t)
	if _, err := s.server.Admin().AddUser(t.Context(), "operator", e2e.Password("operator"), true, ""); err != nil {
		t.Fatal(err)
	}
	s.operator = e2e.NewClient(s.url, s.http)
	if err := s.operator.Login(t.Context(), "operator"); err != nil {
		t.Fatal(err)
	}
	s.settle(t)
	return s
}

// settle gives alice a new private room with a message in it.
func (s *scene) settle(t *testing.T) {
	t.Helper()
	var made struct {
		ID string `json:"room_id"`
	}
	if err := s.alice.Do(t.Context(), http.MethodPost, v3+"/createRoom", map[string]any{"preset": "private_chat"}, &made); err != nil {
		t.Fatal(err)
	}
	s.room = made.ID
	var err error
	if s.event, err = say(t.Context(), s.alice, s.room, "first", "hello"); err != nil {
		t.Fatal(err)
	}
}

// reply is the answer to one request.
type reply struct {
	status int
	code   string
	body   string
}

// ask makes a request without a network between. header may be nil.
func (s *scene) ask(t *testing.T, method, target string, header http.Header, body string) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	req := httptest.NewRequestWithContext(ctx, method, "/", strings.NewReader(body))
	req.URL, req.RequestURI = u, target
	for name, values := range header {
		req.Header[name] = values
	}
	w := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(w, req)
	if ctx.Err() != nil {
		t.Errorf("%s %.200s: no answer after 20 s", method, target)
	}
	got := reply{status: w.Code, body: w.Body.String()}
	var says struct {
		Code  string           `json:"errcode"`
		Text  string           `json:"error"`
		Flows *json.RawMessage `json:"flows"`
	}
	err = json.Unmarshal(w.Body.Bytes(), &says)
	got.code = says.Code
	switch {
	case got.status >= 500:
		t.Errorf("%s %.200s with %.300q: %d %.200s", method, target, body, got.status, got.body)
	case got.status < 400 || says.Flows != nil && got.status == http.StatusUnauthorized:
	case err != nil || says.Code == "" || says.Text == "":
		t.Errorf("%s %.200s with %.300q: %d %.200q is no Matrix error", method, target, body, got.status, got.body)
	case !slices.Contains(classes(says.Code), got.status):
		t.Errorf("%s %.200s with %.300q: %s does not go with status %d", method, target, body, says.Code, got.status)
	}
	return got
}

// classes are the statuses that go with an error code.
func classes(code string) []int {
	switch code {
	case "M_MISSING_TOKEN", "M_UNKNOWN_TOKEN":
		return []int{401}
	case "M_FORBIDDEN", "M_GUEST_ACCESS_FORBIDDEN", "M_USER_DEACTIVATED", "M_USER_SUSPENDED", "M_THREEPID_DENIED", "M_THREEPID_AUTH_FAILED", "M_CONSENT_NOT_GIVEN":
		return []int{403}
	case "M_NOT_FOUND":
		return []int{404}
	case "M_UNKNOWN_DEVICE":
		return []int{404, 400} // 400 where an application service acts by it
	case "M_UNRECOGNIZED":
		return []int{404, 405}
	case "M_TOO_LARGE":
		return []int{413}
	case "M_BAD_STATE":
		return []int{400, 403}
	case "M_BAD_JSON":
		return []int{400, 405} // 405 for account data that only the server writes
	}
	return []int{400}
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

// paths are the method and the paths of a route, under every name that it has.
func (s *scene) paths(route httpx.Route, replace func(wildcard string) string) (method string, paths []string) {
	for _, pattern := range route.Patterns() {
		var path string
		method, path, _ = strings.Cut(pattern, " ")
		path = strings.ReplaceAll(path, "{$}", "")
		path = wildcard.ReplaceAllStringFunc(path, func(name string) string {
			return replace(strings.Trim(name, "{.}"))
		})
		paths = append(paths, path)
	}
	return method, paths
}

// good fills a wildcard with what exists.
func (s *scene) good(name string) string {
	values := map[string]string{
		"roomId": s.room, "roomIdOrAlias": s.room, "roomAlias": "#hearth:example.test", "userId": s.alice.UserID,
		"eventId": s.event, "eventType": "m.room.message", "receiptType": "m.read", "kind": "override", "filterId": "0",
	}
	if v, known := values[name]; known {
		return url.PathEscape(v)
	}
	return "x"
}

// TestWhoMayCall tries every name of every route with tokens that are none, and
// with those of people who may not.
func TestWhoMayCall(t *testing.T) {
	attack(t, func(t *testing.T, s *scene) {
		for _, route := range s.server.Routes() {
			method, paths := s.paths(route, s.good)
			for _, path := range paths {
				s.tryTokens(t, route, method, path)
			}
		}
	})
}

func (s *scene) tryTokens(t *testing.T, route httpx.Route, method, path string) {
	t.Helper()
	want := func(got reply, status int, code string) {
		t.Helper()
		if got.status != status || got.code != code {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, got.status, got.code, status, code)
		}
	}
	if route.Auth == httpx.Anyone {
		return
	}
	for _, token := range []string{"nonsense", "syt_" + strings.Repeat("x", 20_000), "a b", "\xff\xfe", "'; --", "é", s.alice.Token + "x", s.alice.Token[:len(s.alice.Token)-1]} {
		want(s.ask(t, method, path, bearer(token), ""), 401, "M_UNKNOWN_TOKEN")
	}
	want(s.ask(t, method, path+"?access_token=nonsense", nil, ""), 401, "M_UNKNOWN_TOKEN")
	want(s.ask(t, method, path+"?access_token=%00", nil, ""), 401, "M_UNKNOWN_TOKEN")
	if route.Auth != httpx.Optional {
		for _, header := range []http.Header{nil, {"Authorization": {"Bearer"}}, {"Authorization": {"Bearer  "}}, {"Authorization": {"Basic YTpi"}}, {"Authorization": {s.alice.Token}}} {
			want(s.ask(t, method, path, header, ""), 401, "M_MISSING_TOKEN")
		}
	}
	switch route.Auth {
	case httpx.User:
		want(s.ask(t, method, path, bearer(s.guest.Token), ""), 403, "M_GUEST_ACCESS_FORBIDDEN")
	case httpx.Admin:
		want(s.ask(t, method, path, bearer(s.guest.Token), ""), 403, "M_FORBIDDEN")
		want(s.ask(t, method, path, bearer(s.alice.Token), ""), 403, "M_FORBIDDEN")
	}
}

// TestAliceIsLeftAlone: mallory can neither see nor change what is alice's,
// whichever route she takes.
func TestAliceIsLeftAlone(t *testing.T) {
	attack(t, func(t *testing.T, s *scene) {
		open := []string{
			"/profile/", // everybody may look
			"/capabilities", "/versions",
			"/report",     // one may report a room from outside
			"/room_keys/", // rooms by name only, in a backup of one's own
		}
		for _, route := range s.server.Routes() {
			about := strings.Contains(route.Pattern, "{roomId}") || strings.Contains(route.Pattern, "/user/{userId}") || strings.Contains(route.Pattern, "{roomIdOrAlias}")
			if !about || route.Auth == httpx.Admin || slices.ContainsFunc(open, func(p string) bool { return strings.Contains(route.Pattern, p) }) {
				continue
			}
			method, paths := s.paths(route, s.good)
			for _, path := range paths {
				for _, who := range []*e2e.Client{s.mallory, s.guest} {
					got := s.ask(t, method, path, bearer(who.Token), `{"user_id":"@mallory:example.test","typing":true,"new_version":"11","visibility":"public","delay_ms":1000,"content":{}}`)
					if harmless := []string{"M_FORBIDDEN", "M_NOT_FOUND", "M_GUEST_ACCESS_FORBIDDEN"}; !slices.Contains(harmless, got.code) && !s.allowed(route) {
						t.Errorf("%s %s by %s: %d %.200s", method, path, who.UserID, got.status, got.body)
					}
				}
			}
		}
	})
}

// allowed lists what a stranger may ask about any room, because the answer
// tells nothing.
func (s *scene) allowed(route httpx.Route) bool {
	switch route.Pattern {
	case "GET /directory/list/room/{roomId}": // whether it is in the directory: it is not
		return true
	}
	return false
}

// TestOddPaths puts what is no name where a name belongs.
func TestOddPaths(t *testing.T) {
	odd := []string{
		"%2F", "a%2Fb", "..%2F..%2Fetc", "%00", "a%00b", "%FF%FE", "%E2%80%AE", "%20", "%25", "%3F", "%23", "%0A", "x%0d%0aY:%20z", "%C0%80",
		strings.Repeat("x", 256), strings.Repeat("%C3%A9", 30_000), "!:", "@:", "$", "%23:", "!x:example.test:1:2", "@ALICE:example.test", "@alice:EXAMPLE.TEST",
		"!unknown:example.test", "!foreign:elsewhere.test", "@unknown:example.test", "@foreign:elsewhere.test", "$unknown", "%23foreign:elsewhere.test",
		"@" + strings.Repeat("x", 300) + ":example.test", "-1", "99999999999999999999", "undefined", "null", "%7B%7D",
	}
	attack(t, func(t *testing.T, s *scene) {
		for _, route := range s.server.Routes() {
			if strings.Contains(route.Pattern, "/logout") {
				continue
			}
			token := s.alice.Token
			if route.Auth == httpx.Admin {
				token = s.operator.Token
			}
			for _, m := range wildcard.FindAllString(route.Pattern, -1) {
				bad := strings.Trim(m, "{.}")
				if bad == "$" {
					continue
				}
				manyAtOnce(len(odd), func(i int) {
					method, paths := s.paths(route, func(name string) string {
						if name == bad {
							return odd[i]
						}
						return s.good(name)
					})
					s.ask(t, method, paths[0], bearer(token), "{}")
				})
			}
		}
		for _, target := range []string{"/_matrix", "/_matrix/", "/_matrix/client", "/_matrix/client/v3", "/_matrix/client/v3/", "/_matrix/client/v99/sync", "/_matrix/client/v3//sync", "/_matrix/client/v3/../v3/sync", "/_matrix/client/v3/sync/", "/_matrix/client/v3/rooms//messages", "/%5fmatrix/client/v3/sync", "/_synapse/admin/v1/nothing", "/_matrix/client/v3/sync%00", "/_matrix/client/v3/%2e%2e/sync"} {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"} {
				s.ask(t, method, target, bearer(s.alice.Token), "{}")
			}
		}
	})
}

// TestParkedAndGone: clients that hang up while they wait for news, with the
// longest timeouts they can ask for, leave nothing behind.
func TestParkedAndGone(t *testing.T) {
	attack(t, func(t *testing.T, s *scene) {
		first, err := syncOnce(t.Context(), s.alice, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, hangUp := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for i := range 60 {
			target := []string{
				v3 + "/sync?timeout=99999999999&since=" + first.Next,
				v3 + "/sync?timeout=9223372036854775807&since=" + first.Next,
				v3 + "/events?timeout=99999999999&from=" + first.Next,
			}[i%3]
			waiting.Go(func() {
				req := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
				req.Header = bearer(s.alice.Token)
				w := httptest.NewRecorder()
				s.server.Handler().ServeHTTP(w, req)
				if w.Code >= 500 {
					t.Errorf("%s: %d %s", target, w.Code, w.Body)
				}
			})
		}
		// Others still get answers, and what they say wakes those who wait.
		for n := range 10 {
			if _, err := say(ctx, s.alice, s.room, fmt.Sprint("parked", n), "hello"); err != nil {
				t.Error(err)
			}
		}
		hangUp()
		waiting.Wait()
	})
}
