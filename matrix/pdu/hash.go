package pdu

import (
	"crypto/sha256"
	"encoding/base64"

	"hearth/matrix/canonjson"
	"hearth/matrix/roomver"
)

// scratch is how many bytes of an event are hashed without an allocation.
const scratch = 2048

// ContentHash is the SHA-256 of the canonical event json without unsigned,
// signatures and hashes (server-server-api/#calculating-the-content-hash-for-an-event).
func ContentHash(json []byte) [sha256.Size]byte {
	var room [scratch]byte
	return sha256.Sum256(canonjson.Without(room[:0], json, "hashes", "signatures", "unsigned"))
}

// ReferenceHash is the SHA-256 of the redacted canonical event json without
// signatures (server-server-api/#calculating-the-reference-hash-for-an-event).
func ReferenceHash(v *roomver.Version, json []byte) [sha256.Size]byte {
	var room [scratch]byte
	return sha256.Sum256(appendRedacted(room[:0], v, json, false))
}

// EventID computes the id of the canonical event json. In room versions 1 and 2
// the id is a field of the event; "" is returned if that is missing.
func EventID(v *roomver.Version, json []byte) string {
	if v.EventIDs == roomver.EventIDWithServer {
		id, _ := canonjson.GetString(json, "event_id")
		return id
	}
	return idOfHash(v, ReferenceHash(v, json))
}

func idOfHash(v *roomver.Version, sum [sha256.Size]byte) string {
	enc := base64.RawURLEncoding
	if v.EventIDs == roomver.EventIDBase64 {
		enc = base64.RawStdEncoding
	}
	var id [44]byte
	id[0] = '$'
	enc.Encode(id[1:], sum[:])
	return string(id[:])
}

// ReferenceHash is the event's reference hash in unpadded base64, as it stands
// beside the id in the references of room versions 1 and 2.
func (e *Event) ReferenceHash() string {
	sum := ReferenceHash(e.Version, e.JSON)
	return base64.RawStdEncoding.EncodeToString(sum[:])
}
