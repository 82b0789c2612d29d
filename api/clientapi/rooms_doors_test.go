package clientapi

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"hearth/api/httpx"
	"hearth/api/spectest"
	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/directory"
	"hearth/homeserver/personal"
	"hearth/homeserver/room"
	"hearth/homeserver/search"
	"hearth/homeserver/spaces"
	"hearth/matrix/mxerr"
)

// town is a server with doors to rooms only. Who calls is the localpart of a
// user; "guest" is a guest, "root" an administrator, and "phone.alice" is alice
// with another device.
type town struct {
	t      testing.TB
	doors  *Rooms
	router *httpx.Router
}

// faces is an Authenticator for whom every name is a token.
type faces struct{}

func (faces) Authenticate(_ context.Context, token string, _ httpx.Identity) (*httpx.Caller, error) {
	if token == "nobody" {
		return nil, mxerr.New(mxerr.UnknownToken, "Unknown token")
	}
	device, name, ok := strings.Cut(token, ".")
	if !ok {
		device, name = "HOME", token
	}
	return &httpx.Caller{User: "@" + name + ":test", Device: device, Guest: name == "guest", Admin: name == "root", Token: token}, nil
}

// nicknames gives every user a display name without an account.
type nicknames struct{}

func (nicknames) Profile(_ context.Context, user string) (string, string, error) {
	return strings.ToUpper(user[1:2]) + strings.TrimSuffix(user[2:], ":test"), "mxc://test/" + user[1:2], nil
}

func newTown(t testing.TB, d *db.DB) *town {
	hub := notify.NewHub(d.Position())
	d.OnCommit(hub.Advance)
	e := room.New(room.Config{
		DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)),
		Profiles: nicknames{}, Log: slog.New(slog.DiscardHandler),
	})
	w := &town{t: t}
	w.doors = &Rooms{
		Engine: e, Hub: hub, Directory: directory.New(directory.Config{DB: d, Rooms: e, Server: "test"}), Personal: personal.New(d, hub),
		Search: search.New(search.Config{DB: d}),
	}
	w.doors.Spaces = &spaces.Engine{DB: d, Rooms: e, Directory: w.doors.Directory}
	w.router = httpx.NewRouter(httpx.Config{Auth: faces{}, Log: slog.New(slog.DiscardHandler)})
	w.router.Add(w.doors.Routes()...)
	return w
}

// inTown runs f in a town on each database.
func inTown(t *testing.T, f func(t *testing.T, w *town)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) { f(t, newTown(t, d)) })
}

// reply is an answer as it came.
type reply struct {
	t      testing.TB
	what   string
	status int
	body   []byte
}

// in is a call of who. path is below /_matrix/client/v3; its parts are fmt
// arguments and escaped; without any it is taken as it is.
func (w *town) in(who, method, body, path string, parts ...any) reply {
	w.t.Helper()
	for i, p := range parts {
		if s, ok := p.(string); ok {
			parts[i] = url.PathEscape(s)
		}
	}
	if len(parts) > 0 {
		path = fmt.Sprintf(path, parts...)
	}
	if !strings.HasPrefix(path, "/_") {
		path = "/_matrix/client/v3" + path
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	rec := httptest.NewRecorder()
	w.router.ServeHTTP(rec, r)
	if err := spectest.Check(method, r.URL.EscapedPath(), rec.Code, rec.Body.Bytes()); err != nil {
		w.t.Error(err)
	}
	return reply{w.t, who + " " + method + " " + path + " " + body, rec.Code, rec.Body.Bytes()}
}

func (w *town) get(who, path string, parts ...any) reply {
	w.t.Helper()
	return w.in(who, "GET", "", path, parts...)
}

func (w *town) post(who, body, path string, parts ...any) reply {
	w.t.Helper()
	return w.in(who, "POST", body, path, parts...)
}

func (w *town) put(who, body, path string, parts ...any) reply {
	w.t.Helper()
	return w.in(who, "PUT", body, path, parts...)
}

// ok decodes an answer that must be 200.
func (r reply) ok() map[string]any {
	r.t.Helper()
	var m map[string]any
	r.into(&m)
	return m
}

func (r reply) into(v any) {
	r.t.Helper()
	if r.status != 200 {
		r.t.Fatalf("%s: %d %s", r.what, r.status, r.body)
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		r.t.Fatalf("%s: %v in %s", r.what, err, r.body)
	}
}

// fails checks the status and the error code of an answer.
func (r reply) fails(status int, code mxerr.Code) {
	r.t.Helper()
	var e struct {
		Code  mxerr.Code `json:"errcode"`
		Error string     `json:"error"`
	}
	if err := json.Unmarshal(r.body, &e); err != nil {
		r.t.Fatalf("%s: %v in %s", r.what, err, r.body)
	}
	if r.status != status || e.Code != code || e.Error == "" {
		r.t.Errorf("%s: %d %s, want %d %s", r.what, r.status, r.body, status, code)
	}
}

// hermit makes a user who wants no invites.
func (w *town) hermit(user string) {
	w.t.Helper()
	if err := w.doors.Personal.Put(context.Background(), user, 0, "m.invite_permission_config", []byte(`{"default_action":"block"}`)); err != nil {
		w.t.Fatal(err)
	}
}

// create makes a room and returns its id.
func (w *town) create(who, body string) string {
	w.t.Helper()
	id, _ := w.post(who, body, "/createRoom").ok()["room_id"].(string)
	return id
}

// public makes a room that everybody may enter, with alice and the guests.
func (w *town) public(guests ...string) string {
	w.t.Helper()
	id := w.create("alice", `{"preset":"public_chat"}`)
	for _, g := range guests {
		w.post(g, "", "/rooms/%s/join", id).ok()
	}
	return id
}

// say sends a message and returns its id.
func (w *town) say(who, room, text string) string {
	w.t.Helper()
	body, _ := json.Marshal(map[string]string{"msgtype": "m.text", "body": text})
	id, _ := w.put(who, string(body), "/rooms/%s/send/m.room.message/%s", room, "say-"+text).ok()["event_id"].(string)
	return id
}

// event is an event as a client reads it.
type event struct {
	Type     string          `json:"type"`
	ID       string          `json:"event_id"`
	Room     string          `json:"room_id"`
	Sender   string          `json:"sender"`
	StateKey *string         `json:"state_key"`
	Content  map[string]any  `json:"content"`
	Unsigned map[string]any  `json:"unsigned"`
	Redacts  string          `json:"redacts"`
	TS       json.RawMessage `json:"origin_server_ts"`
}

func (ev event) text() string {
	s, _ := ev.Content["body"].(string)
	return s
}

// texts are the bodies of the messages among events.
func texts(events []event) string {
	var out []string
	for _, ev := range events {
		if ev.Type == "m.room.message" {
			out = append(out, ev.text())
		}
	}
	return strings.Join(out, " ")
}

// chunk is an answer with a list of events.
type chunk struct {
	Chunk []event `json:"chunk"`
	Start string  `json:"start"`
	End   string  `json:"end"`
	State []event `json:"state"`
}

// state is the content of a state event, as who sees it.
func (w *town) state(who, room, typ string) map[string]any {
	w.t.Helper()
	return w.get(who, "/rooms/%s/state/%s", room, typ).ok()
}
