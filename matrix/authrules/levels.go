package authrules

import (
	"math"
	"slices"

	"hearth/matrix/canonjson"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// CreatorLevel is the power level of the creators of a version 12 room: above
// everything that an event can hold.
const CreatorLevel = math.MaxInt64

// PowerLevels answers who may do what in a room, defaults included
// (client-server-api/#mroompower_levels). It is cheap to make: what was parsed
// is kept with the events.
type PowerLevels struct {
	Ban, Kick, Invite, Redact int64

	content  *levels  // nil without a power levels event
	creators []string // of the room
	above    bool     // creators have CreatorLevel
}

// ParsePowerLevels reads the levels of a room of version v. plEvent may be nil if
// the room has none. Values that the version does not allow count as absent; the
// rules keep them out of rooms.
func ParsePowerLevels(v *roomver.Version, plEvent, createEvent *pdu.Event) PowerLevels {
	p := PowerLevels{Ban: 50, Kick: 50, Invite: 0, Redact: 50, above: v.PrivilegedCreators}
	if createEvent != nil {
		p.creators = Creators(createEvent)
	}
	if plEvent == nil {
		return p
	}
	p.content = levelsOf(plEvent)
	for _, f := range []struct {
		dst  *int64
		name int
	}{{&p.Ban, fieldBan}, {&p.Kick, fieldKick}, {&p.Invite, fieldInvite}, {&p.Redact, fieldRedact}} {
		*f.dst = p.content.field(f.name, *f.dst)
	}
	return p
}

// User is the power level of a user.
func (p PowerLevels) User(id string) int64 {
	if p.above && slices.Contains(p.creators, id) {
		return CreatorLevel
	}
	if p.content == nil {
		if len(p.creators) > 0 && p.creators[0] == id {
			return 100
		}
		return 0
	}
	if n, ok := p.content.users[id]; ok {
		return n
	}
	return p.content.field(fieldUsersDefault, 0)
}

// ForEvent is the level needed to send an event of this type. Member events do
// not depend on it.
func (p PowerLevels) ForEvent(typ string, isState bool) int64 {
	if p.content != nil {
		if n, ok := p.content.events[typ]; ok {
			return n
		}
	}
	if isState {
		return p.content.field(fieldStateDefault, 50)
	}
	return p.content.field(fieldEventsDefault, 0)
}

// Notification is the level needed to notify by a keyword such as "room".
func (p PowerLevels) Notification(key string) int64 {
	if p.content != nil {
		if n, ok := p.content.notifications[key]; ok {
			return n
		}
	}
	return 50
}

// The single levels of the content, in the order of fieldNames.
const (
	fieldUsersDefault = iota
	fieldEventsDefault
	fieldStateDefault
	fieldBan
	fieldRedact
	fieldKick
	fieldInvite
	fieldCount
)

var fieldNames = [fieldCount]string{"users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"}

// levels is the content of one power levels event.
type levels struct {
	fields                       [fieldCount]int64
	has                          [fieldCount]bool
	users, events, notifications map[string]int64

	badUsers, badValue bool // something did not have the form that the version asks for
}

// field is one level, or its default. l may be nil.
func (l *levels) field(i int, def int64) int64 {
	if l == nil || !l.has[i] {
		return def
	}
	return l.fields[i]
}

func levelsOf(ev *pdu.Event) *levels {
	return ev.Memo(func() any { return parseLevels(ev.Version, ev.Content) }).(*levels)
}

func parseLevels(v *roomver.Version, content []byte) *levels {
	l := &levels{}
	canonjson.Each(content, func(key, val []byte) bool {
		switch string(key) {
		case "users":
			l.users = levelMap(v, val, &l.badUsers)
		case "events":
			l.events = levelMap(v, val, &l.badValue)
		case "notifications":
			// Before version 6 nothing reads them but the notifications
			// themselves, so nothing may be refused for their sake.
			var ignored bool
			bad := &ignored
			if v.NotificationLevels {
				bad = &l.badValue
			}
			l.notifications = levelMap(v, val, bad)
		}
		if i := slices.Index(fieldNames[:], string(key)); i >= 0 && !absent(v, val) {
			n, ok := parseLevel(v, val)
			l.fields[i], l.has[i] = n, ok
			l.badValue = l.badValue || !ok
		}
		return true
	})
	return l
}

// levelMap reads an object of levels.
func levelMap(v *roomver.Version, raw []byte, bad *bool) map[string]int64 {
	if absent(v, raw) {
		return nil
	}
	n := 0
	if !canonjson.Each(raw, func(_, _ []byte) bool { n++; return true }) {
		*bad = true
		return nil
	}
	m := make(map[string]int64, n)
	canonjson.Each(raw, func(key, val []byte) bool {
		level, ok := parseLevel(v, val)
		if !ok {
			*bad = true
			return true
		}
		m[canonjson.Key(key)] = level
		return true
	})
	return m
}

// absent reports whether a value counts as not being there. Before version 10,
// when values were not checked, null did.
func absent(v *roomver.Version, raw []byte) bool {
	return !v.IntegerLevels && string(raw) == "null"
}
