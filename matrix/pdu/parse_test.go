package pdu

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hearth/matrix/canonjson"
	"hearth/matrix/roomver"
	"hearth/matrix/signing"
)

func publicKey() ed25519.PublicKey { return testKey().Public().(ed25519.PublicKey) }

// hashed makes an event of any JSON by giving it the right content hash.
func hashed(t *testing.T, in string) []byte {
	t.Helper()
	c, err := canonjson.Canonical(nil, []byte(in), canonjson.Options{Numbers: canonjson.Loose})
	if err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	sum := ContentHash(c)
	return canonjson.With(nil, c, "hashes", []byte(`{"sha256":"`+signing.EncodeBase64(sum[:])+`"}`))
}

const foreign = `{"auth_events":["$a"],"content":{"body":"x"},"depth":3,"origin_server_ts":5,"prev_events":["$p","$q"],` +
	`"room_id":"!r:example.org","sender":"@bob:example.org","signatures":{"example.org":{"ed25519:1":"abc"}},"type":"m.room.message"}`

func TestForeignEvents(t *testing.T) {
	v10, _ := roomver.Get("10")
	ev, redacted, err := ParseUntrusted(v10, hashed(t, foreign))
	if err != nil || redacted {
		t.Fatalf("redacted %v, %v", redacted, err)
	}
	if ev.Sender != "@bob:example.org" || ev.Origin() != "example.org" || len(ev.PrevEvents) != 2 || ev.AuthEvents[0] != "$a" {
		t.Errorf("%+v", ev)
	}

	t.Run("unsigned and event_id are dropped", func(t *testing.T) {
		in := canonjson.With(nil, hashed(t, foreign), "unsigned", []byte(`{"age":1}`))
		in = canonjson.With(nil, in, "event_id", []byte(`"$lie"`))
		got, redacted, err := ParseUntrusted(v10, in)
		if err != nil || redacted || got.ID != ev.ID || string(got.JSON) != string(ev.JSON) {
			t.Errorf("%s, %v, %v", got.JSON, redacted, err)
		}
	})
	t.Run("a wrong hash redacts", func(t *testing.T) {
		in := canonjson.With(nil, hashed(t, foreign), "content", []byte(`{"body":"forged"}`))
		got, redacted, err := ParseUntrusted(v10, in)
		if err != nil || !redacted || string(got.Content) != "{}" || got.ID != ev.ID {
			t.Errorf("%+v, %v, %v", got, redacted, err)
		}
	})
	t.Run("no hash redacts", func(t *testing.T) {
		in := canonjson.With(nil, hashed(t, foreign), "hashes", []byte(`{}`))
		if _, redacted, err := ParseUntrusted(v10, in); err != nil || !redacted {
			t.Errorf("%v, %v", redacted, err)
		}
	})
}

func TestBadFormat(t *testing.T) {
	set := func(key, val string) string {
		return string(canonjson.With(nil, []byte(foreign), key, []byte(val)))
	}
	drop := func(key string) string { return string(canonjson.Without(nil, []byte(foreign), key)) }
	long := `"` + strings.Repeat("x", 256) + `"`
	ids := func(n int) string { return "[" + strings.Repeat(`"$x",`, n-1) + `"$x"]` }
	for _, tc := range []struct{ name, in string }{
		{"list", `[]`},
		{"no content", drop("content")},
		{"content is a list", set("content", "[]")},
		{"no type", drop("type")},
		{"type is a number", set("type", "1")},
		{"long type", set("type", long)},
		{"state key is null", set("state_key", "null")},
		{"long state key", set("state_key", long)},
		{"no sender", drop("sender")},
		{"sender is no user id", set("sender", `"bob"`)},
		{"long sender", set("sender", `"@`+strings.Repeat("x", 251)+`:b.c"`)},
		{"no room", drop("room_id")},
		{"room is no room id", set("room_id", `"r"`)},
		{"no depth", drop("depth")},
		{"negative depth", set("depth", "-1")},
		{"depth is a string", set("depth", `"1"`)},
		{"no time", drop("origin_server_ts")},
		{"time is null", set("origin_server_ts", "null")},
		{"no prev_events", drop("prev_events")},
		{"prev_events is an object", set("prev_events", "{}")},
		{"prev_events has a number", set("prev_events", "[1]")},
		{"prev_events has pairs", set("prev_events", `[["$a:b",{"sha256":"x"}]]`)},
		{"prev_events has rubbish", set("prev_events", `["x"]`)},
		{"21 prev_events", set("prev_events", ids(21))},
		{"no auth_events", drop("auth_events")},
		{"11 auth_events", set("auth_events", ids(11))},
		{"long reference", set("auth_events", `["$`+strings.Repeat("x", 255)+`"]`)},
		{"no signatures", drop("signatures")},
		{"signatures are a list", set("signatures", "[]")},
		{"signature is a number", set("signatures", `{"a":{"ed25519:1":1}}`)},
		{"server has no keys", set("signatures", `{"a":1}`)},
		{"too big", set("content", `{"a":"`+strings.Repeat("x", MaxSize)+`"}`)},
	} {
		for _, id := range []string{"5", "10"} {
			v, _ := roomver.Get(id)
			in := []byte(tc.in)
			if in[0] == '{' {
				in = hashed(t, tc.in)
			}
			if ev, _, err := ParseUntrusted(v, in); !errors.Is(err, ErrFormat) {
				t.Errorf("version %s, %s: %+v, %v", id, tc.name, ev, err)
			}
		}
	}
}

func TestStrictJSONFromVersion6(t *testing.T) {
	in := hashed(t, strings.Replace(foreign, `"body":"x"`, `"body":1.5,"n":12345678901234567890`, 1))
	for i, v := range roomver.All()[2:11] {
		_, redacted, err := ParseUntrusted(v, in)
		if n := i + 3; n < 6 && (err != nil || redacted) || n >= 6 && !errors.Is(err, canonjson.ErrNumber) {
			t.Errorf("version %d: %v, %v", n, redacted, err)
		}
	}
}

func TestPairsOfVersions1And2(t *testing.T) {
	v1, _ := roomver.Get("1")
	pair := func(id string) string { return fmt.Sprintf(`["%s",{"sha256":"abc"}]`, id) }
	in := strings.NewReplacer(
		`["$a"]`, "["+pair("$a:x")+"]", `["$p","$q"]`, "["+pair("$p:x")+","+pair("$q:x")+"]",
		`"depth":3`, `"depth":3,"event_id":"$e:example.org"`,
	).Replace(foreign)
	ev, redacted, err := ParseUntrusted(v1, hashed(t, in))
	if err != nil || redacted || ev.ID != "$e:example.org" || strings.Join(ev.PrevEvents, " ") != "$p:x $q:x" || ev.AuthEvents[0] != "$a:x" {
		t.Errorf("%+v, %v, %v", ev, redacted, err)
	}
	for _, bad := range []string{`"$a:x"`, `["$a:x"]`, `["$a:x",1]`, `[1,{}]`, `["$a:x",{},1]`, `[]`} {
		if _, _, err := ParseUntrusted(v1, hashed(t, strings.Replace(in, pair("$a:x"), bad, 1))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, _, err := ParseUntrusted(v1, hashed(t, string(canonjson.Without(nil, []byte(in), "event_id")))); !errors.Is(err, ErrFormat) {
		t.Errorf("without event_id: %v", err)
	}
}

func TestRedactsIsWhereTheVersionKeepsIt(t *testing.T) {
	for i, v := range roomver.All() {
		d := draft(v)
		d.Type, d.Redacts, d.Content = "m.room.redaction", "$target", json.RawMessage(`{"reason":"spam"}`)
		if i+1 < 3 {
			d.Redacts = "$target:example.org"
		}
		if i+1 == 12 {
			d.RoomID = "!" + strings.Repeat("a", 43)
		}
		ev, err := Build(v, d, "example.org", keyID, testKey())
		if err != nil || ev.Redacts != d.Redacts {
			t.Fatalf("version %s: %q, %v", v.ID, ev.Redacts, err)
		}
		_, top := canonjson.Get(ev.JSON, "redacts")
		_, inside := ev.Get("redacts")
		if top == (i+1 >= 11) || inside == top {
			t.Errorf("version %s: %s", v.ID, ev.JSON)
		}
	}
}

func TestCosigning(t *testing.T) {
	v, _ := roomver.Get("11")
	ev, err := Build(v, draft(v), "example.org", keyID, testKey())
	if err != nil {
		t.Fatal(err)
	}
	both, err := ev.Sign("other.example", "ed25519:b", testKey())
	if err != nil {
		t.Fatal(err)
	}
	if both.ID != ev.ID || EventID(v, both.JSON) != ev.ID {
		t.Errorf("id changed to %s", both.ID)
	}
	for server, key := range map[string]string{"example.org": keyID, "other.example": "ed25519:b"} {
		if err := signing.Verify(both.RedactedJSON(), server, key, publicKey()); err != nil {
			t.Errorf("%s: %v", server, err)
		}
	}
	if err := ev.Verify("other.example", "ed25519:b", publicKey()); !errors.Is(err, signing.ErrNoSignature) {
		t.Errorf("the first event changed: %v", err)
	}
}

func TestNesting(t *testing.T) {
	v, _ := roomver.Get("11")
	nest := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	d := draft(v)
	for n, want := range map[int]bool{90: true, 200: false, 10000: false} {
		d.Content = json.RawMessage(nest(n))
		if _, err := Build(v, d, "example.org", keyID, testKey()); (err == nil) != want {
			t.Errorf("our user nests %d lists: %v", n, err)
		}
	}
	for n, want := range map[int]bool{90: true, 900: true, 10000: false} {
		in := canonjson.With(nil, []byte(foreign), "content", []byte(nest(n)))
		sum := ContentHash(in)
		in = canonjson.With(nil, in, "hashes", []byte(`{"sha256":"`+signing.EncodeBase64(sum[:])+`"}`))
		if _, redacted, err := ParseUntrusted(v, in); (err == nil) != want || redacted {
			t.Errorf("another server nests %d lists: %v", n, err)
		}
	}
}

func TestTemplate(t *testing.T) {
	v, _ := roomver.Get("11")
	got, err := Template(v, draft(v))
	want := `{"auth_events":["$a1","$a2"],"content":{"body":"hello ☺","msgtype":"m.text"},"depth":7,"origin_server_ts":1700000000000,"prev_events":["$p1"],"room_id":"!room:example.org","sender":"@alice:example.org","type":"m.room.message"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestEscapedNames(t *testing.T) {
	v, _ := roomver.Get("11")
	d := draft(v)
	key := "line\n\"quoted\"\\"
	d.Type, d.StateKey = "weird\ttype", &key
	ev, err := Build(v, d, "example.org", keyID, testKey())
	if err != nil || !ev.Is("weird\ttype", key) {
		t.Errorf("%+v, %v", ev, err)
	}
}

func TestDepthIsCapped(t *testing.T) {
	for id, want := range map[string]int64{"5": 1<<63 - 1, "6": 1<<53 - 1} {
		v, _ := roomver.Get(id)
		d := draft(v)
		d.Depth = 1<<63 - 1
		if ev, err := Build(v, d, "example.org", keyID, testKey()); err != nil || ev.Depth != want {
			t.Errorf("version %s: %v", id, err)
		}
	}
}

func TestMemoIsKept(t *testing.T) {
	v, _ := roomver.Get("11")
	ev, err := Build(v, draft(v), "example.org", keyID, testKey())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range 3 {
		if got := ev.Memo(func() any { n++; return n }); got != 1 {
			t.Errorf("got %v", got)
		}
	}
}

func FuzzParseUntrusted(f *testing.F) {
	for _, v := range []uint8{1, 2, 3, 5, 6, 11, 12} {
		ver := roomver.All()[v-1]
		d := draft(ver)
		ev, err := Build(ver, d, "example.org", keyID, testKey())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v, ev.JSON)
	}
	f.Add(uint8(12), []byte(`{"type":"m.room.create","state_key":"","content":{}}`))
	f.Fuzz(func(t *testing.T, n uint8, in []byte) {
		v := roomver.All()[n%12]
		ev, _, err := ParseUntrusted(v, in)
		if err != nil {
			return
		}
		again, redacted, err := ParseUntrusted(v, ev.JSON)
		if err != nil || again.ID != ev.ID || string(again.JSON) != string(ev.JSON) && !redacted {
			t.Fatalf("%s came back as %v, %v, %v", ev.JSON, again, redacted, err)
		}
		red, err := ev.Redact()
		if err != nil || EventID(v, red.JSON) != ev.ID {
			t.Fatalf("%s redacted to %v, %v", ev.JSON, red, err)
		}
		if len(ev.JSON) > MaxSize {
			t.Fatalf("%d bytes", len(ev.JSON))
		}
	})
}
