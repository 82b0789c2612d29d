package hostile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/api/spectest"
	"hearth/base/config"
	"hearth/e2e"
	"hearth/server"
)

// victim is a server in this process, with some life in it.
type victim struct {
	server *server.Server
	url    string
	http   *http.Client

	people map[caller]*e2e.Client
	room   string // alice's private room
	event  string // a message in it
}

func newVictim(t *testing.T, database string) *victim {
	t.Helper()
	cfg := config.Default()
	cfg.ServerName = "example.test"
	cfg.Listen.HTTP = "127.0.0.1:0"
	cfg.Storage.Dir, cfg.Storage.Database = t.TempDir(), database
	cfg.Registration.Mode, cfg.Registration.Guests = "open", true
	cfg.Limits.Enabled = false
	srv, err := server.New(t.Context(), cfg, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{server: srv, people: map[caller]*e2e.Client{}, http: &http.Client{Transport: spectest.Transport(t, &http.Transport{})}}
	t.Cleanup(func() { v.stop(t) })
	if err := srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.url = "http://" + srv.Addr()
	for who, name := range names {
		v.people[who] = e2e.NewClient(v.url, v.http)
		if who == operator {
			_, err = srv.Admin().AddUser(t.Context(), name, e2e.Password(name), true, "")
			err = errors.Join(err, v.signIn(t.Context(), who))
		} else {
			err = v.people[who].Register(t.Context(), kind(who), name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	v.people[nobody] = &e2e.Client{}
	v.people[nonsense] = &e2e.Client{Token: "nonsense"}
	return v
}

// names of those who have an account. A guest has none to choose.
var names = map[caller]string{alice: "alice", mallory: "mallory", operator: "operator", carol: "carol", guest: ""}

func kind(who caller) string {
	if who == guest {
		return "guest"
	}
	return "user"
}

// signIn gives who a new token.
func (v *victim) signIn(ctx context.Context, who caller) error {
	if who == guest {
		return v.people[who].Register(ctx, "guest", "")
	}
	return v.people[who].Login(ctx, names[who])
}

// settle gives alice a private room with a message in it, unless the attacks so
// far have left her in the last one.
func (v *victim) settle(t *testing.T) {
	t.Helper()
	ctx, a := t.Context(), v.people[alice]
	if a.Do(ctx, http.MethodGet, "/_matrix/client/v3/account/whoami", nil, nil) != nil {
		if err := v.signIn(ctx, alice); err != nil {
			t.Fatal(err)
		}
	}
	if v.room != "" && a.Do(ctx, http.MethodGet, "/_matrix/client/v3/rooms/"+url.PathEscape(v.room)+"/joined_members", nil, nil) == nil {
		return
	}
	var made struct {
		Room  string `json:"room_id"`
		Event string `json:"event_id"`
	}
	if err := a.Do(ctx, http.MethodPost, "/_matrix/client/v3/createRoom", map[string]any{"preset": "private_chat"}, &made); err != nil {
		t.Fatal(err)
	}
	path := "/_matrix/client/v3/rooms/" + url.PathEscape(made.Room) + "/send/m.room.message/first"
	if err := a.Do(ctx, http.MethodPut, path, map[string]any{"msgtype": "m.text", "body": "Is the hearth warm?"}, &made); err != nil {
		t.Fatal(err)
	}
	v.room, v.event = made.Room, made.Event
}

// fill puts values into the wildcards of a pattern: those of an attack, and
// good ones for the rest, which are about somebody.
func (v *victim) fill(pattern string, about caller, bad map[string]string) string {
	good := map[string]string{
		"roomId": v.room, "roomIdOrAlias": v.room, "roomAlias": "#hearth:example.test", "userId": v.people[about].UserID,
		"eventId": v.event, "eventType": "m.room.message", "receiptType": "m.read", "stateKey": "",
	}
	path := strings.ReplaceAll(pattern, "{$}", "")
	for _, name := range wildcards(pattern) {
		value, isBad := bad[name]
		if !isBad {
			var known bool
			if value, known = good[name]; !known {
				value = "x"
			}
		}
		path = strings.NewReplacer("{"+name+"}", url.PathEscape(value), "{"+name+"...}", url.PathEscape(value)).Replace(path)
	}
	return path
}

// stop ends the server; it may be called twice.
func (v *victim) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := v.server.Stop(ctx); err != nil {
		t.Error(err)
	}
	v.http.CloseIdleConnections()
}

// everyField is a body that gives value to each field that any endpoint reads,
// as the sources of the doors name them.
func everyField(value string) string {
	var fields []string
	for _, source := range sources {
		for _, m := range jsonTag.FindAllStringSubmatch(source, -1) {
			if !slices.Contains(fields, m[1]) {
				fields = append(fields, m[1])
			}
		}
	}
	for i, name := range fields {
		fields[i] = fmt.Sprintf("%q:%s", name, value)
	}
	return "{" + strings.Join(fields, ",") + "}"
}

var (
	jsonTag = regexp.MustCompile("`json:\"([^\",-]+)")
	sources = readSources("../../api/clientapi", "../../api/adminapi")
)

func readSources(dirs ...string) (texts []string) {
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*.go")) // the pattern is well-formed
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil { // TestFieldsAreFound sees to it that there are some
				texts = append(texts, string(text))
			}
		}
	}
	return texts
}

// TestFieldsAreFound keeps the attacks with wrong types from becoming empty.
func TestFieldsAreFound(t *testing.T) {
	if body := everyField("1"); !strings.Contains(body, `"password":1`) || strings.Count(body, ":") < 30 {
		t.Errorf("the doors read only %s", body)
	}
}
