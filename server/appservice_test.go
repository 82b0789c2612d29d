package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/base/config"
	"hearth/base/db/dbtest"
	"hearth/e2e"
)

// bridge is an application service of the tests.
type bridge struct {
	server *httptest.Server

	mu     sync.Mutex
	down   bool
	asked  []string          // paths of questions
	makes  func(path string) // makes what it is asked for, nil for nothing
	events []bridged
	edus   []bridged
	mail   []bridged
	counts map[string]map[string]map[string]int64
	lists  []string
	txns   []string // of transactions that it took
	news   chan struct{}
}

type bridged struct {
	Type     string `json:"type"`
	Sender   string `json:"sender"`
	RoomID   string `json:"room_id"`
	ToUser   string `json:"to_user_id"`
	ToDevice string `json:"to_device_id"`
	TS       int64  `json:"origin_server_ts"`
	Content  struct {
		Body       string   `json:"body"`
		Membership string   `json:"membership"`
		UserIDs    []string `json:"user_ids"`
	} `json:"content"`
	Unsigned struct {
		State []json.RawMessage `json:"invite_room_state"`
	} `json:"unsigned"`
}

func newBridge(t *testing.T) *bridge {
	b := &bridge{news: make(chan struct{}, 1000)}
	b.server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.server.Close)
	return b
}

func (b *bridge) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if b.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if r.Header.Get("Authorization") != "Bearer hs-token" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/_matrix/app/v1")
	switch {
	case strings.HasPrefix(path, "/transactions/"):
		if txn := strings.TrimPrefix(path, "/transactions/"); slices.Contains(b.txns, txn) {
			break // told again after a crash
		} else {
			b.txns = append(b.txns, txn)
		}
		var body struct {
			Events    []bridged
			Ephemeral []bridged
			ToDevice  []bridged                              `json:"to_device"`
			Counts    map[string]map[string]map[string]int64 `json:"device_one_time_keys_count"`
			Lists     struct{ Changed []string }             `json:"device_lists"`
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b.events, b.edus, b.mail = append(b.events, body.Events...), append(b.edus, body.Ephemeral...), append(b.mail, body.ToDevice...)
		b.lists = append(b.lists, body.Lists.Changed...)
		if body.Counts != nil {
			b.counts = body.Counts
		}
		b.news <- struct{}{}
	case strings.HasPrefix(path, "/users/"), strings.HasPrefix(path, "/rooms/"):
		b.asked = append(b.asked, path)
		if b.makes == nil {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"errcode":"M_NOT_FOUND","error":"no"}`))
			return
		}
		b.makes(path)
	case strings.HasPrefix(path, "/thirdparty/protocol/"):
		_, _ = w.Write([]byte(`{"user_fields":["nick"],"location_fields":["channel"],"icon":"mxc://example.test/irc","field_types":{"nick":{"regexp":".*","placeholder":"nick"},"channel":{"regexp":".*","placeholder":"#chan"}},"instances":[{"desc":"Net","network_id":"net","fields":{"network":"net"}}]}`))
		return
	case strings.HasPrefix(path, "/thirdparty/location"):
		_, _ = w.Write([]byte(`[{"alias":"#irc_x:example.test","protocol":"irc","fields":{"channel":"` + r.URL.Query().Get("channel") + `"}}]`))
		return
	case strings.HasPrefix(path, "/thirdparty/user"):
		_, _ = w.Write([]byte(`[{"userid":"@irc_x:example.test","protocol":"irc","fields":{}}]`))
		return
	}
	_, _ = w.Write([]byte("{}"))
}

// wait waits until f is true of what the bridge was told.
func (b *bridge) wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		b.mu.Lock()
		ok := f()
		b.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-b.news:
		case <-timeout:
			t.Fatalf("the bridge was never told %s", what)
		}
	}
}

func (b *bridge) bodies() (out []string) {
	for _, ev := range b.events {
		if ev.Type == "m.room.message" {
			out = append(out, ev.Content.Body)
		}
	}
	return out
}

// register writes the bridge's registration file.
func (b *bridge) register(t *testing.T, more string) func(*config.Config) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "irc.yaml")
	text := fmt.Sprintf(`id: irc
url: %s
as_token: as-token
hs_token: hs-token
sender_localpart: ircbot
rate_limited: false
namespaces:
  users:
    - exclusive: true
      regex: '@irc_.*:example\.test'
  aliases:
    - exclusive: true
      regex: '#irc_.*:example\.test'
  rooms: []
protocols: [irc]
some.unknown.key: {a: [1]}
%s
`, b.server.URL, more)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *config.Config) { c.AppServices.Files = []string{name} }
}

// bridgedHouse is a server with a bridge.
func bridgedHouse(t *testing.T, database, more string) (*house, *bridge, *e2e.Client) {
	b := newBridge(t)
	h := newHouse(t, database, b.register(t, more))
	as := e2e.NewClient(h.url, h.http)
	as.Token = "as-token"
	return h, b, as
}

func onBothBridged(t *testing.T, more string, f func(t *testing.T, h *house, b *bridge, as *e2e.Client)) {
	run := func(t *testing.T, database string) {
		h, b, as := bridgedHouse(t, database, more)
		f(t, h, b, as)
	}
	t.Run("sqlite", func(t *testing.T) { run(t, "") })
	t.Run("postgres", func(t *testing.T) { run(t, dbtest.Postgres(t)) })
}

const ephemeralToo = "de.sorunome.msc2409.push_ephemeral: true\norg.matrix.msc3202: true\nio.element.msc4190: true"

func ghost(t *testing.T, as *e2e.Client, name string) string {
	t.Helper()
	body := map[string]any{"type": "m.login.application_service", "username": name, "inhibit_login": true}
	if err := as.Do(t.Context(), http.MethodPost, v3+"/register", body, nil); err != nil {
		t.Fatal(err)
	}
	return "@" + name + ":example.test"
}

// actFor makes a request as a user of the bridge.
func actFor(t *testing.T, as *e2e.Client, user, method, path string, body, answer any) error {
	t.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return as.Do(t.Context(), method, path+sep+"user_id="+url.QueryEscape(user), body, answer)
}

func TestBridgeSpeaksForItsUsers(t *testing.T) {
	onBothBridged(t, "", func(t *testing.T, h *house, b *bridge, as *e2e.Client) {
		alice := h.user(t, "alice")
		var me struct {
			UserID string `json:"user_id"`
		}
		if err := as.Do(t.Context(), http.MethodGet, v3+"/account/whoami", nil, &me); err != nil || me.UserID != "@ircbot:example.test" {
			t.Errorf("the bridge is %q, %v", me.UserID, err)
		}
		carol := ghost(t, as, "irc_carol")
		r := room(t, alice)
		if err := actFor(t, as, carol, http.MethodPost, v3+"/join/"+url.PathEscape(r), struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
		var sent struct {
			ID string `json:"event_id"`
		}
		path := v3 + "/rooms/" + url.PathEscape(r) + "/send/m.room.message/1?ts=1234567890123"
		if err := actFor(t, as, carol, http.MethodPut, path, map[string]string{"msgtype": "m.text", "body": "from IRC"}, &sent); err != nil {
			t.Fatal(err)
		}
		got := listen(t, alice, r, "from IRC")
		if got.Sender != carol || got.TS != 1234567890123 {
			t.Errorf("alice sees %+v", got)
		}
		if _, err := say(t.Context(), alice, r, "1", "to IRC"); err != nil {
			t.Fatal(err)
		}
		b.wait(t, "what alice said", func() bool { return slices.Equal(b.bodies(), []string{"from IRC", "to IRC"}) })

		// What it may not do.
		for name, err := range map[string]error{
			"act for alice":            actFor(t, as, alice.UserID, http.MethodGet, v3+"/account/whoami", nil, nil),
			"act for nobody":           actFor(t, as, "@irc_nobody:example.test", http.MethodGet, v3+"/account/whoami", nil, nil),
			"ping for another service": as.Do(t.Context(), http.MethodPost, "/_matrix/client/v1/appservice/other/ping", struct{}{}, nil),
		} {
			if !is(err, 403, "M_FORBIDDEN") {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, err := range map[string]error{
			"register outside its namespaces": as.Do(t.Context(), http.MethodPost, v3+"/register", map[string]any{"type": "m.login.application_service", "username": "mallory"}, nil),
			"take its users' names":           e2e.NewClient(h.url, h.http).Register(t.Context(), "user", "irc_mallory"),
			"take its aliases":                alice.Do(t.Context(), http.MethodPut, v3+"/directory/room/"+url.PathEscape("#irc_x:example.test"), map[string]string{"room_id": r}, nil),
			"name a room so":                  alice.Do(t.Context(), http.MethodPost, v3+"/createRoom", map[string]string{"room_alias_name": "irc_y"}, nil),
		} {
			if !is(err, 400, "M_EXCLUSIVE") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := actFor(t, as, carol, http.MethodPut, v3+"/directory/room/"+url.PathEscape("#irc_x:example.test"), map[string]string{"room_id": r}, nil); err != nil {
			t.Errorf("the bridge cannot name a room: %v", err)
		}
	})
}

// TestNamesThatBridgesMakeUp: bridges of mautrix call themselves by 32 letters and
// digits of both cases, and others keep the case of the names they carry over, as
// Synapse lets them.
func TestNamesThatBridgesMakeUp(t *testing.T) {
	b := newBridge(t)
	register := b.register(t, "")
	h := newHouse(t, "", func(c *config.Config) {
		register(c)
		text, err := os.ReadFile(c.AppServices.Files[0])
		if err == nil {
			err = os.WriteFile(c.AppServices.Files[0], bytes.Replace(text, []byte("sender_localpart: ircbot"), []byte("sender_localpart: xQYbn8NmT3fKEdno"), 1), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	as := e2e.NewClient(h.url, h.http)
	as.Token = "as-token"
	if who := ask(t, as, http.MethodGet, v3+"/account/whoami", nil); who["user_id"] != "@xQYbn8NmT3fKEdno:example.test" {
		t.Errorf("the bridge is %v", who)
	}
	ask(t, as, http.MethodPost, v3+"/createRoom", nil)
	nick := ask(t, as, http.MethodPost, v3+"/register", map[string]any{"type": "m.login.application_service", "username": "irc_[Nick]", "inhibit_login": true})
	if nick["user_id"] != "@irc_[Nick]:example.test" {
		t.Errorf("registered: %v", nick)
	}
	ask(t, as, http.MethodPost, v3+"/createRoom?user_id="+url.QueryEscape("@irc_[Nick]:example.test"), nil)
	refused(t, as, http.MethodPost, v3+"/register", map[string]any{"type": "m.login.application_service", "username": "irc_" + strings.Repeat("x", 300), "inhibit_login": true}, "M_INVALID_USERNAME")
	refused(t, as, http.MethodPost, v3+"/register", map[string]any{"type": "m.login.application_service", "username": "irc_\x00", "inhibit_login": true}, "M_INVALID_USERNAME")
}

// TestBridgeMissesNothing: what happens while a bridge is away, or the server, it
// hears of afterwards, once and in order.
func TestBridgeMissesNothing(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{
		"sqlite": func(*testing.T) string { return "" }, "postgres": func(t *testing.T) string { return dbtest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			register, dir, database := b.register(t, ""), t.TempDir(), database(t)
			start := func() *house {
				return newHouse(t, database, func(c *config.Config) { register(c); c.Storage.Dir = dir })
			}
			h := start()
			as := e2e.NewClient(h.url, h.http)
			as.Token = "as-token"
			alice := h.user(t, "alice")
			carol := ghost(t, as, "irc_carol")
			r := room(t, alice)
			if err := actFor(t, as, carol, http.MethodPost, v3+"/join/"+url.PathEscape(r), struct{}{}, nil); err != nil {
				t.Fatal(err)
			}
			var want []string
			talk := func(n int) {
				for range n {
					text := fmt.Sprint("message ", len(want))
					want = append(want, text)
					if _, err := say(t.Context(), alice, r, text, text); err != nil {
						t.Fatal(err)
					}
				}
			}
			talk(3)
			b.wait(t, "of the beginning", func() bool { return len(b.bodies()) == 3 })
			b.mu.Lock()
			b.down = true
			b.mu.Unlock()
			talk(250)
			h.stop(t)
			h = start()
			alice.URL, as.URL = h.url, h.url
			talk(5)
			b.mu.Lock()
			b.down = false
			b.mu.Unlock()
			// A bridge that comes back says so, and need not wait.
			if err := as.Do(t.Context(), http.MethodPost, "/_matrix/client/v1/appservice/irc/ping", map[string]string{"transaction_id": "x"}, nil); err != nil {
				t.Fatal(err)
			}
			b.wait(t, "everything", func() bool { return len(b.bodies()) >= len(want) })
			if got := b.bodies(); !slices.Equal(got, want) {
				t.Errorf("the bridge heard %q", got)
			}
		})
	}
}

func TestBridgeIsAskedForWhatIsNotThere(t *testing.T) {
	onBothBridged(t, "", func(t *testing.T, h *house, b *bridge, as *e2e.Client) {
		alice := h.user(t, "alice")
		lookup := v3 + "/directory/room/" + url.PathEscape("#irc_chan:example.test")
		if err := alice.Do(t.Context(), http.MethodGet, lookup, nil, nil); !is(err, 404, "M_NOT_FOUND") {
			t.Errorf("an alias that the bridge does not know: %v", err)
		}
		b.makes = func(path string) {
			switch {
			case strings.HasPrefix(path, "/users/"):
				ghost(t, as, "irc_dave")
			case strings.HasPrefix(path, "/rooms/"):
				if err := as.Do(t.Context(), http.MethodPost, v3+"/createRoom", map[string]string{"room_alias_name": "irc_chan", "preset": "public_chat"}, nil); err != nil {
					t.Error(err)
				}
			}
		}
		if err := alice.Do(t.Context(), http.MethodPost, v3+"/join/"+url.PathEscape("#irc_chan:example.test"), struct{}{}, nil); err != nil {
			t.Errorf("joining a room that the bridge makes: %v", err)
		}
		var made struct {
			ID string `json:"room_id"`
		}
		invite := map[string]any{"invite": []string{"@irc_dave:example.test"}, "name": "Dave and I"}
		if err := alice.Do(t.Context(), http.MethodPost, v3+"/createRoom", invite, &made); err != nil {
			t.Fatal(err)
		}
		b.wait(t, "of the invite", func() bool {
			return slices.ContainsFunc(b.events, func(ev bridged) bool {
				return ev.Content.Membership == "invite" && ev.RoomID == made.ID && len(ev.Unsigned.State) > 2
			})
		})
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/profile/"+url.PathEscape("@irc_dave:example.test"), nil, nil); err != nil {
			t.Error(err)
		}
		want := []string{"/rooms/#irc_chan:example.test", "/rooms/#irc_chan:example.test", "/users/@irc_dave:example.test"}
		if !slices.Equal(b.asked, want) {
			t.Errorf("the bridge was asked for %q", b.asked)
		}
	})
}

func TestBridgeHearsWhatPasses(t *testing.T) {
	onBothBridged(t, ephemeralToo, func(t *testing.T, h *house, b *bridge, as *e2e.Client) {
		alice := h.user(t, "alice")
		carol := ghost(t, as, "irc_carol")
		r := room(t, alice)
		other := room(t, alice)
		if err := actFor(t, as, carol, http.MethodPost, v3+"/join/"+url.PathEscape(r), struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
		id, err := say(t.Context(), alice, r, "1", "hello")
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, err := say(t.Context(), alice, other, "1", "nobody's business")
		if err != nil {
			t.Fatal(err)
		}
		for path, body := range map[string]any{
			"/rooms/" + url.PathEscape(other) + "/receipt/m.read/" + url.PathEscape(elsewhere): struct{}{},
			"/rooms/" + url.PathEscape(r) + "/receipt/m.read/" + url.PathEscape(id):            struct{}{},
		} {
			if err := alice.Do(t.Context(), http.MethodPost, v3+path, body, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := alice.Do(t.Context(), http.MethodPut, v3+"/rooms/"+url.PathEscape(r)+"/typing/"+url.PathEscape(alice.UserID), map[string]any{"typing": true, "timeout": 30000}, nil); err != nil {
			t.Fatal(err)
		}
		if err := alice.Do(t.Context(), http.MethodPut, v3+"/presence/"+url.PathEscape(alice.UserID)+"/status", map[string]string{"presence": "online", "status_msg": "here"}, nil); err != nil {
			t.Fatal(err)
		}
		for _, typ := range []string{"m.typing", "m.receipt", "m.presence"} {
			b.wait(t, "of "+typ, func() bool { return slices.ContainsFunc(b.edus, func(ev bridged) bool { return ev.Type == typ }) })
		}

		// Devices that the bridge makes by itself, and what they are sent.
		device := v3 + "/devices/BRIDGE"
		if err := actFor(t, as, carol, http.MethodPut, device, map[string]string{"display_name": "IRC"}, nil); err != nil {
			t.Fatal(err)
		}
		if err := actFor(t, as, carol, http.MethodGet, v3+"/account/whoami?device_id=NONE", nil, nil); !is(err, 400, "M_UNKNOWN_DEVICE") {
			t.Errorf("a device that is not there: %v", err)
		}
		var me struct {
			DeviceID string `json:"device_id"`
		}
		if err := actFor(t, as, carol, http.MethodGet, v3+"/account/whoami?device_id=BRIDGE", nil, &me); err != nil || me.DeviceID != "BRIDGE" {
			t.Errorf("the bridge's device is %q, %v", me.DeviceID, err)
		}
		post(t, alice, carol, "1", 7)
		b.wait(t, "of the message to its device", func() bool {
			return len(b.mail) == 1 && b.mail[0].ToUser == carol && b.mail[0].ToDevice == "BRIDGE" && b.mail[0].Sender == alice.UserID
		})
		b.wait(t, "how many keys are left", func() bool { return b.counts[carol]["BRIDGE"] != nil })
		if err := actFor(t, as, carol, http.MethodDelete, device, struct{}{}, nil); err != nil {
			t.Errorf("the bridge cannot delete its device: %v", err)
		}
		login := map[string]any{"type": "m.login.application_service", "identifier": map[string]string{"type": "m.id.user", "user": carol}}
		if err := as.Do(t.Context(), http.MethodPost, v3+"/login", login, nil); !is(err, 400, "M_APPSERVICE_LOGIN_UNSUPPORTED") {
			t.Errorf("logging in: %v", err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, ev := range slices.Concat(b.events, b.edus) {
			if ev.RoomID == other {
				t.Errorf("the bridge is told of a room that is not its business: %+v", ev)
			}
		}
	})
}

func TestBridgeLogsIn(t *testing.T) {
	h, _, as := bridgedHouse(t, "", "")
	carol := ghost(t, as, "irc_carol")
	var got struct {
		UserID string `json:"user_id"`
		Token  string `json:"access_token"`
	}
	login := map[string]any{"type": "m.login.application_service", "identifier": map[string]string{"type": "m.id.user", "user": carol}}
	if err := as.Do(t.Context(), http.MethodPost, v3+"/login", login, &got); err != nil || got.UserID != carol || got.Token == "" {
		t.Errorf("%+v, %v", got, err)
	}
	stranger := e2e.NewClient(h.url, h.http)
	if err := stranger.Do(t.Context(), http.MethodPost, v3+"/login", login, nil); !is(err, 401, "M_MISSING_TOKEN") {
		t.Errorf("a stranger: %v", err)
	}
	stranger.Token = "wrong"
	if err := stranger.Do(t.Context(), http.MethodPost, v3+"/login", login, nil); !is(err, 401, "M_UNKNOWN_TOKEN") {
		t.Errorf("a wrong token: %v", err)
	}
	var flows struct{ Flows []struct{ Type string } }
	if err := stranger.Do(t.Context(), http.MethodGet, v3+"/login", nil, &flows); err != nil || len(flows.Flows) != 3 {
		t.Errorf("flows %+v, %v", flows, err)
	}
}

func TestBridgedNetworks(t *testing.T) {
	onBothBridged(t, "", func(t *testing.T, h *house, b *bridge, as *e2e.Client) {
		alice := h.user(t, "alice")
		r := room(t, alice)
		list := v3 + "/directory/list/appservice/net/" + url.PathEscape(r)
		if err := alice.Do(t.Context(), http.MethodPut, list, map[string]string{"visibility": "public"}, nil); !is(err, 403, "M_FORBIDDEN") {
			t.Errorf("alice publishes in a network: %v", err)
		}
		if err := as.Do(t.Context(), http.MethodPut, list, map[string]string{"visibility": "public"}, nil); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]int{
			`{"third_party_instance_id":"irc|net"}`: 1, `{"third_party_instance_id":"irc|other"}`: 0, `{"third_party_instance_id":"|net"}`: 0,
			`{"third_party_instance_id":"net"}`: 0, `{"include_all_networks":true}`: 1, `{}`: 0,
		} {
			var page struct{ Chunk []json.RawMessage }
			if err := alice.Do(t.Context(), http.MethodPost, v3+"/publicRooms", json.RawMessage(query), &page); err != nil || len(page.Chunk) != want {
				t.Errorf("%s: %d rooms, %v", query, len(page.Chunk), err)
			}
		}
		// What a room says of itself is shown as it is now.
		if err := alice.Do(t.Context(), http.MethodPut, v3+"/rooms/"+url.PathEscape(r)+"/state/m.room.name/", map[string]string{"name": "Bridged"}, nil); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{`{"third_party_instance_id":"irc|net"}`, `{"include_all_networks":true}`} {
			var page struct{ Chunk []struct{ Name string } }
			if err := alice.Do(t.Context(), http.MethodPost, v3+"/publicRooms", json.RawMessage(query), &page); err != nil || len(page.Chunk) != 1 || page.Chunk[0].Name != "Bridged" {
				t.Errorf("%s: %+v, %v", query, page, err)
			}
		}
		var protocols map[string]struct {
			Instances []struct {
				ID string `json:"instance_id"`
			}
		}
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/thirdparty/protocols", nil, &protocols); err != nil || protocols["irc"].Instances[0].ID != "irc|net" {
			t.Errorf("%+v, %v", protocols, err)
		}
		for _, path := range []string{"protocol/irc", "location/irc?channel=x", "user/irc?nick=x", "location?alias=%23irc_x:example.test", "user?userid=%40irc_x:example.test"} {
			if err := alice.Do(t.Context(), http.MethodGet, v3+"/thirdparty/"+path, nil, nil); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		fields := url.Values{}
		for i := range 32 {
			fields.Set(fmt.Sprint("field", i), "x")
		}
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/thirdparty/user/irc?"+fields.Encode(), nil, nil); err != nil {
			t.Errorf("as many fields as may be: %v", err)
		}
		fields.Set("nick", "x")
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/thirdparty/user/irc?"+fields.Encode(), nil, nil); !is(err, 400, "M_INVALID_PARAM") {
			t.Errorf("one more: %v", err)
		}
		if err := alice.Do(t.Context(), http.MethodGet, v3+"/thirdparty/protocol/icq", nil, nil); !is(err, 404, "M_NOT_FOUND") {
			t.Error(err)
		}
	})
}

func TestPingsThatFail(t *testing.T) {
	_, b, as := bridgedHouse(t, "", "")
	ping := func() error {
		return as.Do(t.Context(), http.MethodPost, "/_matrix/client/v1/appservice/irc/ping", map[string]string{"transaction_id": "x"}, nil)
	}
	if err := ping(); err != nil {
		t.Error(err)
	}
	b.mu.Lock()
	b.down = true
	b.mu.Unlock()
	if err := ping(); !is(err, 502, "M_BAD_STATUS") {
		t.Error(err)
	}
	b.server.Close()
	if err := ping(); !is(err, 502, "M_CONNECTION_FAILED") {
		t.Error(err)
	}
}
