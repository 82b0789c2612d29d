package personal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"hearth/homeserver/personal"
	"hearth/matrix/mxerr"
)

func TestStoredFilters(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		add := func(user, filter string) string {
			h.Helper()
			id, err := h.data.AddFilter(ctx, user, json.RawMessage(filter))
			h.must(err)
			return id
		}
		a := add(alice, `{"room": {"timeline": {"limit": 3, "unknown": 1}}}`)
		if again := add(alice, `{"room":{"timeline":{"limit":3,"unknown":1}}}`); again != a {
			h.Errorf("an equal filter got another id: %s, %s", a, again)
		}
		b := add(alice, `{}`)
		if a == b {
			h.Error("two filters have one id")
		}
		raw, err := h.data.FilterJSON(ctx, alice, a)
		if err != nil || string(raw) != `{"room":{"timeline":{"limit":3,"unknown":1}}}` {
			h.Errorf("the filter is %s, %v", raw, err)
		}
		for range 2 { // from the store, then from memory
			f, err := h.data.Filter(ctx, alice, a)
			if err != nil || f.Room.Timeline.LimitOr(10, 100) != 3 {
				h.Errorf("parsed %+v, %v", f, err)
			}
		}
		for _, id := range []string{"0", "99", "-1", "x", "", "1e1", strings.Repeat("9", 40)} {
			_, err := h.data.Filter(ctx, alice, id)
			h.refused(err, mxerr.NotFound, 404)
		}
		_, err = h.data.Filter(ctx, bob, a)
		h.refused(err, mxerr.NotFound, 404)
	})
}

// A client that makes a filter for each request fills nothing.
func TestOldFiltersAreDropped(t *testing.T) {
	each(t, func(h *house) {
		if testing.Short() {
			h.Skip("stores a thousand filters")
		}
		first, last := "", ""
		for i := range 1001 {
			id, err := h.data.AddFilter(h.Context(), alice, json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)))
			h.must(err)
			if i == 0 {
				first = id
			}
			last = id
		}
		_, err := h.data.FilterJSON(h.Context(), alice, first)
		h.refused(err, mxerr.NotFound, 404)
		_, err = h.data.FilterJSON(h.Context(), alice, last)
		h.must(err)
	})
}

func TestFiltersThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		filter string
		want   mxerr.Code
	}{
		{`{`, mxerr.NotJSON},
		{``, mxerr.NotJSON},
		{`[]`, mxerr.BadJSON},
		{`null`, mxerr.BadJSON},
		{`{"presence":"not an object"}`, mxerr.BadJSON},
		{`{"room":{"timeline":[]}}`, mxerr.BadJSON},
		{`{"room":{"timeline":{"types":"m.room.message"}}}`, mxerr.BadJSON},
		{`{"room":{"timeline":{"types":[1]}}}`, mxerr.BadJSON},
		{`{"room":{"timeline":{"limit":"3"}}}`, mxerr.BadJSON},
		{`{"room":{"timeline":{"limit":-1}}}`, mxerr.InvalidParam},
		{`{"room":{"rooms":["attic"]}}`, mxerr.InvalidParam},
		{`{"room":{"state":{"not_rooms":["attic"]}}}`, mxerr.InvalidParam},
		{`{"room":{"state":{"senders":["alice"]}}}`, mxerr.InvalidParam},
		{`{"event_format":"xml"}`, mxerr.InvalidParam},
		{`{"event_fields":"type"}`, mxerr.BadJSON},
		{`{"x":"` + strings.Repeat("x", 64<<10) + `"}`, mxerr.TooLarge},
	} {
		if _, err := personal.ParseFilter([]byte(tc.filter)); err == nil || mxerr.From(err).Code != tc.want {
			t.Errorf("%.60s: %v, want %s", tc.filter, err, tc.want)
		}
	}
}

func TestFiltersMatch(t *testing.T) {
	type ev struct {
		typ, sender string
		url         bool
	}
	text := ev{"m.room.message", "@a:x", false}
	image := ev{"m.room.message", "@a:x", true}
	name := ev{"m.room.name", "@b:x", false}
	for _, tc := range []struct {
		filter    string
		pass, not []ev
	}{
		{`{}`, []ev{text, image, name}, nil},
		{`{"types":null,"senders":null}`, []ev{text, image, name}, nil},
		{`{"types":[]}`, nil, []ev{text, image, name}},
		{`{"senders":[]}`, nil, []ev{text, image, name}},
		{`{"types":["m.room.message"]}`, []ev{text, image}, []ev{name}},
		{`{"types":["m.room.*"]}`, []ev{text, image, name}, nil},
		{`{"types":["*name"]}`, []ev{name}, []ev{text}},
		{`{"types":["m.*om.*a*e"]}`, []ev{text, name}, nil},
		{`{"types":["m.room.message*x"]}`, nil, []ev{text}},
		{`{"types":["*"],"not_types":["m.room.m*"]}`, []ev{name}, []ev{text, image}},
		{`{"senders":["@a:x"]}`, []ev{text}, []ev{name}},
		{`{"not_senders":["@a:x"]}`, []ev{name}, []ev{text}},
		{`{"senders":["@a:x"],"not_senders":["@a:x"]}`, nil, []ev{text, name}},
		{`{"contains_url":true}`, []ev{image}, []ev{text, name}},
		{`{"contains_url":false}`, []ev{text, name}, []ev{image}},
	} {
		f, err := personal.ParseFilter([]byte(`{"room":{"timeline":` + tc.filter + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range tc.pass {
			if !f.Room.Timeline.Match(e.typ, e.sender, e.url) {
				t.Errorf("%s should let %v pass", tc.filter, e)
			}
		}
		for _, e := range tc.not {
			if f.Room.Timeline.Match(e.typ, e.sender, e.url) {
				t.Errorf("%s should not let %v pass", tc.filter, e)
			}
		}
	}
	var none *personal.EventFilter
	if !none.Match("m.any", "@a:x", true) || !none.MatchType("m.any") || !none.MatchRoom("!r:x") || none.LimitOr(7, 9) != 7 {
		t.Error("a filter that is not there stops something")
	}
}

func TestFiltersOfRooms(t *testing.T) {
	f, err := personal.ParseFilter([]byte(`{"room":{
		"rooms":["!a:x","!b:x"],"not_rooms":["!b:x"],"include_leave":true,
		"state":{"lazy_load_members":true,"include_redundant_members":true,"rooms":["!a:x"]},
		"timeline":{"unread_thread_notifications":true,"limit":500,"related_by_rel_types":["m.thread"],"related_by_senders":["@a:x"]}},
		"event_fields":["type"],"event_format":"federation"}`))
	if err != nil {
		t.Fatal(err)
	}
	if !f.Room.MatchRoom("!a:x") || f.Room.MatchRoom("!b:x") || f.Room.MatchRoom("!c:x") || !f.Room.IncludeLeave {
		t.Error("the wrong rooms pass")
	}
	s, tl := f.Room.State, f.Room.Timeline
	if !s.LazyLoadMembers || !s.IncludeRedundantMembers || !s.MatchRoom("!a:x") || s.MatchRoom("!b:x") {
		t.Errorf("state: %+v", s)
	}
	if !tl.UnreadThreadNotifications || tl.LimitOr(10, 100) != 100 || len(tl.RelatedByRelTypes) != 1 || len(tl.RelatedBySenders) != 1 {
		t.Errorf("timeline: %+v", tl)
	}
	if f.EventFormat != "federation" || len(f.EventFields) != 1 {
		t.Errorf("filter: %+v", f)
	}
}
