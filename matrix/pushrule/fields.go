package pushrule

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
)

// Event is what the rules see of an event.
type Event struct {
	ID, Type, Sender, RoomID string
	StateKey                 *string // nil for a message
	Content                  json.RawMessage
}

// Fields is an Event made ready for evaluation. Make it once and share it
// between all the members of the room: it is safe for concurrent use, and
// parses the content when the first rule asks.
type Fields struct {
	ev   Event
	once sync.Once
	top  map[string]any // the event as decoded JSON
	body body
	typ  string // lower case, as almost every rule asks for it
}

// body is content.body, if it is a string, in lower case.
type body struct {
	text string
	ok   bool
}

// NewFields prepares ev. Content that is not a JSON object counts as empty.
func NewFields(ev Event) *Fields {
	return &Fields{ev: ev, typ: strings.ToLower(ev.Type)}
}

func (f *Fields) parse() {
	var content map[string]any
	d := json.NewDecoder(bytes.NewReader(f.ev.Content))
	d.UseNumber()
	if err := d.Decode(&content); err != nil {
		content = nil
	}
	f.top = map[string]any{
		"event_id": f.ev.ID,
		"type":     f.ev.Type,
		"sender":   f.ev.Sender,
		"room_id":  f.ev.RoomID,
		"content":  content,
	}
	if f.ev.StateKey != nil {
		f.top["state_key"] = *f.ev.StateKey
	}
	text, ok := content["body"].(string)
	f.body = body{strings.ToLower(text), ok}
}

// property returns the value at path, and whether there is one.
func (f *Fields) property(p path) (any, bool) {
	f.once.Do(f.parse)
	m, last := f.top, len(p)-1
	for _, name := range p[:last] {
		next, ok := m[name].(map[string]any)
		if !ok {
			return nil, false
		}
		m = next
	}
	v, ok := m[p[last]]
	return v, ok
}

var mentioned = path{"content", "m.mentions", "user_ids"}

// Mentioned lists the users whom the event mentions.
func (f *Fields) Mentioned() (users []string) {
	v, _ := f.property(mentioned)
	list, _ := v.([]any)
	for _, v := range list {
		if s, ok := v.(string); ok {
			users = append(users, s)
		}
	}
	return users
}

// bodyText returns content.body in lower case.
func (f *Fields) bodyText() (string, bool) {
	f.once.Do(f.parse)
	return f.body.text, f.body.ok
}

// path is the names of the properties on the way to a value. It has at least
// one.
type path []string

// scalar is a JSON value that is not compound: exactly what
// event_property_is and event_property_contains compare.
type scalar struct {
	kind scalarKind
	text string
	num  int64
}

type scalarKind byte

const (
	compound scalarKind = iota // never equal to anything
	isString
	isInteger
	isBool
	isNull
)

// The largest integer of canonical JSON.
const maxInteger = 1<<53 - 1

func scalarOf(v any) scalar {
	switch v := v.(type) {
	case string:
		return scalar{kind: isString, text: v}
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil || n > maxInteger || n < -maxInteger {
			return scalar{}
		}
		return scalar{kind: isInteger, num: n}
	case bool:
		if v {
			return scalar{kind: isBool, num: 1}
		}
		return scalar{kind: isBool}
	case nil:
		return scalar{kind: isNull}
	}
	return scalar{}
}

func parseScalar(b json.RawMessage) scalar {
	if len(b) == 0 {
		return scalar{}
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return scalar{}
	}
	return scalarOf(v)
}

func (s scalar) equal(v any) bool { return s.kind != compound && s == scalarOf(v) }
