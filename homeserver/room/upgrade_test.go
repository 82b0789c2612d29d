package room

import (
	"encoding/json"
	"testing"

	"hearth/matrix/canonjson"
	"hearth/matrix/roomver"
)

// Old rooms have levels that new versions refuse.
func TestCopyLevels(t *testing.T) {
	for _, tc := range []struct{ old, want string }{
		{`{}`, `{"events":{},"notifications":{},"users":{}}`},
		{`{"ban":"50","kick":" 30 ","redact":50.9,"invite":-1}`, `{"ban":50,"events":{},"invite":-1,"kick":30,"notifications":{},"redact":50,"users":{}}`},
		{`{"ban":null,"kick":{},"redact":"many","invite":[1]}`, `{"events":{},"notifications":{},"users":{}}`},
		{`{"users":{"@a:test":"100","bob":50,"@c:test":1e300}}`, `{"events":{},"notifications":{},"users":{"@a:test":100,"@c:test":9007199254740991}}`},
		{`{"users":[],"events":{"a":"b","c":3},"notifications":{"room":"20"}}`, `{"events":{"c":3},"notifications":{"room":20},"users":{}}`},
		{`{"org.example.other":{"x":1}}`, `{"events":{},"notifications":{},"users":{}}`},
	} {
		got, err := canonjson.Marshal(copyLevels(json.RawMessage(tc.old)))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != tc.want {
			t.Errorf("%s becomes %s, want %s", tc.old, got, tc.want)
		}
	}
}

func TestQuietLevels(t *testing.T) {
	for _, tc := range []struct{ old, want string }{
		{`{}`, `{"events_default":50,"invite":50}`},
		{`{"users_default":60}`, `{"events_default":61,"invite":61,"users_default":60}`},
		{`{"events_default":100,"invite":"70"}`, `{"events_default":100,"invite":70}`},
	} {
		if got := quietLevels(json.RawMessage(tc.old)); string(got) != tc.want {
			t.Errorf("%s becomes %s, want %s", tc.old, got, tc.want)
		}
	}
}

func TestJoinRulesOfOlderVersions(t *testing.T) {
	for _, tc := range []struct{ version, old, want string }{
		{"12", "knock_restricted", "knock_restricted"},
		{"9", "knock_restricted", "restricted"},
		{"7", "knock_restricted", "invite"},
		{"7", "knock", "knock"},
		{"6", "knock", "invite"},
		{"1", "public", "public"},
	} {
		v, _ := roomver.Get(tc.version)
		got := joinRulesFor(v, json.RawMessage(`{"join_rule":"`+tc.old+`"}`))
		if rule, _ := canonjson.GetString(got, "join_rule"); rule != tc.want {
			t.Errorf("%s in version %s becomes %s, want %s", tc.old, tc.version, rule, tc.want)
		}
	}
}
