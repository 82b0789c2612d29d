package pdu

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
	"hearth/matrix/roomver"
)

const keyID = "ed25519:1"

func testKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
}

func draft(v *roomver.Version) Draft {
	d := Draft{
		RoomID: "!room:example.org", Sender: "@alice:example.org", Type: "m.room.message",
		Content:    json.RawMessage(`{"msgtype":"m.text", "body":"hello \u263a"}`),
		PrevEvents: []string{"$p1"}, AuthEvents: []string{"$a1", "$a2"},
		Depth: 7, OriginServerTS: 1700000000000,
	}
	if v.EventIDs == roomver.EventIDWithServer {
		d.PrevEvents = []string{"$p1:example.org"}
		d.AuthEvents = []string{"$a1:example.org", "$a2:example.org"}
		d.Hash = func(id string) string { return "hashof" + id[1:3] }
	}
	return d
}

func TestWhatWeBuildOthersAccept(t *testing.T) {
	key := testKey()
	for _, v := range roomver.All() {
		d := draft(v)
		if v.RoomIDIsCreate {
			d.RoomID = "!" + strings.Repeat("a", 43)
		}
		ev, err := Build(v, d, "example.org", keyID, key)
		if err != nil {
			t.Fatalf("version %s: %v", v.ID, err)
		}
		if err := ev.Verify("example.org", keyID, key.Public().(ed25519.PublicKey)); err != nil {
			t.Errorf("version %s: signature: %v", v.ID, err)
		}
		got, redacted, err := ParseUntrusted(v, ev.JSON)
		if err != nil || redacted {
			t.Fatalf("version %s: redacted %v, %v", v.ID, redacted, err)
		}
		if got.ID != ev.ID || got.Type != d.Type || got.Sender != d.Sender || got.RoomID != d.RoomID || got.Depth != 7 ||
			got.OriginServerTS != d.OriginServerTS || got.StateKey != nil ||
			strings.Join(got.AuthEvents, " ") != strings.Join(d.AuthEvents, " ") ||
			strings.Join(got.PrevEvents, " ") != strings.Join(d.PrevEvents, " ") {
			t.Errorf("version %s: got %+v", v.ID, got)
		}
		if body, _ := got.GetString("body"); body != "hello ☺" {
			t.Errorf("version %s: body %q", v.ID, body)
		}
	}
}

func TestRoomIDOfVersion12(t *testing.T) {
	v, _ := roomver.Get("12")
	empty := ""
	ev, err := Build(v, Draft{
		Sender: "@alice:example.org", Type: "m.room.create", StateKey: &empty,
		Content: json.RawMessage(`{"room_version":"12"}`), Depth: 1,
	}, "example.org", keyID, testKey())
	if err != nil {
		t.Fatal(err)
	}
	if ev.RoomID != "!"+ev.ID[1:] || ev.HasRoomID() || strings.Contains(string(ev.JSON), "room_id") {
		t.Errorf("room id %q of create event %s: %s", ev.RoomID, ev.ID, ev.JSON)
	}
}

func TestLimitsOfNewEvents(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, tc := range []struct {
		name string
		set  func(*Draft)
		want mxerr.Code
	}{
		{"long type", func(d *Draft) { d.Type = long }, mxerr.TooLarge},
		{"long state key", func(d *Draft) { d.StateKey = &long }, mxerr.TooLarge},
		{"long in bytes only", func(d *Draft) { d.Type = strings.Repeat("é", 128) }, mxerr.TooLarge},
		{"big content", func(d *Draft) { d.Content = json.RawMessage(`{"a":"` + strings.Repeat("x", 65536) + `"}`) }, mxerr.TooLarge},
		{"huge content", func(d *Draft) { d.Content = json.RawMessage(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`) }, mxerr.TooLarge},
		{"content is a list", func(d *Draft) { d.Content = json.RawMessage(`[]`) }, mxerr.BadJSON},
		{"no content", func(d *Draft) { d.Content = nil }, mxerr.BadJSON},
		{"float", func(d *Draft) { d.Content = json.RawMessage(`{"a":1.5}`) }, mxerr.BadJSON},
		{"big integer", func(d *Draft) { d.Content = json.RawMessage(`{"a":9007199254740992}`) }, mxerr.BadJSON},
		{"duplicate key", func(d *Draft) { d.Content = json.RawMessage(`{"a":1,"a":2}`) }, mxerr.BadJSON},
		{"type is not UTF-8", func(d *Draft) { d.Type = "\xff" }, mxerr.BadJSON},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, _ := roomver.Get("11")
			d := draft(v)
			tc.set(&d)
			_, err := Build(v, d, "example.org", keyID, testKey())
			if err == nil || mxerr.From(err).Code != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// An event refers to so many others and no more, and grows no further by the
// signatures of others.
func TestNewEventsAreBounded(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	v, _ := roomver.Get("11")
	ids := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("$%043d", i))
		}
		return out
	}
	d := Draft{RoomID: "!r:example.org", Sender: "@a:example.org", Type: "m.x", Content: json.RawMessage(`{}`), PrevEvents: ids(MaxPrevEvents), AuthEvents: ids(MaxAuthEvents)}
	if _, err := Build(v, d, "example.org", "ed25519:1", key); err != nil {
		t.Error(err)
	}
	for _, more := range []Draft{{PrevEvents: ids(MaxPrevEvents + 1), AuthEvents: d.AuthEvents}, {PrevEvents: d.PrevEvents, AuthEvents: ids(MaxAuthEvents + 1)}} {
		bad := d
		bad.PrevEvents, bad.AuthEvents = more.PrevEvents, more.AuthEvents
		if _, err := Build(v, bad, "example.org", "ed25519:1", key); err == nil {
			t.Errorf("%d previous events and %d of authority are taken", len(bad.PrevEvents), len(bad.AuthEvents))
		}
	}
	d.Content = json.RawMessage(`{"x":"` + strings.Repeat("x", MaxSize) + `"}`)
	if _, err := Build(v, d, "example.org", "ed25519:1", key); mxerr.From(err).Code != mxerr.TooLarge {
		t.Errorf("too large: %v", err)
	}
	var ev *Event
	for size := MaxSize - 1000; ev == nil; size -= 16 { // about the largest that can be
		var err error
		d.Content = json.RawMessage(`{"x":"` + strings.Repeat("x", size) + `"}`)
		if ev, err = Build(v, d, "example.org", "ed25519:1", key); err != nil && mxerr.From(err).Code != mxerr.TooLarge {
			t.Fatal(err)
		}
	}
	if _, err := ev.Sign("elsewhere.org", "ed25519:1", key); mxerr.From(err).Code != mxerr.TooLarge {
		t.Errorf("signed by one more: %v", err)
	}
}
