package clientapi

import (
	"crypto/ed25519"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hearth/api/httpx"
	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/feed"
	"hearth/homeserver/presence"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// TestSlidingSync asks as clients of the unstable endpoint do, with parameters
// in the query, and as the MSC has it, with all in the body.
func TestSlidingSync(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		hub := notify.NewHub(d.Position())
		d.OnCommit(hub.Advance)
		log := slog.New(slog.DiscardHandler)
		e := room.New(room.Config{
			DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: nicknames{}, Log: log,
		})
		who := presence.New(presence.Config{DB: d, Rooms: e, Hub: hub, Enabled: true, Log: log})
		router := httpx.NewRouter(httpx.Config{Auth: faces{}, Log: log})
		router.Add((&Sync{Feed: feed.New(feed.Config{DB: d, Rooms: e, Hub: hub, Log: log}), Presence: who}).Routes()...)
		ask := func(query, body string) (int, map[string]any) {
			t.Helper()
			r := httptest.NewRequest(http.MethodPost, "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"+query, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer alice")
			w := httptest.NewRecorder()
			router.ServeHTTP(w, r)
			raw, err := io.ReadAll(w.Result().Body)
			if err != nil {
				t.Fatal(err)
			}
			var out map[string]any
			if err := json.Unmarshal(raw, &out); err != nil {
				t.Fatalf("%v in %s", err, raw)
			}
			return w.Code, out
		}
		r, err := e.Create(t.Context(), "@alice:test", room.CreateRequest{Name: "Kitchen"})
		if err != nil {
			t.Fatal(err)
		}
		const list = `"lists":{"all":{"ranges":[[0,9]],"required_state":[],"timeline_limit":1}}`
		code, a := ask("", `{`+list+`}`)
		if got := a["rooms"].(map[string]any)[r.ID].(map[string]any); code != 200 || got["name"] != "Kitchen" {
			t.Fatalf("first answer: %d, %v", code, a)
		}
		code, a = ask("?timeout=0&pos="+a["pos"].(string), `{`+list+`}`)
		if code != 200 || len(a["rooms"].(map[string]any)) != 0 {
			t.Errorf("second answer: %d, %v", code, a)
		}
		code, a = ask("", `{"timeout":1,"pos":"`+a["pos"].(string)+`",`+list+`}`)
		if code != 200 || len(a["rooms"].(map[string]any)) != 0 {
			t.Errorf("third answer, with pos in the body: %d, %v", code, a)
		}
		for _, tc := range []struct {
			query, body string
			code        mxerr.Code
		}{
			{"?pos=x", `{}`, mxerr.UnknownPos},
			{"?timeout=soon", `{}`, mxerr.InvalidParam},
			{"?timeout=-1", `{}`, mxerr.InvalidParam},
			{"", `{"timeout":-1}`, mxerr.InvalidParam},
			{"?set_presence=asleep", `{}`, mxerr.InvalidParam},
			{"", `{"set_presence":"asleep"}`, mxerr.InvalidParam},
			{"", `{"lists":[]}`, mxerr.BadJSON},
			{"", `{`, mxerr.NotJSON},
			{"", `[]`, mxerr.BadJSON},
		} {
			if code, a := ask(tc.query, tc.body); code != 400 || a["errcode"] != string(tc.code) {
				t.Errorf("%s %s: %d, %v", tc.query, tc.body, code, a)
			}
		}
		state := func(query, want string) {
			t.Helper()
			ask(query, `{}`)
			if ev, err := who.Get(t.Context(), "@alice:test", "@alice:test"); err != nil || ev.State != want {
				t.Errorf("%q: alice is %v, %v", query, ev.State, err)
			}
		}
		state("?set_presence=unavailable", presence.Unavailable)
		state("", presence.Online)
	})
}
