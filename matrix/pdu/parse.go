package pdu

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"hearth/matrix/canonjson"
	"hearth/matrix/roomver"
)

// ErrFormat is in the chain of every error about an event whose JSON does not
// have the format of its room version. Such an event is dropped
// (server-server-api/#checks-performed-on-receipt-of-a-pdu, check 1).
var ErrFormat = errors.New("not an event of this room version")

// Parse reads an event that this package has written: canonical, checked, from
// our own database. It keeps json, which must not change afterwards. id "" means
// that the id is computed.
func Parse(v *roomver.Version, id string, json []byte) (*Event, error) {
	var f fields
	if err := f.read(json); err != nil {
		return nil, err
	}
	e := &Event{Version: v, ID: id, JSON: json}
	if err := e.fill(&f); err != nil {
		return nil, err
	}
	return e, nil
}

// fields are the raw values of an event's top level; nil is absent.
type fields struct {
	auth, content, depth, eventID, hashes, ts, prev    []byte
	redacts, roomID, sender, signatures, stateKey, typ []byte
	sticky                                             []byte
	unsigned                                           []byte
}

func (f *fields) read(json []byte) error {
	ok := canonjson.Each(json, func(key, val []byte) bool {
		switch string(key) {
		case "auth_events":
			f.auth = val
		case "content":
			f.content = val
		case "depth":
			f.depth = val
		case "event_id":
			f.eventID = val
		case "hashes":
			f.hashes = val
		case "origin_server_ts":
			f.ts = val
		case "prev_events":
			f.prev = val
		case "redacts":
			f.redacts = val
		case "room_id":
			f.roomID = val
		case "sender":
			f.sender = val
		case "signatures":
			f.signatures = val
		case "state_key":
			f.stateKey = val
		case stickyKey:
			f.sticky = val
		case "type":
			f.typ = val
		case "unsigned":
			f.unsigned = val
		}
		return true
	})
	if !ok {
		return fmt.Errorf("%w: not a JSON object", ErrFormat)
	}
	return nil
}

// fill sets the fields of e from f. It finds what would make e unusable, not
// every breach of the format.
func (e *Event) fill(f *fields) error {
	if !canonjson.IsObject(f.content) {
		return fmt.Errorf("%w: content is not an object", ErrFormat)
	}
	e.Content = f.content
	for _, s := range []struct {
		dst  *string
		raw  []byte
		name string
	}{
		{&e.Sender, f.sender, "sender"},
		{&e.Type, f.typ, "type"},
		{&e.stateKey, f.stateKey, "state_key"},
		{&e.RoomID, f.roomID, "room_id"},
	} {
		var ok bool
		if *s.dst, ok = text(s.raw); !ok && s.raw != nil {
			return fmt.Errorf("%w: %s is not a string", ErrFormat, s.name)
		}
	}
	if f.stateKey != nil {
		e.StateKey = &e.stateKey
	}
	e.roomIDSent = f.roomID != nil
	var ok bool
	if e.Depth, ok = canonjson.Int(f.depth); !ok && f.depth != nil {
		return fmt.Errorf("%w: depth is not an integer", ErrFormat)
	}
	if e.OriginServerTS, ok = canonjson.Int(f.ts); !ok && f.ts != nil {
		return fmt.Errorf("%w: origin_server_ts is not an integer", ErrFormat)
	}
	e.Sticky = stickyOf(f.sticky)
	if err := e.fillRefs(f); err != nil {
		return err
	}
	e.fillRedacts(f)
	return e.fillID(f)
}

// fillRefs sets both lists of references out of one allocation.
func (e *Event) fillRefs(f *fields) error {
	n, ok := count(f.prev)
	m, ok2 := count(f.auth)
	if !ok || !ok2 {
		return fmt.Errorf("%w: prev_events or auth_events is not an array", ErrFormat)
	}
	if n+m == 0 {
		return nil
	}
	all := make([]string, 0, n+m)
	all, ok = appendRefs(all, f.prev)
	all, ok2 = appendRefs(all, f.auth)
	if !ok || !ok2 || len(all) != n+m {
		return fmt.Errorf("%w: prev_events or auth_events has something that is no event id", ErrFormat)
	}
	e.PrevEvents, e.AuthEvents = all[:n:n], all[n:]
	return nil
}

func count(arr []byte) (int, bool) {
	if len(arr) == 0 || string(arr) == "[]" {
		return 0, true
	}
	n := 0
	ok := canonjson.EachElem(arr, func([]byte) bool { n++; return true })
	return n, ok
}

// appendRefs reads a list of ids, or of the [id, hashes] pairs of room versions
// 1 and 2.
func appendRefs(dst []string, arr []byte) ([]string, bool) {
	good := true
	canonjson.EachElem(arr, func(v []byte) bool {
		if canonjson.IsArray(v) {
			var id []byte
			canonjson.EachElem(v, func(first []byte) bool { id = first; return false })
			v = id
		}
		s, ok := text(v)
		if !ok {
			good = false
			return false
		}
		dst = append(dst, s)
		return true
	})
	return dst, good
}

func (e *Event) fillRedacts(f *fields) {
	if e.Type != "m.room.redaction" {
		return
	}
	raw := f.redacts
	if e.Version.RedactsInContent {
		raw, _ = canonjson.Get(e.Content, "redacts")
	}
	e.Redacts, _ = text(raw)
}

// fillID sets the event id, and the room id that comes of it.
func (e *Event) fillID(f *fields) error {
	if e.ID == "" {
		if e.Version.EventIDs == roomver.EventIDWithServer {
			e.ID, _ = text(f.eventID)
		} else {
			e.ID = EventID(e.Version, e.JSON)
		}
	}
	if e.ID == "" {
		return fmt.Errorf("%w: no event_id", ErrFormat)
	}
	if e.Version.RoomIDIsCreate && e.Is("m.room.create", "") {
		e.RoomID = "!" + e.ID[1:]
	}
	return nil
}

// text returns the string value of raw. Without escapes it is a part of raw.
func text(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') >= 0 {
		return canonjson.String(raw)
	}
	in := raw[1 : len(raw)-1]
	// The bytes belong to Event.JSON, which nobody changes.
	return unsafe.String(unsafe.SliceData(in), len(in)), true
}
