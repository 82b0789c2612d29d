package personal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/personal"
	"hearth/matrix/mxerr"
	"hearth/matrix/pushrule"
)

const (
	alice = "@alice:test"
	bob   = "@bob:test"
	attic = 7 // the number of a room
)

type house struct {
	*testing.T
	db   *db.DB
	hub  *notify.Hub
	data *personal.Engine
}

func each(t *testing.T, f func(h *house)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		h := &house{T: t, db: d, hub: notify.NewHub(d.Position())}
		d.OnCommit(h.hub.Advance)
		h.data = personal.New(d, h.hub)
		f(h)
	})
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) refused(err error, code mxerr.Code, status int) {
	h.Helper()
	if e := mxerr.From(err); err == nil || e.Code != code || e.HTTPStatus() != status {
		h.Errorf("error is %v, want %s with %d", err, code, status)
	}
}

func (h *house) put(room int64, typ, content string) {
	h.Helper()
	h.must(h.data.Put(h.Context(), alice, room, typ, json.RawMessage(content)))
}

func (h *house) get(room int64, typ, want string) {
	h.Helper()
	got, err := h.data.Get(h.Context(), alice, room, typ)
	if err != nil || string(got) != want {
		h.Errorf("%s is %s, %v; want %s", typ, got, err, want)
	}
}

// since lists "room type content" of what is new for alice.
func (h *house) since(after int64, want ...string) {
	h.Helper()
	rows, err := h.data.Since(h.Context(), alice, after, h.hub.Pos())
	h.must(err)
	got := []string{}
	for _, a := range rows {
		got = append(got, fmt.Sprintf("%d %s %s", a.Room, a.Type, a.Content))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Errorf("new are %v, want %v", got, want)
	}
}

func TestAccountData(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		l := h.hub.Listen(alice)
		defer l.Close()
		woken, cancel := l.Wait()
		defer cancel()
		seen := []string{}
		h.data.Observe(func(user string, room int64, typ string) { seen = append(seen, fmt.Sprint(user, " ", room, " ", typ)) })

		start := h.hub.Pos()
		h.put(0, "org.example.colours", `{ "sky": "blue" }`)
		<-woken
		h.put(attic, "org.example.colours", `{"walls":"grey"}`)
		h.get(0, "org.example.colours", `{"sky":"blue"}`)
		h.get(attic, "org.example.colours", `{"walls":"grey"}`)
		h.since(start, `0 org.example.colours {"sky":"blue"}`, `7 org.example.colours {"walls":"grey"}`)
		_, err := h.data.Get(ctx, bob, 0, "org.example.colours")
		h.refused(err, mxerr.NotFound, 404)

		middle := h.hub.Pos()
		if last := h.data.LastPos(alice); last != middle {
			h.Errorf("last position is %d, want %d", last, middle)
		}
		if last := h.data.LastPos(bob); last > start {
			h.Errorf("bob has nothing, but the last position is %d", last)
		}
		h.must(h.data.Delete(ctx, alice, 0, "org.example.colours"))
		_, err = h.data.Get(ctx, alice, 0, "org.example.colours")
		h.refused(err, mxerr.NotFound, 404)
		h.since(middle, `0 org.example.colours {}`)
		end := h.hub.Pos()
		h.must(h.data.Delete(ctx, alice, 0, "org.example.colours"))
		h.must(h.data.Delete(ctx, alice, 0, "org.example.nothing"))
		h.since(end)

		h.put(0, "org.example.empty", `{}`)
		_, err = h.data.Get(ctx, alice, 0, "org.example.empty")
		h.refused(err, mxerr.NotFound, 404) // an empty entry is none
		all, err := h.data.All(ctx, alice, h.hub.Pos())
		h.must(err)
		types := ""
		for _, a := range all {
			types += fmt.Sprint(a.Room, a.Type, " ")
		}
		if types != "7org.example.colours 0m.push_rules " {
			h.Errorf("a first sync has %s", types)
		}
		in, err := h.data.In(ctx, alice, attic)
		if err != nil || len(in) != 1 || string(in[0].Content) != `{"walls":"grey"}` {
			h.Errorf("the room has %v, %v", in, err)
		}
		if len(seen) != 4 || seen[1] != "@alice:test 7 org.example.colours" {
			h.Errorf("observed %v", seen)
		}
	})
}

func TestAccountDataThatIsRefused(t *testing.T) {
	each(t, func(h *house) {
		for _, tc := range []struct {
			typ, content string
			code         mxerr.Code
			status       int
		}{
			{"m.fully_read", `{"event_id":"$x"}`, mxerr.BadJSON, 405},
			{"m.push_rules", `{"global":{}}`, mxerr.BadJSON, 405},
			{"m.thing", `[1]`, mxerr.BadJSON, 400},
			{"m.thing", `"text"`, mxerr.BadJSON, 400},
			{"m.thing", `{`, mxerr.NotJSON, 400},
			{"m.thing", ``, mxerr.NotJSON, 400},
			{"m.thing", `{"x":"` + strings.Repeat("x", 600<<10) + `"}`, mxerr.TooLarge, 413},
			{"", `{}`, mxerr.InvalidParam, 400},
			{strings.Repeat("x", 256), `{}`, mxerr.InvalidParam, 400},
			{"\xff", `{}`, mxerr.InvalidParam, 400},
		} {
			for _, room := range []int64{0, attic} {
				h.refused(h.data.Put(h.Context(), alice, room, tc.typ, json.RawMessage(tc.content)), tc.code, tc.status)
			}
		}
		h.refused(h.data.Delete(h.Context(), alice, 0, "m.push_rules"), mxerr.BadJSON, 405)
		_, err := h.data.Get(h.Context(), alice, 0, "\xff")
		h.refused(err, mxerr.NotFound, 404)
	})
}

func TestTags(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		want := func(want string) {
			h.Helper()
			tags, err := h.data.Tags(ctx, alice, attic)
			h.must(err)
			if got, _ := json.Marshal(tags); string(got) != want {
				h.Errorf("tags are %s, want %s", got, want)
			}
		}
		want(`{}`)
		h.must(h.data.SetTag(ctx, alice, attic, "u.work", json.RawMessage(`{"order": 0.7}`)))
		h.must(h.data.SetTag(ctx, alice, attic, "m.favourite", json.RawMessage(`{}`)))
		want(`{"m.favourite":{},"u.work":{"order":0.7}}`)
		h.get(attic, "m.tag", `{"tags":{"m.favourite":{},"u.work":{"order":0.7}}}`)
		h.must(h.data.DeleteTag(ctx, alice, attic, "u.work"))
		want(`{"m.favourite":{}}`)
		end := h.hub.Pos()
		h.must(h.data.DeleteTag(ctx, alice, attic, "u.work"))
		h.since(end)

		h.refused(h.data.SetTag(ctx, alice, attic, "", json.RawMessage(`{}`)), mxerr.InvalidParam, 400)
		h.refused(h.data.SetTag(ctx, alice, attic, strings.Repeat("x", 256), json.RawMessage(`{}`)), mxerr.InvalidParam, 400)
		h.refused(h.data.SetTag(ctx, alice, attic, "u.x", json.RawMessage(`{"order":"first"}`)), mxerr.BadJSON, 400)
		h.refused(h.data.SetTag(ctx, alice, attic, "u.x", json.RawMessage(`[]`)), mxerr.BadJSON, 400)

		h.put(attic, "m.tag", `{"tags":"none"}`) // any client may store nonsense
		want(`{}`)
		h.must(h.data.SetTag(ctx, alice, attic, "u.work", json.RawMessage(`{}`)))
		want(`{"u.work":{}}`)
	})
}

func TestIgnoredUsers(t *testing.T) {
	each(t, func(h *house) {
		ignores := func(want ...string) {
			h.Helper()
			got, err := h.data.Ignored(h.Context(), alice)
			h.must(err)
			if len(got) != len(want) {
				h.Errorf("alice ignores %v, want %v", got, want)
			}
			for _, u := range want {
				if !got[u] {
					h.Errorf("alice does not ignore %s", u)
				}
			}
		}
		ignores()
		h.put(0, "m.ignored_user_list", `{"ignored_users":{"@bob:test":{},"@carol:test":{}}}`)
		ignores("@bob:test", "@carol:test")
		h.put(0, "m.ignored_user_list", `{"ignored_users":["@bob:test"]}`)
		ignores()
		h.put(0, "m.ignored_user_list", `{"ignored_users":{"@bob:test":{}}}`)
		ignores("@bob:test")
		h.must(h.data.Delete(h.Context(), alice, 0, "m.ignored_user_list"))
		ignores()
	})
}

func TestPushRulesAreAccountData(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		start := h.hub.Pos()
		silence := func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
			return rs.Put(pushrule.Room, "!attic:test", pushrule.Draft{Actions: &pushrule.Actions{}}, pushrule.Place{})
		}
		h.must(h.data.ChangeRules(ctx, alice, silence))
		rs, err := h.data.Rules(ctx, alice)
		h.must(err)
		if r, err := rs.Get(pushrule.Room, "!attic:test"); err != nil || !r.Enabled {
			h.Errorf("the rule is %+v, %v", r, err)
		}
		rows, err := h.data.Since(ctx, alice, start, h.hub.Pos())
		h.must(err)
		var shown struct{ Global pushrule.Ruleset }
		if len(rows) != 1 || rows[0].Type != "m.push_rules" || json.Unmarshal(rows[0].Content, &shown) != nil ||
			len(shown.Global.Room) != 1 || len(shown.Global.Underride) == 0 {
			h.Errorf("clients see %v", rows)
		}
		content, err := h.data.Get(ctx, alice, 0, "m.push_rules")
		if err != nil || string(content) != string(rows[0].Content) {
			h.Errorf("GET shows %s, %v", content, err)
		}
		_, err = h.data.Get(ctx, alice, attic, "m.push_rules")
		h.refused(err, mxerr.NotFound, 404)
		h.must(h.data.ChangeRules(ctx, alice, func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
			return rs.Delete(pushrule.Room, "!attic:test")
		}))
		h.refused(h.data.ChangeRules(ctx, alice, func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
			return rs.Delete(pushrule.Room, "!attic:test")
		}), mxerr.NotFound, 404)
	})
}
