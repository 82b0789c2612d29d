package pushrule

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
)

const (
	alice = "@alice:example.org"
	bob   = "@bob:example.org"
	den   = "!den:example.org"
)

// message is what bob says in the den.
func message(content string) Event {
	return Event{ID: "$1", Type: "m.room.message", Sender: bob, RoomID: den, Content: json.RawMessage(content)}
}

func state(typ, key, content string) Event {
	return Event{ID: "$1", Type: typ, Sender: bob, RoomID: den, StateKey: &key, Content: json.RawMessage(content)}
}

func said(body string) Event {
	return message(string(textWith("body", body)))
}

func textWith(key, value string) []byte {
	b, _ := json.Marshal(map[string]string{"msgtype": "m.text", key: value})
	return b
}

func call(typ, content string) Event {
	return Event{Type: typ, Sender: bob, RoomID: den, Content: json.RawMessage(content)}
}

func levels(sender, room int64) Context {
	return Context{
		Members:     3,
		SenderLevel: func() int64 { return sender },
		NotifyLevel: func(kind string) int64 {
			if kind == "room" {
				return room
			}
			return 50
		},
	}
}

func TestDefaultRules(t *testing.T) {
	crowd, pair := levels(0, 50), Context{Members: 2}
	for _, tc := range []struct {
		name string
		ev   Event
		ctx  Context
		want string // what alice gets: rule, n(otify), h(ighlight), sound
	}{
		{"a message in a group", said("hi"), crowd, ".m.rule.message n"},
		{"a message between two", said("hi"), pair, ".m.rule.room_one_to_one n default"},
		{"a notice of a bot", message(`{"msgtype":"m.notice","body":"hi alice"}`), pair, ".m.rule.suppress_notices"},
		{"an invitation", state("m.room.member", alice, `{"membership":"invite"}`), crowd, ".m.rule.invite_for_me n default"},
		{"an invitation for another", state("m.room.member", "@carol:example.org", `{"membership":"invite"}`), crowd, ".m.rule.member_event"},
		{"somebody joins", state("m.room.member", bob, `{"membership":"join"}`), pair, ".m.rule.member_event"},
		{"a mention", message(`{"body":"alice","m.mentions":{"user_ids":["@z:z","` + alice + `"]}}`), crowd, ".m.rule.is_user_mention nh default"},
		{"a mention of another", message(`{"body":"alice","m.mentions":{"user_ids":["@z:z"]}}`), crowd, ".m.rule.message n"},
		{"the name alone is no mention", said("alice @room " + alice), crowd, ".m.rule.message n"},
		{"a moderator calls everybody", message(`{"m.mentions":{"room":true}}`), levels(50, 50), ".m.rule.is_room_mention nh"},
		{"anybody else may not", message(`{"m.mentions":{"room":true}}`), levels(49, 50), ".m.rule.message n"},
		{"room mention must be true itself", message(`{"m.mentions":{"room":"true"}}`), levels(50, 50), ".m.rule.message n"},
		{"the room is upgraded", state("m.room.tombstone", "", `{"body":"moved"}`), crowd, ".m.rule.tombstone nh"},
		{"a message that calls itself tombstone", Event{Type: "m.room.tombstone", Sender: bob, RoomID: den}, crowd, ""},
		{"a reaction", Event{Type: "m.reaction", Sender: bob, RoomID: den, Content: json.RawMessage(`{}`)}, pair, ".m.rule.reaction"},
		{"server ACLs", state("m.room.server_acl", "", `{}`), pair, ".m.rule.room.server_acl"},
		{"an edit", message(`{"body":"*","m.relates_to":{"rel_type":"m.replace","event_id":"$0"}}`), pair, ".m.rule.suppress_edits"},
		{"an edit that mentions", message(`{"m.relates_to":{"rel_type":"m.replace"},"m.mentions":{"user_ids":["` + alice + `"]}}`), pair, ".m.rule.is_user_mention nh default"},
		{"a call", Event{Type: "m.call.invite", Sender: bob, RoomID: den}, crowd, ".m.rule.call n ring"},
		{"an invitation to a call", call("m.rtc.invite", `{"m.mentions":{"user_ids":["`+alice+`"]}}`), crowd, ".m.rule.rtc.invite_for_me n ring"},
		{"an invitation to a call by its name of today", call("org.matrix.msc4075.rtc.invite", `{"m.mentions":{"user_ids":["`+alice+`"]}}`), crowd, ".org.matrix.msc4075.rule.rtc.invite_for_me n ring"},
		{"an invitation to a call for everybody", call("m.rtc.invite", `{"m.mentions":{"room":true}}`), levels(50, 50), ".m.rule.rtc.invite_for_room n ring"},
		{"such an invitation by somebody who may not", call("m.rtc.invite", `{"m.mentions":{"room":true}}`), levels(49, 50), ""},
		{"an invitation to a call for nobody", call("m.rtc.invite", `{}`), crowd, ""},
		{"a call rings", call("org.matrix.msc4075.rtc.notification", `{"notification_type":"ring","m.mentions":{"room":true}}`), levels(50, 50), ".org.matrix.msc4075.rule.rtc.ring_for_room n ring"},
		{"a call need not ring", call("org.matrix.msc4075.rtc.notification", `{"notification_type":"notification","m.mentions":{"user_ids":["`+alice+`"]}}`), crowd, ".m.rule.is_user_mention nh default"},
		{"an encrypted event between two", Event{Type: "m.room.encrypted", Sender: bob, RoomID: den}, pair, ".m.rule.encrypted_room_one_to_one n default"},
		{"an encrypted event in a group", Event{Type: "m.room.encrypted", Sender: bob, RoomID: den}, crowd, ".m.rule.encrypted n"},
		{"a poll starts", Event{Type: "org.matrix.msc3381.poll.start", Sender: bob, RoomID: den}, crowd, ".org.matrix.msc3930.rule.poll_start n"},
		{"a poll starts between two", Event{Type: "org.matrix.msc3381.poll.start", Sender: bob, RoomID: den}, pair, ".org.matrix.msc3930.rule.poll_start_one_to_one n default"},
		{"a poll ends", Event{Type: "org.matrix.msc3381.poll.end", Sender: bob, RoomID: den}, crowd, ".org.matrix.msc3930.rule.poll_end n"},
		{"a poll ends between two", Event{Type: "org.matrix.msc3381.poll.end", Sender: bob, RoomID: den}, pair, ".org.matrix.msc3930.rule.poll_end_one_to_one n default"},
		{"a vote", Event{Type: "org.matrix.msc3381.poll.response", Sender: bob, RoomID: den}, pair, ".org.matrix.msc3930.rule.poll_response"},
		{"the topic", state("m.room.topic", "", `{"topic":"tea"}`), pair, ""},
		{"her own message", Event{Type: "m.room.message", Sender: alice, RoomID: den, Content: json.RawMessage(`{"body":"hi"}`)}, pair, ""},
		{"content that is not an object", message(`["alice"]`), crowd, ".m.rule.message n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := show(Compile(Defaults(alice), alice).Evaluate(NewFields(tc.ev), tc.ctx))
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// show writes a Result as rule, letters and sound.
func show(r Result) string {
	s := r.RuleID
	for _, part := range []struct {
		on   bool
		text string
	}{
		{r.Notify, " n"},
		{r.Highlight, "h"},
		{r.Sound != "", " " + r.Sound},
	} {
		if part.on {
			s += part.text
		}
	}
	return s
}

func TestMasterRuleSilencesEverything(t *testing.T) {
	rs, err := Defaults(alice).Enable(Override, master, true)
	if err != nil {
		t.Fatal(err)
	}
	rs = put(t, rs, Override, "mine", `{"actions":["notify"],"conditions":[]}`, Place{})
	if got := show(Compile(rs, alice).Evaluate(NewFields(said("hi")), Context{Members: 2})); got != master {
		t.Errorf("got %q, want the master rule", got)
	}
}

// TestConditions: every condition of client-server-api/#conditions-1 with the
// examples given there.
func TestConditions(t *testing.T) {
	topic := func(v string) Event { return state("m.room.topic", "", `{"topic":`+v+`}`) }
	federate := func(v string) Event { return state("m.room.create", "", `{"m.federate":`+v+`}`) }
	aliases := func(v string) Event { return state("m.room.canonical_alias", "", `{"alt_aliases":`+v+`}`) }
	const (
		lunch   = `{"kind":"event_match","key":"content.topic","pattern":"lunc?*"}`
		exple   = `{"kind":"event_match","key":"content.body","pattern":"ex*ple"}`
		fed     = `{"kind":"event_property_is","key":"content.m\\.federate","value":true}`
		alias   = `{"kind":"event_property_contains","key":"content.alt_aliases","value":"#myroom:example.com"}`
		name    = `{"kind":"contains_display_name"}`
		mention = `{"kind":"sender_notification_permission","key":"room"}`
	)
	named := func(s string) Context { return Context{DisplayName: s} }
	members := func(n int) Context { return Context{Members: n} }
	count := func(is string) string { return `{"kind":"room_member_count","is":"` + is + `"}` }
	for _, tc := range []struct {
		condition string
		ev        Event
		ctx       Context
		want      bool
	}{
		{lunch, topic(`"Lunch plans"`), Context{}, true},
		{lunch, topic(`"LUNCH"`), Context{}, true},
		{lunch, topic(`" lunch"`), Context{}, false},
		{lunch, topic(`"lunc"`), Context{}, false},
		{lunch, topic(`null`), Context{}, false},
		{`{"kind":"event_match","key":"content.topic","pattern":"*"}`, topic(`5`), Context{}, false},
		{`{"kind":"event_match","key":"content.absent","pattern":"*"}`, topic(`"x"`), Context{}, false},
		{`{"kind":"event_match","key":"content.topic","pattern":""}`, topic(`""`), Context{}, true},
		{`{"kind":"event_match","key":"content.topic","pattern":""}`, topic(`"x"`), Context{}, false},
		{`{"kind":"event_match","key":"content.topic","pattern":"*a*b"}`, topic(`"xaxbxb"`), Context{}, true},
		{`{"kind":"event_match","key":"content.topic","pattern":"*a*b"}`, topic(`"xaxbx"`), Context{}, false},
		{`{"kind":"event_match","key":"content.topic","pattern":"a*a"}`, topic(`"a"`), Context{}, false},
		{`{"kind":"event_match","key":"content.topic","pattern":"?"}`, topic(`"é"`), Context{}, true},
		{`{"kind":"event_match","key":"content.topic","pattern":"??"}`, topic(`"é"`), Context{}, false},
		{`{"kind":"event_match","key":"content.topic","pattern":"caf?*t"}`, topic(`"Café Tórshavn cat"`), Context{}, true},
		{`{"kind":"event_match","key":"content.topic"}`, topic(`"x"`), Context{}, false},
		{`{"kind":"event_match","key":"sender","pattern":"@BOB:*"}`, said("x"), Context{}, true},
		{`{"kind":"event_match","key":"room_id","pattern":"!den:example.org"}`, said("x"), Context{}, true},
		{`{"kind":"event_match","key":"event_id","pattern":"$1"}`, said("x"), Context{}, true},
		{`{"kind":"event_match","key":"state_key","pattern":""}`, said("x"), Context{}, false},
		{`{"kind":"event_match","key":"type","pattern":"m.room.*"}`, said("x"), Context{}, true},
		{`{"kind":"event_match","key":"content","pattern":"*"}`, said("x"), Context{}, false},
		{`{"kind":"event_match","key":"type.x","pattern":"*"}`, said("x"), Context{}, false},

		{exple, said("An example event."), Context{}, true},
		{exple, said("exple"), Context{}, true},
		{exple, said("An exciting triple-whammy"), Context{}, true},
		{exple, said("An example_event"), Context{}, false},
		{exple, said("perexample"), Context{}, false},
		{exple, said("example_, then: ex-ple"), Context{}, true},
		{`{"kind":"event_match","key":"content.body","pattern":"cake"}`, said("Cheesecake, then CAKE!"), Context{}, true},
		{`{"kind":"event_match","key":"content.body","pattern":"cake"}`, said("cheesecake"), Context{}, false},
		{`{"kind":"event_match","key":"content.body","pattern":"?ake"}`, said("a lake"), Context{}, true},
		{`{"kind":"event_match","key":"content.body","pattern":"?ake"}`, said("a flake"), Context{}, false},
		{`{"kind":"event_match","key":"content.body","pattern":"cake*lie"}`, said("the cake is a lie"), Context{}, true},
		{`{"kind":"event_match","key":"content.body","pattern":"cake*lie"}`, said("cake lied"), Context{}, false},
		{`{"kind":"event_match","key":"content.body","pattern":"foo"}`, message(`{"body":["foo"]}`), Context{}, false},

		{fed, federate(`true`), Context{}, true},
		{fed, federate(`"true"`), Context{}, false},
		{fed, federate(`1`), Context{}, false},
		{fed, state("m.room.create", "", `{"m":{"federate":true}}`), Context{}, false},
		{fed, state("m.room.create", "", `{}`), Context{}, false},
		{`{"kind":"event_property_is","key":"content.n","value":7}`, message(`{"n":7}`), Context{}, true},
		{`{"kind":"event_property_is","key":"content.n","value":7}`, message(`{"n":"7"}`), Context{}, false},
		{`{"kind":"event_property_is","key":"content.n","value":null}`, message(`{"n":null}`), Context{}, true},
		{`{"kind":"event_property_is","key":"content.n","value":null}`, message(`{}`), Context{}, false},
		{`{"kind":"event_property_is","key":"content.n","value":9007199254740991}`, message(`{"n":9007199254740991}`), Context{}, true},
		{`{"kind":"event_property_is","key":"content.n","value":9007199254740992}`, message(`{"n":9007199254740992}`), Context{}, false},
		{`{"kind":"event_property_is","key":"content.n","value":1.5}`, message(`{"n":1.5}`), Context{}, false},
		{`{"kind":"event_property_is","key":"content.n","value":[]}`, message(`{"n":[]}`), Context{}, false},
		{`{"kind":"event_property_is","key":"content.n"}`, message(`{"n":""}`), Context{}, false},
		{`{"kind":"event_property_is","key":"content.body","value":"Hi"}`, said("hi"), Context{}, false},
		{`{"kind":"event_property_is","key":"content.m\\\\x\\y","value":1}`, message(`{"m\\x\\y":1}`), Context{}, true},

		{alias, aliases(`["#somewhere:example.org","#myroom:example.com"]`), Context{}, true},
		{alias, aliases(`[":example.com"]`), Context{}, false},
		{alias, aliases(`"#myroom:example.com"`), Context{}, false},
		{alias, aliases(`[["#myroom:example.com"]]`), Context{}, false},
		{`{"kind":"event_property_contains","key":"content.l","value":null}`, message(`{"l":[1,null]}`), Context{}, true},

		{name, said("hello Alice, dear"), named("alice"), true},
		{name, said("malice"), named("alice"), false},
		{name, said("hello"), named(""), false},
		{name, said("a star: *"), named("*"), true},
		{name, said("no star"), named("*"), false},
		{name, said("hi (Al) there"), named("(al)"), true},

		{count("2"), said(""), members(2), true},
		{count("==2"), said(""), members(3), false},
		{count("<3"), said(""), members(2), true},
		{count("<3"), said(""), members(3), false},
		{count(">3"), said(""), members(4), true},
		{count(">3"), said(""), members(3), false},
		{count("<=3"), said(""), members(3), true},
		{count(">=3"), said(""), members(2), false},
		{count("=3"), said(""), members(3), false},
		{count("<+3"), said(""), members(2), false},
		{count(""), said(""), members(0), false},
		{count("two"), said(""), members(2), false},

		{mention, said(""), levels(50, 50), true},
		{mention, said(""), levels(49, 50), false},
		{mention, said(""), Context{}, false},

		{`{"kind":"org.example.phase_of_the_moon","key":"type"}`, said(""), members(2), false},
	} {
		t.Run(fmt.Sprintf("%s/%s", tc.condition, tc.ev.Content), func(t *testing.T) {
			rs := put(t, Ruleset{}, Override, "r", `{"actions":["notify"],"conditions":[`+tc.condition+`]}`, Place{})
			got := Compile(rs, alice).Evaluate(NewFields(tc.ev), tc.ctx).Notify
			if got != tc.want {
				t.Errorf("matches = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestKindsAreTriedInOrder(t *testing.T) {
	rs := Ruleset{}
	for _, step := range []struct {
		kind     Kind
		id, body string
	}{
		{Underride, "under", `{"actions":[],"conditions":[]}`},
		{Sender, bob, `{"actions":[]}`},
		{Room, den, `{"actions":[]}`},
		{Content, "tea", `{"actions":[],"pattern":"tea"}`},
		{Override, "over", `{"actions":[],"conditions":[]}`},
	} {
		rs = put(t, rs, step.kind, step.id, step.body, Place{})
		got := Compile(rs, alice).Evaluate(NewFields(said("It's time for tea")), Context{})
		if got.Kind != step.kind || got.RuleID != step.id {
			t.Errorf("%s rule lost to %s rule %q", step.kind, got.Kind, got.RuleID)
		}
	}
}

func TestTweaks(t *testing.T) {
	for _, tc := range []struct{ actions, want string }{
		{`["notify",{"set_tweak":"sound","value":"bing"}]`, "r n bing"},
		{`["notify",{"set_tweak":"highlight"}]`, "r nh"},
		{`["notify",{"set_tweak":"highlight","value":true}]`, "r nh"},
		{`["notify",{"set_tweak":"highlight","value":false}]`, "r n"},
		{`["notify",{"set_tweak":"sound","value":5}]`, "r n"},
		{`["dont_notify","coalesce"]`, "r"},
		{`[{"set_tweak":"highlight"}]`, "r"},
	} {
		rs := put(t, Ruleset{}, Override, "r", `{"actions":`+tc.actions+`}`, Place{})
		if got := show(Compile(rs, alice).Evaluate(NewFields(said("")), Context{})); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.actions, got, tc.want)
		}
	}
}

func TestOneEventForManyMembers(t *testing.T) {
	f := NewFields(said("hello user 7"))
	var wg sync.WaitGroup
	for i := range 16 {
		user := fmt.Sprintf("@u%d:example.org", i)
		rs := put(t, Defaults(user), Content, "me", fmt.Sprintf(`{"actions":["notify",{"set_tweak":"highlight"}],"pattern":"user %d"}`, i), Place{})
		wg.Go(func() {
			res := Compile(rs, user).Evaluate(f, Context{Members: 16})
			if !res.Notify || res.Highlight != (i == 7) {
				t.Errorf("user %d: %+v", i, res)
			}
		})
	}
	wg.Wait()
}

func BenchmarkPlainMessage(b *testing.B) {
	f := NewFields(said("Good morning, has anybody seen the release notes of last week?"))
	r := Compile(Defaults(alice), alice)
	ctx := levels(0, 50)
	b.ReportAllocs()
	for b.Loop() {
		if !r.Evaluate(f, ctx).Notify {
			b.Fatal("silent")
		}
	}
}

func BenchmarkNewFields(b *testing.B) {
	ev := said("Good morning, has anybody seen the release notes of last week?")
	b.ReportAllocs()
	for b.Loop() {
		NewFields(ev).bodyText()
	}
}

func BenchmarkCompileDefaults(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Compile(Stored{}.Apply(alice), alice)
	}
}

// TestCallsComeBeforeMentions: people set calls and mentions each as they like,
// so the rules for calls stand right before those (MSC4075).
func TestCallsComeBeforeMentions(t *testing.T) {
	var order []string
	for _, r := range Defaults(alice).Override {
		order = append(order, r.ID)
	}
	for call, mention := range map[string]string{"me": ".m.rule.is_user_mention", "room": ".m.rule.is_room_mention"} {
		i := slices.Index(order, ".m.rule.rtc.invite_for_"+call)
		if i < 0 || i+3 != slices.Index(order, mention) {
			t.Errorf("the rules for calls are not right before %s: %v", mention, order)
		}
	}
}
