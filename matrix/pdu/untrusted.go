package pdu

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
	"hearth/matrix/roomver"
	"hearth/matrix/signing"
)

// ParseUntrusted reads an event that comes from elsewhere. The format of the
// room version and the size limits are enforced: the error has ErrFormat or an
// error of canonjson in its chain. If the content hash does not match, e is the
// redacted event and redacted is true
// (server-server-api/#validating-hashes-and-signatures-on-received-events).
// Signatures are not looked at. The fields unsigned and, from room version 3 on,
// event_id are dropped: they are not part of the event.
//
// json is not kept.
func ParseUntrusted(v *roomver.Version, json []byte) (e *Event, redacted bool, err error) {
	opt := jsonOptions(v)
	opt.MaxDepth = foreignDepth
	canon, err := canonjson.Canonical(make([]byte, 0, len(json)), json, opt)
	if err != nil {
		return nil, false, err
	}
	var f fields
	if err := f.read(canon); err != nil {
		return nil, false, err
	}
	drop := v.EventIDs != roomver.EventIDWithServer && f.eventID != nil
	if f.unsigned != nil || drop {
		if drop {
			canon = canonjson.Without(canon[:0], canon, "event_id", "unsigned")
		} else {
			canon = canonjson.Without(canon[:0], canon, "unsigned")
		}
		f = fields{}
		if err := f.read(canon); err != nil {
			return nil, false, err
		}
	}
	if err := f.check(v, len(canon)); err != nil {
		return nil, false, err
	}
	if !hashMatches(&f, canon) {
		redacted = true
		canon = appendRedacted(make([]byte, 0, len(canon)), v, canon, true)
		f = fields{}
		if err := f.read(canon); err != nil {
			return nil, false, err
		}
	}
	e = &Event{Version: v, JSON: canon}
	if err := e.fill(&f); err != nil {
		return nil, false, err
	}
	if err := e.checkIDs(); err != nil {
		return nil, false, err
	}
	return e, redacted, nil
}

// foreignDepth is how deeply other servers may nest. The spec has no limit, and to
// drop what the others in a room accept would split it, so this is far beyond the
// limit of what our own users may send, and near that of Synapse's JSON parser.
const foreignDepth = 1000

func jsonOptions(v *roomver.Version) canonjson.Options {
	if v.StrictJSON {
		return canonjson.Options{}
	}
	return canonjson.Options{Numbers: canonjson.Loose}
}

func hashMatches(f *fields, canon []byte) bool {
	raw, _ := canonjson.Get(f.hashes, "sha256")
	claimed, _ := text(raw)
	sum := ContentHash(canon)
	var usual [43]byte
	base64.RawStdEncoding.Encode(usual[:], sum[:])
	if claimed == string(usual[:]) {
		return true
	}
	// Padding and the other alphabet are fine too.
	want, err := signing.DecodeBase64(claimed)
	return err == nil && bytes.Equal(want, sum[:])
}

// check enforces what rooms/ says about the fields of an event.
func (f *fields) check(v *roomver.Version, size int) error {
	if size > MaxSize {
		return fmt.Errorf("%w: it has more than %d bytes", ErrFormat, MaxSize)
	}
	for _, need := range []struct {
		raw  []byte
		kind func([]byte) bool
		name string
	}{
		{f.sender, canonjson.IsString, "sender"},
		{f.typ, canonjson.IsString, "type"},
		{f.content, canonjson.IsObject, "content"},
		{f.depth, isInteger, "depth"},
		{f.ts, isInteger, "origin_server_ts"},
		{f.hashes, canonjson.IsObject, "hashes"},
		{f.signatures, canonjson.IsObject, "signatures"},
		{f.prev, canonjson.IsArray, "prev_events"},
		{f.auth, canonjson.IsArray, "auth_events"},
	} {
		if !need.kind(need.raw) {
			return fmt.Errorf("%w: %s is missing or of the wrong type", ErrFormat, need.name)
		}
	}
	if d, _ := canonjson.Int(f.depth); d < 0 {
		return fmt.Errorf("%w: depth is negative", ErrFormat)
	}
	if v.EventIDs == roomver.EventIDWithServer && !canonjson.IsString(f.eventID) {
		return fmt.Errorf("%w: event_id is missing or of the wrong type", ErrFormat)
	}
	if f.roomID == nil && !v.RoomIDIsCreate {
		return fmt.Errorf("%w: room_id is missing", ErrFormat)
	}
	if !pairsAre(f.prev, v.EventIDs == roomver.EventIDWithServer) ||
		!pairsAre(f.auth, v.EventIDs == roomver.EventIDWithServer) {
		return fmt.Errorf("%w: references are not in the form of this version", ErrFormat)
	}
	return checkSignatures(f.signatures)
}

func isInteger(raw []byte) bool {
	_, ok := canonjson.Int(raw)
	return ok
}

// pairsAre reports whether every reference in arr is an [id, hashes] pair, as
// want says, or every one is an id.
func pairsAre(arr []byte, want bool) bool {
	ok := true
	canonjson.EachElem(arr, func(v []byte) bool {
		ok = isPair(v) == want && (want || canonjson.IsString(v))
		return ok
	})
	return ok
}

func isPair(v []byte) bool {
	n, ok := 0, true
	canonjson.EachElem(v, func(part []byte) bool {
		n++
		ok = ok && (n == 1 && canonjson.IsString(part) || n == 2 && canonjson.IsObject(part))
		return ok
	})
	return ok && n == 2
}

// checkSignatures wants an object of objects of strings.
func checkSignatures(sigs []byte) error {
	ok := true
	canonjson.Each(sigs, func(_, server []byte) bool {
		ok = canonjson.IsObject(server)
		canonjson.Each(server, func(_, sig []byte) bool {
			ok = ok && canonjson.IsString(sig)
			return ok
		})
		return ok
	})
	if !ok {
		return fmt.Errorf("%w: signatures are not of the form server, key, signature", ErrFormat)
	}
	return nil
}

// checkIDs enforces the grammar and length of identifiers and the limits of the
// reference lists.
func (e *Event) checkIDs() error {
	if _, err := mxid.ParseUserID(e.Sender); err != nil {
		return fmt.Errorf("%w: sender: %w", ErrFormat, err)
	}
	if _, err := mxid.ParseEventID(e.ID); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if e.RoomID == "" {
		return fmt.Errorf("%w: room_id is missing", ErrFormat)
	}
	if _, err := mxid.ParseRoomID(e.RoomID); err != nil {
		return fmt.Errorf("%w: room_id: %w", ErrFormat, err)
	}
	if len(e.Type) > MaxField || len(e.stateKey) > MaxField {
		return fmt.Errorf("%w: type or state_key has more than %d bytes", ErrFormat, MaxField)
	}
	if len(e.PrevEvents) > MaxPrevEvents || len(e.AuthEvents) > MaxAuthEvents {
		return fmt.Errorf("%w: more than %d prev_events or %d auth_events", ErrFormat, MaxPrevEvents, MaxAuthEvents)
	}
	for _, refs := range [][]string{e.PrevEvents, e.AuthEvents} {
		for _, id := range refs {
			if len(id) < 2 || len(id) > MaxField || id[0] != '$' {
				return fmt.Errorf("%w: a reference is not an event id", ErrFormat)
			}
		}
	}
	return nil
}
