package pdu

import (
	"strings"
	"testing"

	"hearth/matrix/roomver"
)

// TestStickyEvents: the wish to be sticky is covered by the content hash, is read
// back, and goes with a redaction, in every room version.
func TestStickyEvents(t *testing.T) {
	for _, name := range []string{"1", "6", "11", "12"} {
		v, _ := roomver.Get(name)
		d := draft(v)
		d.Sticky = 60_000
		ev, err := Build(v, d, "example.org", keyID, testKey())
		if err != nil {
			t.Fatal(err)
		}
		if ev.Sticky != 60_000 || !strings.Contains(string(ev.JSON), `"msc4354_sticky":{"duration_ms":60000},"origin_server_ts"`) {
			t.Errorf("version %s: %s", name, ev.JSON)
		}
		if got, _, err := ParseUntrusted(v, ev.JSON); err != nil || got.Sticky != 60_000 {
			t.Errorf("version %s, another server reads %+v, %v", name, got, err)
		}
		if v.EventIDs != roomver.EventIDWithServer {
			other, err := Build(v, draft(v), "example.org", keyID, testKey())
			if err != nil || other.ID == ev.ID {
				t.Errorf("version %s: without it the event is the same, %v", name, err)
			}
		}
		red, err := ev.Redact()
		if err != nil || red.Sticky != 0 || strings.Contains(string(red.JSON), "sticky") {
			t.Errorf("version %s, redacted: %s, %v", name, red.JSON, err)
		}
	}
}

func TestStickyUntil(t *testing.T) {
	for _, tc := range []struct{ sent, received, wants, until int64 }{
		{1000, 1000, 500, 1500},
		{1000, 2000, 500, 1500}, // it came late
		{9000, 2000, 500, 2500}, // the sender's clock is ahead
		{1000, 1000, MaxSticky + 1, 1000 + MaxSticky},
	} {
		ev := &Event{OriginServerTS: tc.sent, Sticky: tc.wants}
		if got := ev.StickyUntil(tc.received); got != tc.until {
			t.Errorf("sent at %d, received at %d, for %d: until %d, want %d", tc.sent, tc.received, tc.wants, got, tc.until)
		}
	}
	for raw, want := range map[string]int64{
		`{"duration_ms":5}`: 5, `{"duration_ms":-5}`: 0, `{"duration_ms":"5"}`: 0, `{}`: 0, `[]`: 0, `7`: 0, `null`: 0, `"x"`: 0,
	} {
		if got := stickyOf([]byte(raw)); got != want {
			t.Errorf("%s is sticky for %d, want %d", raw, got, want)
		}
	}
}
