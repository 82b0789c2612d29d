// Package authrules decides whether an event is allowed, given a state of its
// room, by the authorization rules of room versions 1 to 12 (the section
// "Authorisation rules" of each page of rooms/). It is pure: it does not fetch
// events, resolve state, or know which keys are valid.
//
// The numbers in comments are those of room version 12. Where a rule differs in
// older versions, the comment says how.
package authrules

import (
	"strings"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// The event types that the rules know.
const (
	typeCreate     = "m.room.create"
	typeMember     = "m.room.member"
	typeJoinRules  = "m.room.join_rules"
	typeLevels     = "m.room.power_levels"
	typeThirdParty = "m.room.third_party_invite"
	typeAliases    = "m.room.aliases"
	typeRedaction  = "m.room.redaction"
)

// State is a state of a room: it returns the state event of a type and state key,
// or nil if there is none. From room version 12 on it must return the create
// event although no event names it as an auth event.
type State func(typ, stateKey string) *pdu.Event

// Check applies the rules to ev given the state st. It returns nil if ev is
// allowed, or else the error of the rule that rejects it. What it leaves to
// others: CheckAuthEvents (rule 3), and the cryptographic check of the
// signatures of Signers (rule 5.2).
//
// ev must have been parsed by pdu: its ids are well formed.
func Check(ev *pdu.Event, st State) error {
	// 1. Creates.
	if ev.Type == typeCreate {
		return checkCreate(ev)
	}
	create := st(typeCreate, "")
	if create == nil {
		return ErrNoCreate
	}
	// 2. The room id of version 12 is that of the create event. It cannot
	// differ in other versions either, if the caller did his part.
	if create.RoomID != ev.RoomID {
		return ErrRoomID
	}
	// 4. (3 before version 12.) Rooms that do not federate.
	if federate, ok := canonjson.GetBool(create.Content, "m.federate"); ok && !federate && ev.Origin() != create.Origin() {
		return ErrNotFederated
	}
	c := &check{ev: ev, st: st, create: create, v: ev.Version}
	// Only versions 1 to 5 have a rule for aliases, numbered 4.
	if ev.Type == typeAliases && c.v.AliasesAuth {
		return c.aliases()
	}
	// 5. Memberships.
	if ev.Type == typeMember {
		return c.member()
	}
	return c.other()
}

// check is one run of the rules.
type check struct {
	ev, create *pdu.Event
	st         State
	v          *roomver.Version
	lv         PowerLevels
	lvKnown    bool
}

// levels are the power levels of the state. They are read only by the rules that
// need them.
func (c *check) levels() *PowerLevels {
	if !c.lvKnown {
		c.lv, c.lvKnown = ParsePowerLevels(c.v, c.st(typeLevels, ""), c.create), true
	}
	return &c.lv
}

// membership is the current membership of a user, "leave" if there is no event.
func (c *check) membership(user string) string {
	if m := c.st(typeMember, user); m != nil {
		return m.Membership()
	}
	return "leave"
}

// aliases is rule 4 of versions 1 to 5.
func (c *check) aliases() error {
	if c.ev.StateKey == nil {
		return ErrAliasesStateKey
	}
	if string(c.ev.Origin()) != *c.ev.StateKey {
		return ErrAliasesServer
	}
	return nil
}

// other is rules 6 to 11.
func (c *check) other() error {
	ev := c.ev
	// 6.
	if c.membership(ev.Sender) != "join" {
		return ErrSenderNotJoined
	}
	lv := c.levels()
	power := lv.User(ev.Sender)
	// 7. The invite level alone decides.
	if ev.Type == typeThirdParty {
		if power < lv.Invite {
			return ErrThirdPartyInviteLevel
		}
		return nil
	}
	// 8.
	if lv.ForEvent(ev.Type, ev.IsState()) > power {
		return ErrEventLevel
	}
	// 9.
	if ev.StateKey != nil && strings.HasPrefix(*ev.StateKey, "@") && *ev.StateKey != ev.Sender {
		return ErrForeignStateKey
	}
	// 10.
	if ev.Type == typeLevels {
		return c.powerLevels(power)
	}
	// 11 of versions 1 and 2.
	if ev.Type == typeRedaction && c.v.RedactionAuth {
		return c.redaction(power)
	}
	// 11.
	return nil
}

// redaction is rule 11 of versions 1 and 2.
func (c *check) redaction(power int64) error {
	if power >= c.levels().Redact {
		return nil
	}
	if server := mxid.ServerOf(c.ev.Redacts); server != "" && server == mxid.ServerOf(c.ev.ID) {
		return nil
	}
	return ErrRedaction
}
