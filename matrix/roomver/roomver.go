// Package roomver is the table of what differs between the room versions 1 to
// 12 (spec: rooms/). It knows the differences by name only; the packages pdu,
// authrules and stateres act on them.
package roomver

// Default is the version of rooms made by clients that do not ask for one
// (rooms/#complete-list-of-room-versions).
const Default = "12"

// StateRes names a state resolution algorithm.
type StateRes int

// The algorithms in the order in which they came.
const (
	StateRes1  StateRes = 1  // room version 1
	StateRes2  StateRes = 2  // room versions 2 to 11
	StateRes21 StateRes = 21 // room version 12: starts from an empty state
)

// EventIDs says where an event's id comes from.
type EventIDs int

// The three forms of event ids.
const (
	EventIDWithServer EventIDs = iota + 1 // "$opaque:server", a field of the event (1, 2)
	EventIDBase64                         // "$" + base64 of the reference hash (3)
	EventIDBase64URL                      // "$" + URL-safe base64 of the reference hash (4 and later)
)

// Version is one room version. Values are shared and must not be changed.
type Version struct {
	ID       string
	StateRes StateRes
	EventIDs EventIDs

	// KeyValidity: a signature counts only if its key was valid at
	// origin_server_ts (5 and later).
	KeyValidity bool
	// StrictJSON: events must be canonical JSON with integers in ±(2^53-1).
	// Without it, floats and big integers are accepted (6 and later).
	StrictJSON bool
	// AliasesAuth: m.room.aliases has its own authorization rule, and its
	// content.aliases survives redaction (1 to 5).
	AliasesAuth bool
	// RedactionAuth: the authorization rules decide about redactions (1, 2).
	// Later a redaction is accepted and applied only if its sender may.
	RedactionAuth bool
	// NotificationLevels: changes of the power levels' notifications are
	// checked like those of events (6 and later).
	NotificationLevels bool
	// Knock: membership and join rule "knock" (7 and later).
	Knock bool
	// Restricted: join rule "restricted"; content.allow of the join rules
	// survives redaction (8 and later).
	Restricted bool
	// KeepJoinAuthorised: join_authorised_via_users_server survives redaction
	// (9 and later).
	KeepJoinAuthorised bool
	// KnockRestricted: join rule "knock_restricted" (10 and later).
	KnockRestricted bool
	// IntegerLevels: power levels must be integers. Without it, strings that
	// hold an integer count too (10 and later).
	IntegerLevels bool
	// UpdatedRedaction: the redaction algorithm of MSC2176 and its companions,
	// which keeps the whole content of m.room.create (11 and later).
	UpdatedRedaction bool
	// ImplicitCreator: the room creator is the sender of m.room.create;
	// content.creator has no meaning (11 and later).
	ImplicitCreator bool
	// RedactsInContent: a redaction names its target in content.redacts, not
	// in a top-level field (11 and later).
	RedactsInContent bool
	// RoomIDIsCreate: the room id is the id of m.room.create with the sigil
	// "!"; that event has no room_id and is never an auth event (12).
	RoomIDIsCreate bool
	// PrivilegedCreators: the creators, among them content.additional_creators,
	// stand above every power level (12).
	PrivilegedCreators bool
}

var versions = table()

func table() [12]Version {
	var t [12]Version
	for i, id := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"} {
		n := i + 1
		v := Version{
			ID:                 id,
			StateRes:           StateRes2,
			EventIDs:           EventIDBase64URL,
			KeyValidity:        n >= 5,
			StrictJSON:         n >= 6,
			AliasesAuth:        n <= 5,
			RedactionAuth:      n <= 2,
			NotificationLevels: n >= 6,
			Knock:              n >= 7,
			Restricted:         n >= 8,
			KeepJoinAuthorised: n >= 9,
			KnockRestricted:    n >= 10,
			IntegerLevels:      n >= 10,
			UpdatedRedaction:   n >= 11,
			ImplicitCreator:    n >= 11,
			RedactsInContent:   n >= 11,
			RoomIDIsCreate:     n >= 12,
			PrivilegedCreators: n >= 12,
		}
		switch n {
		case 1:
			v.StateRes, v.EventIDs = StateRes1, EventIDWithServer
		case 2:
			v.EventIDs = EventIDWithServer
		case 3:
			v.EventIDs = EventIDBase64
		case 12:
			v.StateRes = StateRes21
		}
		t[i] = v
	}
	return t
}

// Get returns the version called id, such as "10". It reports false for an id
// that Hearth does not know.
func Get(id string) (*Version, bool) {
	for i := range versions {
		if versions[i].ID == id {
			return &versions[i], true
		}
	}
	return nil, false
}

// All returns every version that Hearth knows, oldest first.
func All() []*Version {
	all := make([]*Version, len(versions))
	for i := range versions {
		all[i] = &versions[i]
	}
	return all
}
