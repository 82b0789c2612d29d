package authrules

import (
	"slices"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// Tuple names a piece of state.
type Tuple struct{ Type, StateKey string }

// Needed is the auth events selection: the pieces of state, as far as the room
// has them, that the auth_events of an event with this type, state key, sender
// and canonical content are (server-server-api/#auth-events-selection). The
// create event is not among them from room version 12 on.
func Needed(v *roomver.Version, typ string, stateKey *string, sender string, content []byte) []Tuple {
	if typ == typeCreate {
		return nil
	}
	need := make([]Tuple, 0, 6)
	if !v.RoomIDIsCreate {
		need = append(need, Tuple{typeCreate, ""})
	}
	need = append(need, Tuple{typeLevels, ""}, Tuple{typeMember, sender})
	if typ != typeMember || stateKey == nil {
		return need
	}
	add := func(t Tuple) {
		if !slices.Contains(need, t) {
			need = append(need, t)
		}
	}
	add(Tuple{typeMember, *stateKey})
	membership, _ := canonjson.GetString(content, "membership")
	switch membership {
	case "join", "invite", "knock":
		add(Tuple{typeJoinRules, ""})
	}
	if membership == "invite" {
		if raw, ok := canonjson.Path(content, "third_party_invite", "signed", "token"); ok {
			if token, ok := canonjson.String(raw); ok {
				add(Tuple{typeThirdParty, token})
			}
		}
	}
	if membership == "join" && v.Restricted {
		if user, ok := canonjson.GetString(content, "join_authorised_via_users_server"); ok {
			if _, err := mxid.ParseUserID(user); err == nil {
				add(Tuple{typeMember, user})
			}
		}
	}
	return need
}

// CheckAuthEvents is rule 3 (2 before version 12), with auth the events that
// ev.AuthEvents names. That none of them was rejected (3.3) is for the caller to
// see to. A create event needs no auth events, so any are fine.
func CheckAuthEvents(ev *pdu.Event, auth []*pdu.Event) error {
	if ev.Type == typeCreate {
		return nil
	}
	need := Needed(ev.Version, ev.Type, ev.StateKey, ev.Sender, ev.Content)
	seen := make([]Tuple, 0, len(need))
	for _, a := range auth {
		if a.StateKey == nil {
			return ErrAuthUnexpected
		}
		t := Tuple{a.Type, *a.StateKey}
		// 3.1
		if slices.Contains(seen, t) {
			return ErrAuthDuplicate
		}
		// 3.2
		if !slices.Contains(need, t) {
			return ErrAuthUnexpected
		}
		// 3.5
		if a.RoomID != ev.RoomID {
			return ErrAuthRoom
		}
		seen = append(seen, t)
	}
	// 3.4 before version 12.
	if !ev.Version.RoomIDIsCreate && !slices.Contains(seen, Tuple{typeCreate, ""}) {
		return ErrNoCreate
	}
	return nil
}

// FromAuthEvents is the State that a list of auth events makes. create may be nil
// where it is among them, that is before room version 12.
func FromAuthEvents(create *pdu.Event, auth []*pdu.Event) State {
	return func(typ, stateKey string) *pdu.Event {
		for _, a := range auth {
			if a.Is(typ, stateKey) {
				return a
			}
		}
		if create != nil && create.Is(typ, stateKey) {
			return create
		}
		return nil
	}
}
