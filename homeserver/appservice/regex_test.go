package appservice

import (
	"strings"
	"testing"
)

func TestRegex(t *testing.T) {
	for _, c := range []struct {
		regex, id string
		want      bool
	}{
		{`@irc_.*`, "@irc_bob:example.org", true},
		{`irc_.*`, "@irc_bob:example.org", false}, // from the start
		{`@a|@b`, "@bob:example.org", true},
		{`@(?!irc_bot:)irc_.*`, "@irc_bob:example.org", true},
		{`@(?!irc_bot:)irc_.*`, "@irc_bot:example.org", false},
		{`@(?P<who>irc_(?!bot).*):example\.org$`, "@irc_bob:example.org", true},
		{`@irc_.*(?<!bot):example\.org$`, "@irc_robot:example.org", false},
		{`@(?=a)(a+)+$`, "@" + strings.Repeat("a", 200) + ":", false}, // would take for ever
	} {
		re, err := compile(c.regex)
		if err != nil || re.MatchString(c.id) != c.want {
			t.Errorf("%s fits %s: %v, want %v", c.regex, c.id, err, c.want)
		}
	}
}
