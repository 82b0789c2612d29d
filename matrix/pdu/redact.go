package pdu

import (
	"hearth/matrix/canonjson"
	"hearth/matrix/roomver"
)

// RedactedJSON is the event after the redaction algorithm of its room version,
// canonical, with its signatures. Ids and signatures are the same before and
// after redaction.
func (e *Event) RedactedJSON() []byte {
	return appendRedacted(make([]byte, 0, len(e.JSON)), e.Version, e.JSON, true)
}

// Redact returns the redacted event. It has the same id.
func (e *Event) Redact() (*Event, error) {
	return Parse(e.Version, e.ID, e.RedactedJSON())
}

// appendRedacted appends the redacted form of the canonical event json, with or
// without its signatures.
func appendRedacted(dst []byte, v *roomver.Version, json []byte, signatures bool) []byte {
	typ, _ := canonjson.Get(json, "type")
	dst = append(dst, '{')
	start := len(dst)
	canonjson.Each(json, func(key, val []byte) bool {
		switch {
		case !keepsTopLevel(v, key) || !signatures && string(key) == "signatures":
		case string(key) == "content":
			dst = canonjson.AppendMember(dst, start, key, nil)
			dst = appendRedactedContent(dst, v, typ, val)
		default:
			dst = canonjson.AppendMember(dst, start, key, val)
		}
		return true
	})
	return append(dst, '}')
}

func keepsTopLevel(v *roomver.Version, key []byte) bool {
	switch string(key) {
	case "event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures",
		"depth", "prev_events", "auth_events", "origin_server_ts":
		return true
	case "prev_state", "origin", "membership":
		return !v.UpdatedRedaction
	}
	return false
}

// appendRedactedContent appends what redaction leaves of content. typ is the
// event type as it is written, with quotes.
func appendRedactedContent(dst []byte, v *roomver.Version, typ, content []byte) []byte {
	if v.UpdatedRedaction && string(typ) == `"m.room.create"` {
		return append(dst, content...)
	}
	dst = append(dst, '{')
	start := len(dst)
	canonjson.Each(content, func(key, val []byte) bool {
		switch {
		case keepsContent(v, typ, key):
			dst = canonjson.AppendMember(dst, start, key, val)
		case v.UpdatedRedaction && string(typ) == `"m.room.member"` && string(key) == "third_party_invite":
			dst = appendSigned(dst, start, key, val)
		}
		return true
	})
	return append(dst, '}')
}

// appendSigned keeps of a third-party invite only the signed part, without which
// the invite could not be authorized again.
func appendSigned(dst []byte, start int, key, val []byte) []byte {
	if !canonjson.IsObject(val) {
		return dst
	}
	dst = append(canonjson.AppendMember(dst, start, key, nil), '{')
	if signed, ok := canonjson.Get(val, "signed"); ok {
		dst = append(dst, `"signed":`...)
		dst = append(dst, signed...)
	}
	return append(dst, '}')
}

func keepsContent(v *roomver.Version, typ, key []byte) bool {
	switch string(typ) {
	case `"m.room.member"`:
		return string(key) == "membership" ||
			v.KeepJoinAuthorised && string(key) == "join_authorised_via_users_server"
	case `"m.room.create"`:
		return string(key) == "creator"
	case `"m.room.join_rules"`:
		return string(key) == "join_rule" || v.Restricted && string(key) == "allow"
	case `"m.room.power_levels"`:
		switch string(key) {
		case "ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default":
			return true
		case "invite":
			return v.UpdatedRedaction
		}
	case `"m.room.aliases"`:
		return v.AliasesAuth && string(key) == "aliases"
	case `"m.room.history_visibility"`:
		return string(key) == "history_visibility"
	case `"m.room.redaction"`:
		return v.RedactsInContent && string(key) == "redacts"
	}
	return false
}
