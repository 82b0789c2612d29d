package pdu

import (
	"encoding/json"
	"strings"
	"testing"

	"hearth/matrix/roomver"
)

// kilobyte is a usual message of about 1 kB.
func kilobyte(tb testing.TB) (*roomver.Version, *Event) {
	tb.Helper()
	v, _ := roomver.Get("11")
	id := func(s string) string { return "$" + strings.Repeat(s, 43) }
	d := draft(v)
	d.PrevEvents = []string{id("p")}
	d.AuthEvents = []string{id("a"), id("b"), id("c")}
	d.Content = json.RawMessage(`{"msgtype":"m.text","body":"` + strings.Repeat("Some words. ", 20) +
		`","m.mentions":{"user_ids":["@bob:example.org"]},"m.relates_to":{"m.in_reply_to":{"event_id":"` + id("r") + `"}}}`)
	ev, err := Build(v, d, "example.org", keyID, testKey())
	if err != nil {
		tb.Fatal(err)
	}
	return v, ev
}

func TestParseAllocatesLittle(t *testing.T) {
	v, ev := kilobyte(t)
	if n := testing.AllocsPerRun(200, func() {
		if _, err := Parse(v, ev.ID, ev.JSON); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("Parse: %v allocations", n)
	}
	if n := testing.AllocsPerRun(200, func() {
		if _, _, err := ParseUntrusted(v, ev.JSON); err != nil {
			t.Fatal(err)
		}
	}); n > 5 {
		t.Errorf("ParseUntrusted: %v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	v, ev := kilobyte(b)
	b.SetBytes(int64(len(ev.JSON)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(v, ev.ID, ev.JSON); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseUntrusted(b *testing.B) {
	v, ev := kilobyte(b)
	b.SetBytes(int64(len(ev.JSON)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseUntrusted(v, ev.JSON); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEventID(b *testing.B) {
	v, ev := kilobyte(b)
	b.ReportAllocs()
	for b.Loop() {
		EventID(v, ev.JSON)
	}
}

func BenchmarkBuild(b *testing.B) {
	v, ev := kilobyte(b)
	d := draft(v)
	d.Content, d.PrevEvents, d.AuthEvents = ev.Content, ev.PrevEvents, ev.AuthEvents
	key := testKey()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(v, d, "example.org", keyID, key); err != nil {
			b.Fatal(err)
		}
	}
}
