// Package pdu is the event as servers exchange it: parsing, format checks,
// hashes, ids, redaction, building and signing, for every room version (rooms/).
// It does not know rooms, state, or whether an event is allowed; authrules does.
package pdu

import (
	"encoding/json"
	"sync/atomic"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
	"hearth/matrix/roomver"
)

// Limits of events (client-server-api/#size-limits and the event formats of
// rooms/). Lengths are bytes.
const (
	MaxSize       = 65536 // canonical JSON with signatures, without unsigned
	MaxField      = 255   // ids, type, state key
	MaxPrevEvents = 20
	MaxAuthEvents = 10
)

// Event is one parsed event. It is immutable and may be shared by goroutines.
// Its strings and slices are parts of JSON: clone a string that is to live longer
// than the event, or all of the JSON lives with it.
type Event struct {
	Version                *roomver.Version
	ID                     string
	RoomID                 string // filled in for the create event of room version 12 too
	Sender                 string
	Type                   string
	StateKey               *string  // nil unless a state event
	Redacts                string   // target of an m.room.redaction, wherever this room version keeps it
	PrevEvents, AuthEvents []string // event ids, also where the version has [id, hash] pairs
	Depth                  int64
	OriginServerTS         int64           // milliseconds since 1970
	Sticky                 int64           // milliseconds for which the event asks to be sticky; see StickyUntil
	Content                json.RawMessage // canonical object

	// JSON is the canonical event with hashes and signatures. It has no
	// unsigned, and event_id only in room versions 1 and 2.
	JSON []byte

	stateKey   string // what StateKey points to
	roomIDSent bool   // JSON has room_id
	memo       atomic.Pointer[any]
}

// IsState reports whether e is a state event.
func (e *Event) IsState() bool { return e.StateKey != nil }

// Is reports whether e is the state event of this type and state key.
func (e *Event) Is(typ, stateKey string) bool {
	return e.StateKey != nil && e.Type == typ && *e.StateKey == stateKey
}

// Origin is the server of the sender.
func (e *Event) Origin() mxid.ServerName { return mxid.ServerOf(e.Sender) }

// HasRoomID reports whether the JSON has a room_id field. The create event of
// room version 12 must not.
func (e *Event) HasRoomID() bool { return e.roomIDSent }

// Get returns a field of the content as canonical JSON.
func (e *Event) Get(key string) (raw []byte, ok bool) { return canonjson.Get(e.Content, key) }

// GetString returns a string field of the content. It reports false if there is
// none or it is not a string.
func (e *Event) GetString(key string) (string, bool) { return canonjson.GetString(e.Content, key) }

// Membership is content.membership of an m.room.member event, "" if it has none.
func (e *Event) Membership() string {
	raw, _ := canonjson.Get(e.Content, "membership")
	switch string(raw) { // the usual values without an allocation
	case `"join"`:
		return "join"
	case `"leave"`:
		return "leave"
	case `"invite"`:
		return "invite"
	case `"ban"`:
		return "ban"
	case `"knock"`:
		return "knock"
	}
	s, _ := canonjson.String(raw)
	return s
}

// Memo keeps one value derived from the event, such as parsed power levels, as
// long as the event lives. Only one package may use it per event type; today
// that is authrules. make may run more than once when goroutines race, its
// results are interchangeable.
func (e *Event) Memo(make func() any) any {
	if p := e.memo.Load(); p != nil {
		return *p
	}
	v := make()
	e.memo.Store(&v)
	return v
}
