package pdu

import (
	"testing"

	"hearth/matrix/canonjson"
	"hearth/matrix/roomver"
)

// What is left of content after redaction, by the room version from which on it
// is so.
func TestRedactedContent(t *testing.T) {
	for _, tc := range []struct {
		typ, content string
		want         map[int]string // first version → result
	}{
		{"m.room.message", `{"body":"secret","membership":"join"}`, map[int]string{1: `{}`}},
		{
			"m.room.member",
			`{"displayname":"x","join_authorised_via_users_server":"@a:b","membership":"join","third_party_invite":{"display_name":"y","signed":{"token":"z"}}}`,
			map[int]string{
				1:  `{"membership":"join"}`,
				9:  `{"join_authorised_via_users_server":"@a:b","membership":"join"}`,
				11: `{"join_authorised_via_users_server":"@a:b","membership":"join","third_party_invite":{"signed":{"token":"z"}}}`,
			},
		},
		{"m.room.member", `{"membership":"join","third_party_invite":"text"}`, map[int]string{1: `{"membership":"join"}`}},
		{"m.room.create", `{"creator":"@a:b","m.federate":false,"room_version":"1"}`, map[int]string{
			1:  `{"creator":"@a:b"}`,
			11: `{"creator":"@a:b","m.federate":false,"room_version":"1"}`,
		}},
		{"m.room.join_rules", `{"allow":[{"type":"x"}],"join_rule":"restricted","other":1}`, map[int]string{
			1: `{"join_rule":"restricted"}`,
			8: `{"allow":[{"type":"x"}],"join_rule":"restricted"}`,
		}},
		{
			"m.room.power_levels",
			`{"ban":1,"events":{"a":1},"events_default":2,"historical":3,"invite":4,"kick":5,"notifications":{"room":6},"redact":7,"state_default":8,"users":{"@a:b":9},"users_default":10}`,
			map[int]string{
				1:  `{"ban":1,"events":{"a":1},"events_default":2,"kick":5,"redact":7,"state_default":8,"users":{"@a:b":9},"users_default":10}`,
				11: `{"ban":1,"events":{"a":1},"events_default":2,"invite":4,"kick":5,"redact":7,"state_default":8,"users":{"@a:b":9},"users_default":10}`,
			},
		},
		{"m.room.aliases", `{"aliases":["#a:b"],"x":1}`, map[int]string{1: `{"aliases":["#a:b"]}`, 6: `{}`}},
		{"m.room.history_visibility", `{"history_visibility":"joined","x":1}`, map[int]string{1: `{"history_visibility":"joined"}`}},
		{"m.room.redaction", `{"reason":"spam","redacts":"$x"}`, map[int]string{1: `{}`, 11: `{"redacts":"$x"}`}},
	} {
		want := ""
		for i, v := range roomver.All() {
			if w, ok := tc.want[i+1]; ok {
				want = w
			}
			json := []byte(`{"content":` + tc.content + `,"type":"` + tc.typ + `"}`)
			got, _ := canonjson.Get(appendRedacted(nil, v, json, true), "content")
			if string(got) != want {
				t.Errorf("version %s, %s: %s, want %s", v.ID, tc.typ, got, want)
			}
		}
	}
}

func TestRedactedTopLevel(t *testing.T) {
	json := []byte(`{"auth_events":[],"content":{"a":1},"depth":1,"event_id":"$x:y","extra":1,"hashes":{},"membership":"join","origin":"y","origin_server_ts":1,"prev_events":[],"prev_state":[],"redacts":"$z","room_id":"!r:y","sender":"@s:y","signatures":{"y":{}},"state_key":"","type":"t","unsigned":{}}`)
	const old = `{"auth_events":[],"content":{},"depth":1,"event_id":"$x:y","hashes":{},"membership":"join","origin":"y","origin_server_ts":1,"prev_events":[],"prev_state":[],"room_id":"!r:y","sender":"@s:y","signatures":{"y":{}},"state_key":"","type":"t"}`
	const new11 = `{"auth_events":[],"content":{},"depth":1,"event_id":"$x:y","hashes":{},"origin_server_ts":1,"prev_events":[],"room_id":"!r:y","sender":"@s:y","signatures":{"y":{}},"state_key":"","type":"t"}`
	for i, v := range roomver.All() {
		want := old
		if i+1 >= 11 {
			want = new11
		}
		if got := appendRedacted(nil, v, json, true); string(got) != want {
			t.Errorf("version %s:\n got %s\nwant %s", v.ID, got, want)
		}
	}
}

func TestRedactionKeepsIDAndSignature(t *testing.T) {
	for _, v := range roomver.All() {
		d := draft(v)
		ev, err := Build(v, d, "example.org", keyID, testKey())
		if err != nil {
			t.Fatal(err)
		}
		red, err := ev.Redact()
		if err != nil {
			t.Fatal(err)
		}
		if EventID(v, red.JSON) != ev.ID || red.ID != ev.ID || string(red.Content) != "{}" {
			t.Errorf("version %s: %s became %s %s", v.ID, ev.ID, EventID(v, red.JSON), red.JSON)
		}
		if err := red.Verify("example.org", keyID, publicKey()); err != nil {
			t.Errorf("version %s: %v", v.ID, err)
		}
	}
}
