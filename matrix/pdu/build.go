package pdu

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
	"hearth/matrix/roomver"
)

// Draft is an event before it has hashes, signatures and an id.
type Draft struct {
	RoomID, Sender, Type   string  // RoomID is ignored for the create event of room version 12
	StateKey               *string // nil for a message
	Content                json.RawMessage
	Redacts                string   // target of an m.room.redaction; put where the version wants it
	PrevEvents, AuthEvents []string // event ids
	Depth                  int64    // capped at the greatest depth of the version
	OriginServerTS         int64    // milliseconds since 1970
	Sticky                 int64    // milliseconds for which the event is sticky; 0 for most

	// Hash returns the reference hash (Event.ReferenceHash) of an event in
	// PrevEvents or AuthEvents. Only room versions 1 and 2 need it.
	Hash func(eventID string) string
}

// ErrNoHash says that Build needs Draft.Hash in room versions 1 and 2.
var ErrNoHash = errors.New("room version needs the hashes of referenced events")

// Build makes an event of d: canonical, with content hash, signed by origin with
// key, and with its id. Errors that the author of the content can mend are
// *mxerr.Error: M_TOO_LARGE for the limits of
// client-server-api/#size-limits, M_BAD_JSON for the rest.
func Build(v *roomver.Version, d Draft, origin mxid.ServerName, keyID string, key ed25519.PrivateKey) (*Event, error) {
	w, err := newWriter(v, &d, origin)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 0, len(w.content)+768+64*(len(d.PrevEvents)+len(d.AuthEvents)))
	// Without hashes and signatures, the event is what the content hash covers.
	sum := sha256.Sum256(w.event(buf))
	w.hash = base64.RawStdEncoding.EncodeToString(sum[:])
	return w.sign(buf, origin, keyID, key)
}

// Template is the JSON of d without hashes and signatures, as /make_join and its
// like return it (server-server-api/#joining-rooms). The other server adds
// origin_server_ts and the rest.
func Template(v *roomver.Version, d Draft) (json.RawMessage, error) {
	w, err := newWriter(v, &d, mxid.ServerOf(d.Sender))
	if err != nil {
		return nil, err
	}
	w.eventID = ""
	return w.event(nil), nil
}

// newWriter checks d and brings its parts into their final form.
func newWriter(v *roomver.Version, d *Draft, origin mxid.ServerName) (*eventWriter, error) {
	w := &eventWriter{v: v, d: d}
	if err := d.check(); err != nil {
		return nil, err
	}
	var err error
	if w.content, err = d.content(v); err != nil {
		return nil, err
	}
	limit := int64(canonjson.MaxInt)
	if !v.StrictJSON {
		limit = 1<<63 - 1
	}
	w.depth = min(max(d.Depth, 0), limit)
	w.noRoomID = v.RoomIDIsCreate && d.Type == "m.room.create" && d.StateKey != nil && *d.StateKey == ""
	if v.EventIDs == roomver.EventIDWithServer {
		if d.Hash == nil && len(d.PrevEvents)+len(d.AuthEvents) > 0 {
			return nil, ErrNoHash
		}
		w.eventID = "$" + mxid.RandomString(18) + ":" + string(origin)
	}
	return w, nil
}

func (d *Draft) check() error {
	key := ""
	if d.StateKey != nil {
		key = *d.StateKey
	}
	for _, f := range []struct{ val, name string }{
		{d.Type, "Event type"}, {key, "State key"}, {d.Sender, "Sender"}, {d.RoomID, "Room id"}, {d.Redacts, "Redacted event id"},
	} {
		if len(f.val) > MaxField {
			return mxerr.New(mxerr.TooLarge, "%s is longer than %d bytes", f.name, MaxField)
		}
		if !utf8.ValidString(f.val) {
			return mxerr.New(mxerr.BadJSON, "%s is not valid UTF-8", f.name)
		}
	}
	if len(d.PrevEvents) > MaxPrevEvents || len(d.AuthEvents) > MaxAuthEvents {
		return errors.New("event refers to too many others")
	}
	return nil
}

// content is the canonical content, with redacts in it where the version wants
// that.
func (d *Draft) content(v *roomver.Version) ([]byte, error) {
	if len(d.Content) > 4*MaxSize {
		return nil, errTooLarge()
	}
	c, err := canonjson.Canonical(make([]byte, 0, len(d.Content)), d.Content, jsonOptions(v))
	if err != nil {
		return nil, &mxerr.Error{Code: mxerr.BadJSON, Text: "Event content: " + err.Error(), Cause: err}
	}
	if !canonjson.IsObject(c) {
		return nil, mxerr.New(mxerr.BadJSON, "Event content must be a JSON object")
	}
	if d.Redacts != "" && v.RedactsInContent {
		c = canonjson.With(nil, c, "redacts", canonjson.Quote(nil, d.Redacts))
	}
	return c, nil
}

func errTooLarge() error {
	return mxerr.New(mxerr.TooLarge, "Event is larger than %d bytes", MaxSize)
}

// eventWriter writes the members of an event in canonical order.
type eventWriter struct {
	v          *roomver.Version
	d          *Draft
	content    []byte
	depth      int64
	eventID    string // room versions 1 and 2
	noRoomID   bool
	hash       string // "" until it is known
	signatures []byte // nil until they are known
}

func (w *eventWriter) event(b []byte) []byte {
	b = append(b, `{"auth_events":`...)
	b = w.refs(b, w.d.AuthEvents)
	b = append(b, `,"content":`...)
	b = append(b, w.content...)
	b = append(b, `,"depth":`...)
	b = strconv.AppendInt(b, w.depth, 10)
	if w.eventID != "" {
		b = appendString(b, `,"event_id":`, w.eventID)
	}
	if w.hash != "" {
		b = append(b, `,"hashes":{"sha256":"`...)
		b = append(b, w.hash...)
		b = append(b, `"}`...)
	}
	if w.d.Sticky > 0 {
		b = appendSticky(b, w.d.Sticky)
	}
	b = append(b, `,"origin_server_ts":`...)
	b = strconv.AppendInt(b, w.d.OriginServerTS, 10)
	b = append(b, `,"prev_events":`...)
	b = w.refs(b, w.d.PrevEvents)
	if w.d.Redacts != "" && !w.v.RedactsInContent {
		b = appendString(b, `,"redacts":`, w.d.Redacts)
	}
	if !w.noRoomID {
		b = appendString(b, `,"room_id":`, w.d.RoomID)
	}
	b = appendString(b, `,"sender":`, w.d.Sender)
	if w.signatures != nil {
		b = append(b, `,"signatures":`...)
		b = append(b, w.signatures...)
	}
	if w.d.StateKey != nil {
		b = appendString(b, `,"state_key":`, *w.d.StateKey)
	}
	b = appendString(b, `,"type":`, w.d.Type)
	return append(b, '}')
}

func appendString(b []byte, name, val string) []byte {
	return canonjson.Quote(append(b, name...), val)
}

func (w *eventWriter) refs(b []byte, ids []string) []byte {
	b = append(b, '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		if w.v.EventIDs != roomver.EventIDWithServer {
			b = canonjson.Quote(b, id)
			continue
		}
		b = appendString(b, "[", id)
		b = appendString(b, `,{"sha256":`, w.d.Hash(id))
		b = append(b, "}]"...)
	}
	return append(b, ']')
}

// sign signs the redacted event. What is signed is also what the reference hash
// covers, so the id comes from the same bytes. buf is room to work in.
func (w *eventWriter) sign(buf []byte, origin mxid.ServerName, keyID string, key ed25519.PrivateKey) (*Event, error) {
	full := w.event(buf)
	msg := appendRedacted(make([]byte, 0, len(full)), w.v, full, false)
	w.signatures = appendSignature(nil, string(origin), keyID, ed25519.Sign(key, msg))
	out := w.event(make([]byte, 0, len(full)+len(w.signatures)+len(`,"signatures":`)))
	if len(out) > MaxSize {
		return nil, errTooLarge()
	}
	id := w.eventID
	if id == "" {
		id = idOfHash(w.v, sha256.Sum256(msg))
	}
	return Parse(w.v, id, out)
}

// appendSignature appends a signatures object with one entry.
func appendSignature(b []byte, server, keyID string, sig []byte) []byte {
	b = appendString(b, "{", server)
	b = appendString(b, ":{", keyID)
	b = append(b, ':', '"')
	b = base64.RawStdEncoding.AppendEncode(b, sig)
	return append(b, `"}}`...)
}
