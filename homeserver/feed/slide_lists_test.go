package feed_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// Filters show the rooms that people look for.
func TestSlideFilters(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		kitchen := w.room("Kitchen")
		safe := newRoom(t, w.rooms, room.CreateRequest{Name: "Safe", InitialState: []room.InitialState{
			{Type: "m.room.encryption", Content: []byte(`{"algorithm":"m.megolm.v1.aes-sha2"}`)},
		}})
		house := newRoom(t, w.rooms, room.CreateRequest{Name: "House", CreationContent: map[string]json.RawMessage{"type": []byte(`"m.space"`)}})
		w.set(house, alice, "m.space.child", kitchen.ID, `{"via":["test"]}`)
		w.set(house, alice, "m.space.child", safe.ID, `{}`)
		w.put(alice, nil, "m.direct", `{"@bob:test":["`+safe.ID+`"]}`)
		w.put(alice, kitchen, "m.tag", `{"tags":{"m.favourite":{},"u.work":{}}}`)
		invited, err := w.rooms.Create(t.Context(), bob, room.CreateRequest{Name: "Party", Invite: []string{alice}})
		w.ok(err)
		names := map[string]string{kitchen.ID: "kitchen", safe.ID: "safe", house.ID: "house", invited.ID: "party"}
		for _, tc := range []struct{ filter, want string }{
			{`{}`, "house kitchen party safe"},
			{`{"is_dm":true}`, "safe"},
			{`{"is_dm":false}`, "house kitchen party"},
			{`{"is_encrypted":true}`, "safe"},
			{`{"is_encrypted":false,"is_invite":false}`, "house kitchen"},
			{`{"is_invite":true}`, "party"},
			{`{"is_invited":true}`, "party"},
			{`{"room_types":["m.space"]}`, "house"},
			{`{"room_types":[null]}`, "kitchen party safe"},
			{`{"room_types":[]}`, ""},
			{`{"not_room_types":["m.space"]}`, "kitchen party safe"},
			{`{"room_types":["m.space",null],"not_room_types":["m.space"]}`, "kitchen party safe"},
			{`{"tags":["m.favourite","m.lowpriority"]}`, "kitchen"},
			{`{"tags":["m.favourite"],"not_tags":["u.work"]}`, ""},
			{`{"not_tags":["u.work"]}`, "house party safe"},
			{`{"spaces":["` + house.ID + `","!nowhere:test"]}`, "kitchen"},
			{`{"spaces":["` + invited.ID + `"]}`, ""},
			{`{"room_name_like":"KIT"}`, "kitchen"},
			{`{"is_new_and_unknown":true}`, "house kitchen party safe"},
		} {
			p := w.phone(alice, `{"lists":{"l":{"range":[0,9],"timeline_limit":0,"filters":`+tc.filter+`}}}`)
			a := p.sync()
			var got []string
			for id := range a.Rooms {
				got = append(got, names[id])
			}
			slices.Sort(got)
			if strings.Join(got, " ") != tc.want || a.Lists["l"].Count != len(got) {
				t.Errorf("%s shows %v (%d), want %s", tc.filter, got, a.Lists["l"].Count, tc.want)
			}
		}
		// A room may come into a list later.
		p := w.phone(alice, `{"lists":{"l":{"range":[0,9],"timeline_limit":1,"filters":{"is_encrypted":true}}}}`)
		p.sync()
		w.set(kitchen, alice, "m.room.encryption", "", `{"algorithm":"m.megolm.v1.aes-sha2"}`)
		if a := p.sync(); !p.room(a, kitchen).Initial || a.Lists["l"].Count != 2 {
			t.Errorf("a room that is now encrypted: %s", a.raw)
		}
	})
}

// The list grows as the client scrolls; rooms that it has are not sent again.
func TestSlideGrowingWindow(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		var rooms []*room.Room
		for i := range 8 {
			rooms = append(rooms, w.room(fmt.Sprint("Room ", i)))
		}
		p := w.phone(alice, "")
		shown := func(ranges, want string) {
			t.Helper()
			p.query = `{"lists":{"l":{` + ranges + `"timeline_limit":0}}}`
			a := p.sync()
			var got []string
			for _, id := range slices.Collect(maps.Keys(a.Rooms)) {
				i := slices.IndexFunc(rooms, func(r *room.Room) bool { return r.ID == id })
				got = append(got, fmt.Sprint(i))
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != want || a.Lists["l"].Count != 8 {
				t.Errorf("%s shows %q, want %q", ranges, s, want)
			}
		}
		shown(`"ranges":[[0,1]],`, "6 7")
		shown(`"ranges":[[0,1],[4,4]],`, "3")
		shown(`"ranges":[[0,4]],`, "4 5")
		shown(`"ranges":[],`, "")
		shown(``, "0 1 2")
		w.say(rooms[0], alice, "up")
		shown(`"range":[1,1],`, "")
		shown(`"range":[0,0],`, "0")
		shown(`"range":[100,2000],`, "")
	})
}

func TestSlideBadRequests(t *testing.T) {
	many := func(n int, f string) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(f, i))
		}
		return strings.Join(out, ",")
	}
	eachTown(t, func(t *testing.T, w *town) {
		for _, tc := range []struct {
			name, query string
			code        mxerr.Code
		}{
			{"a range backwards", `{"lists":{"l":{"ranges":[[5,2]],"timeline_limit":1}}}`, mxerr.InvalidParam},
			{"a negative range", `{"lists":{"l":{"ranges":[[-1,2]],"timeline_limit":1}}}`, mxerr.InvalidParam},
			{"a range of three", `{"lists":{"l":{"range":[0,1,2],"timeline_limit":1}}}`, mxerr.InvalidParam},
			{"many ranges", `{"lists":{"l":{"ranges":[` + many(17, "[%[1]d,%[1]d]") + `],"timeline_limit":1}}}`, mxerr.InvalidParam},
			{"no timeline_limit", `{"lists":{"l":{"ranges":[[0,2]]}}}`, mxerr.MissingParam},
			{"a negative timeline_limit", `{"lists":{"l":{"timeline_limit":-1}}}`, mxerr.InvalidParam},
			{"many lists", `{"lists":{` + many(101, `"l%d":{"timeline_limit":1}`) + `}}`, mxerr.InvalidParam},
			{"a strange name", `{"lists":{"a b":{"timeline_limit":1}}}`, mxerr.InvalidParam},
			{"many subscriptions", `{"room_subscriptions":{` + many(101, `"!r%d:test":{"timeline_limit":1}`) + `}}`, mxerr.InvalidParam},
			{"no room id", `{"room_subscriptions":{"kitchen":{"timeline_limit":1}}}`, mxerr.InvalidParam},
			{"half a pair", `{"lists":{"l":{"timeline_limit":1,"required_state":[["m.room.name"]]}}}`, mxerr.InvalidParam},
			{"no pair", `{"lists":{"l":{"timeline_limit":1,"required_state":["m.room.name"]}}}`, mxerr.BadJSON},
			{"a number", `{"lists":{"l":{"timeline_limit":1,"required_state":7}}}`, mxerr.BadJSON},
			{"much state", `{"lists":{"l":{"timeline_limit":1,"required_state":[` + many(201, `["a","%d"]`) + `]}}}`, mxerr.InvalidParam},
			{"a long conn_id", `{"conn_id":"` + strings.Repeat("x", 256) + `"}`, mxerr.InvalidParam},
		} {
			p := w.phone(alice, tc.query)
			if _, err := p.try(t.Context(), 0); mxerr.From(err).Code != tc.code {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		for _, query := range []string{
			`{}`,
			`{"lists":{},"room_subscriptions":{},"extensions":{"org.example":{"enabled":true}},"new_field":[]}`,
			`{"lists":{"l":{"ranges":[[0,99999999999]],"timeline_limit":99999999999,"slow_get_all_rooms":true}}}`,
		} {
			w.phone(alice, query).sync()
		}
		p := w.phone(alice, `{"txn_id":"t1"}`)
		if a := p.sync(); a.TxnID != "t1" || a.Pos == "" {
			t.Errorf("an empty request gets %s", a.raw)
		}
	})
}
