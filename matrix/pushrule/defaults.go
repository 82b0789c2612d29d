package pushrule

import (
	"encoding/json"
	"slices"
)

// master is the one default rule that goes before a user's own rules.
const master = ".m.rule.master"

// Defaults returns the rules every user starts with
// (client-server-api/#predefined-rules). The rules that look for names in the
// text of a message went away with v1.17: clients say whom they mention.
func Defaults(userID string) Ruleset {
	return Ruleset{
		Override:    defaultOverride(userID),
		Content:     List{},
		PostContent: defaultPostContent(),
		Room:        List{},
		Sender:      List{},
		Underride:   defaultUnderride(),
	}
}

func defaultOverride(userID string) List {
	off := rule(master, silent)
	off.Enabled = false
	me := Condition{Kind: "event_property_contains", Key: `content.m\.mentions.user_ids`, Value: text(userID)}
	room := []Condition{
		{Kind: "event_property_is", Key: `content.m\.mentions.room`, Value: json.RawMessage("true")},
		{Kind: "sender_notification_permission", Key: "room"},
	}
	return slices.Concat(List{
		off,
		rule(".m.rule.suppress_notices", silent, match("content.msgtype", "m.notice")),
		rule(
			".m.rule.invite_for_me", sound("default"),
			match("type", "m.room.member"),
			match("content.membership", "invite"),
			match("state_key", userID),
		),
		rule(".m.rule.member_event", silent, match("type", "m.room.member")),
	}, rings("me", me), List{
		rule(".m.rule.is_user_mention", highlight(sound("default")), me),
	}, rings("room", room...), List{
		rule(".m.rule.is_room_mention", highlight(notify), room...),
		rule(".m.rule.tombstone", highlight(notify), match("type", "m.room.tombstone"), match("state_key", "")),
		rule(".m.rule.reaction", silent, match("type", "m.reaction")),
		rule(".m.rule.room.server_acl", silent, match("type", "m.room.server_acl"), match("state_key", "")),
		rule(
			".m.rule.suppress_edits", silent,
			Condition{Kind: "event_property_is", Key: `content.m\.relates_to.rel_type`, Value: text("m.replace")},
		),
		rule(pollRule+"response", silent, poll("response")),
	})
}

func defaultUnderride() List {
	const encrypted = "m.room.encrypted"
	const message = "m.room.message"
	return List{
		rule(".m.rule.call", sound("ring"), match("type", "m.call.invite")),
		rule(".m.rule.encrypted_room_one_to_one", sound("default"), twoMembers, match("type", encrypted)),
		rule(".m.rule.room_one_to_one", sound("default"), twoMembers, match("type", message)),
		rule(".m.rule.message", notify, match("type", message)),
		rule(".m.rule.encrypted", notify, match("type", encrypted)),
		rule(pollRule+"start_one_to_one", sound("default"), twoMembers, poll("start")),
		rule(pollRule+"start", notify, poll("start")),
		rule(pollRule+"end_one_to_one", sound("default"), twoMembers, poll("end")),
		rule(pollRule+"end", notify, poll("end")),
	}
}

// The rules for polls (MSC3930) are accepted but not yet in the specification,
// so clients know them by these names and send these types. In encrypted rooms
// the clients evaluate the rules they find here, so polls would be silent
// without them.
const (
	pollRule = ".org.matrix.msc3930.rule.poll_"
	pollType = "org.matrix.msc3381.poll."
)

func poll(what string) Condition { return match("type", pollType+what) }

// defaultPostContent: who follows a thread hears of it whatever they set for the
// room (MSC4306). The other rule of the MSC, which silences threads that nobody
// told the server to follow, is off until a client turns it on: people whose
// client follows no threads would miss every answer in one.
func defaultPostContent() List {
	const name = ".io.element.msc4306.rule."
	subscribed := func(yes bool) Condition { return Condition{Kind: threadSubscription, Subscribed: &yes} }
	silence := rule(name+"unsubscribed_thread", silent, subscribed(false))
	silence.Enabled = false
	return List{silence, rule(name+"subscribed_thread", sound("default"), subscribed(true))}
}

// invite is what clients send to call others into a session (MSC4075): its name,
// and that of the rules by which it rings.
type invite struct {
	rule, typ string
	only      []Condition
}

// invites are the event as it is to be called, as it is called while the MSC is not
// accepted, and as it was called before, when it could also mean not to ring.
// Clients still send that.
func invites() []invite {
	return []invite{
		{".m.rule.rtc.invite_for_", "m.rtc.invite", nil},
		{".org.matrix.msc4075.rule.rtc.invite_for_", "org.matrix.msc4075.rtc.invite", nil},
		{".org.matrix.msc4075.rule.rtc.ring_for_", "org.matrix.msc4075.rtc.notification", []Condition{match("content.notification_type", "ring")}},
	}
}

// rings are the rules by which invites that mention somebody ring.
func rings(whom string, mention ...Condition) (l List) {
	for _, i := range invites() {
		c := append([]Condition{match("type", i.typ)}, i.only...)
		l = append(l, rule(i.rule+whom, sound("ring"), append(c, mention...)...))
	}
	return l
}

var (
	silent     = Actions{}
	notify     = Actions{{Notify: true}}
	twoMembers = Condition{Kind: "room_member_count", Is: "2"}
)

func sound(name string) Actions {
	return Actions{{Notify: true}, {Tweak: "sound", Value: string(text(name))}}
}

func highlight(a Actions) Actions {
	return append(a[:len(a):len(a)], Action{Tweak: "highlight"})
}

func rule(id string, a Actions, c ...Condition) Rule {
	if c == nil {
		c = []Condition{}
	}
	return Rule{ID: id, Default: true, Enabled: true, Actions: a, Conditions: c}
}

func match(key, pattern string) Condition {
	return Condition{Kind: "event_match", Key: key, Pattern: &pattern}
}

// text is s as a JSON string. A user id of an old server may hold any
// character.
func text(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`""`) // cannot happen: every string has a JSON form
	}
	return b
}
