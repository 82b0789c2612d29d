package pdu

import (
	"strconv"

	"hearth/matrix/canonjson"
)

// Sticky events (MSC4354) are shown to everybody who is in their room, however
// far back they are, for some time. The wish is part of the event, under the name
// it has while the MSC is not accepted.

const stickyKey = "msc4354_sticky"

// MaxSticky bounds how long an event is sticky, in milliseconds.
const MaxSticky = 3_600_000

func appendSticky(b []byte, ms int64) []byte {
	b = append(b, `,"`+stickyKey+`":{"duration_ms":`...)
	return append(strconv.AppendInt(b, ms, 10), '}')
}

// AppendSticky appends the member that makes the event sticky, after a comma, or
// nothing.
func (e *Event) AppendSticky(b []byte) []byte {
	if e.Sticky <= 0 {
		return b
	}
	return appendSticky(b, e.Sticky)
}

// stickyOf reads the value of that member, 0 for what has no meaning.
func stickyOf(raw []byte) int64 {
	if raw == nil {
		return 0
	}
	val, ok := canonjson.Get(raw, "duration_ms")
	if !ok {
		return 0
	}
	ms, ok := canonjson.Int(val)
	if !ok || ms < 0 {
		return 0
	}
	return ms
}

// StickyUntil is when an event that was received at some time is no longer
// sticky, in milliseconds since 1970. Its sender's clock can end that sooner but
// not later.
func (e *Event) StickyUntil(received int64) int64 {
	return min(received, e.OriginServerTS) + min(e.Sticky, MaxSticky)
}
