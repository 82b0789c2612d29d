package appservice_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/homeserver/appservice"
)

const good = `# as a bridge writes it for Synapse
id: telegram
url: http://127.0.0.1:29317/
as_token: aaaa
hs_token: hhhh
sender_localpart: telegrambot
rate_limited: false
namespaces:
    users:
        - regex: ^@telegram_.+:example\.org$
          exclusive: true
          group_id: +telegram:example.org
    aliases: []
de.sorunome.msc2409.push_ephemeral: true
receive_ephemeral: true
org.matrix.msc3202: true
io.element.msc4190: true
protocols: null
com.example.extra: {a: [1, 2]}
`

func TestRegistrationAsSynapseHasIt(t *testing.T) {
	var logged bytes.Buffer
	file := write(t, good)
	list, err := appservice.Load([]string{file}, "example.org", slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r := list[0]
	if r.URL != "http://127.0.0.1:29317" || r.Sender != "@telegrambot:example.org" || r.Limited || !r.Ephemeral || !r.Encryption || !r.Devices {
		t.Errorf("%+v", r)
	}
	if !r.Users[0].Exclusive || !r.Users[0].Regex.MatchString("@telegram_1:example.org") || r.Users[0].Regex.MatchString("@telegram_1:example.organic") {
		t.Errorf("%+v", r.Users)
	}
	if said := logged.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "line=19 key=com.example.extra") {
		t.Errorf("logged %s", said)
	}
}

// TestRegistrationsThatCannotBe: what is wrong is said with the place and what to do.
func TestRegistrationsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"no id":            {"id: telegram\n", "", "F:1:1: id is missing"},
		"empty token":      {"as_token: aaaa", `as_token: ""`, `F:4:11: as_token must be a text that is not empty`},
		"token is a list":  {"hs_token: hhhh", `hs_token: [x]`, `F:5:11: hs_token must be a text that is not empty`},
		"no url":           {"url: http://127.0.0.1:29317/\n", "", "F:1:1: url is missing; write null if the application service is not to be told anything"},
		"url is none":      {"http://127.0.0.1:29317/", "127.0.0.1:29317", `F:3:6: url "127.0.0.1:29317" is not an address; write for example "http://127.0.0.1:29318"`},
		"user is none":     {"sender_localpart: telegrambot", "sender_localpart: 'a b:c'", `F:6:19: sender_localpart "a b:c" cannot be a user name`},
		"bad expression":   {`^@telegram_.+:example\.org$`, "'@('", `F:10:18: namespaces.users: "@(" is not a regular expression that Hearth can use: missing closing )`},
		"empty expression": {`^@telegram_.+:example\.org$`, "''", `F:10:18: namespaces.users: "" is not a regular expression that Hearth can use: an empty one fits everything`},
		"wrong type":       {"rate_limited: false", "rate_limited: sometimes", "F:7:1: cannot unmarshal !!str `sometimes` into bool; write the file as the bridge makes it"},
		"not YAML":         {"hs_token: hhhh", "hs_token: 'hhhh", "F:5:1: found unexpected end of stream"},
		"namespace a text": {"aliases: []", "aliases: x", "F:13:1: cannot unmarshal !!str `x` into []appservice.namespace; write the file as the bridge makes it"},
	} {
		file := write(t, strings.Replace(good, c.from, c.to, 1))
		_, err := appservice.Load([]string{file}, "example.org", nil)
		if want := strings.Replace(c.want, "F", file, 1); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", name, err, want)
		}
	}
	one := write(t, good)
	for what, other := range map[string]string{
		"id":               strings.NewReplacer("aaaa", "b", "telegrambot", "b").Replace(good),
		"as_token":         strings.NewReplacer("id: telegram", "id: b", "telegrambot", "b").Replace(good),
		"sender_localpart": strings.NewReplacer("id: telegram", "id: b", "aaaa", "b").Replace(good),
	} {
		_, err := appservice.Load([]string{one, write(t, other)}, "example.org", nil)
		if err == nil || !strings.Contains(err.Error(), one+" has the same "+what+";") {
			t.Errorf("the same %s: %v", what, err)
		}
	}
	if _, err := appservice.Load([]string{filepath.Join(t.TempDir(), "no.yaml")}, "example.org", nil); !os.IsNotExist(unwrapped(err)) {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, url := range []string{"null", `""`, "~"} {
		list, err := appservice.Load([]string{write(t, strings.Replace(good, "http://127.0.0.1:29317/", url, 1))}, "example.org", nil)
		if err != nil || list[0].URL != "" {
			t.Errorf("url: %s: %v", url, err)
		}
	}
}

func unwrapped(err error) error {
	for {
		next, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = next.Unwrap()
	}
}

// What is much too large is no registration, and is not read.
func TestRegistrationIsBounded(t *testing.T) {
	file := write(t, good+"# "+strings.Repeat("x", 1<<20))
	if _, err := appservice.Load([]string{file}, "example.org", nil); err == nil || !strings.Contains(err.Error(), "at most 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}
