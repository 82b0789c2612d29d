package mxid

import (
	"errors"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
)

func TestServerNames(t *testing.T) {
	for _, tc := range []struct{ in, host, port string }{
		{"matrix.org", "matrix.org", ""},
		{"matrix.org:8888", "matrix.org", "8888"},
		{"1.2.3.4", "1.2.3.4", ""},
		{"1.2.3.4:1234", "1.2.3.4", "1234"},
		{"[1234:5678::abcd]", "[1234:5678::abcd]", ""},
		{"[1234:5678::abcd]:5678", "[1234:5678::abcd]", "5678"},
		{"[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", ""},
		{"localhost", "localhost", ""},
		{"UPPER.example", "UPPER.example", ""},
	} {
		s, err := ParseServerName(tc.in)
		if err != nil || s.Host() != tc.host || s.Port() != tc.port {
			t.Errorf("%s: host %q, port %q, %v", tc.in, s.Host(), s.Port(), err)
		}
	}
	for _, in := range []string{
		"", ":", ":80", "a:", "a:x", "a:123456", "a:-1", "a b", "a/b", "a_b", "é", "[::1", "::1", "[]", "[x]", "[fe80::1%eth0]",
		"[1.2.3.4]", "a:80:80", "a\x00", strings.Repeat("a", 256), "user@host",
	} {
		if s, err := ParseServerName(in); err == nil {
			t.Errorf("%q is the server name %q", in, s)
		} else if e := (*mxerr.Error)(nil); !errors.As(err, &e) || e.Code != mxerr.InvalidParam {
			t.Errorf("%q: %v is not M_INVALID_PARAM", in, err)
		}
	}
}

func TestUserIDs(t *testing.T) {
	for _, tc := range []struct{ in, local, server string }{
		{"@alice:example.org", "alice", "example.org"},
		{"@alice:example.org:8448", "alice", "example.org:8448"},
		{"@alice:[::1]:80", "alice", "[::1]:80"},
		{"@Historical User!:example.org", "Historical User!", "example.org"},
		{"@:example.org", "", "example.org"},
		{"@é日\n:example.org", "é日\n", "example.org"},
	} {
		u, err := ParseUserID(tc.in)
		if err != nil || u.Localpart() != tc.local || string(u.Server()) != tc.server {
			t.Errorf("%q: %q on %q, %v", tc.in, u.Localpart(), u.Server(), err)
		}
	}
	for _, in := range []string{"", "@", "alice:example.org", "!a:example.org", "@alice", "@alice:", "@a\x00b:example.org", "@\xff:example.org", "@a:b c", "@" + strings.Repeat("a", 254) + ":b", "@" + strings.Repeat("é", 130) + ":b"} {
		if u, err := ParseUserID(in); err == nil {
			t.Errorf("%q is the user id %q", in, u)
		}
	}
	if u := NewUserID("alice", "example.org"); u != "@alice:example.org" {
		t.Errorf("NewUserID: %s", u)
	}
	longest := "@" + strings.Repeat("a", 252) + ":b"
	if _, err := ParseUserID(longest); err != nil {
		t.Errorf("255 bytes: %v", err)
	}
	if got := ServerName("b").MaxLocalpart(); got != 252 {
		t.Errorf("MaxLocalpart = %d", got)
	}
}

func TestLocalpartsOfNewUsers(t *testing.T) {
	for _, s := range []string{"alice", "a", "0", "._=-/+", "alice+tag"} {
		if err := ValidLocalpart(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "Alice", "a b", "é", "a:b", "a@b", "a!", strings.Repeat("a", 253), "\x00"} {
		err := ValidLocalpart(s)
		if e := (*mxerr.Error)(nil); !errors.As(err, &e) || e.Code != mxerr.InvalidUsername {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestRoomIDs(t *testing.T) {
	hash := "!" + strings.Repeat("aZ0-_", 8) + "abc"
	for in, server := range map[string]ServerName{
		"!abc:example.org":   "example.org",
		"!:example.org":      "example.org",
		"!a b\n:example.org": "example.org",
		hash:                 "",
	} {
		if r, err := ParseRoomID(in); err != nil || r.Server() != server {
			t.Errorf("%q: server %q, %v", in, r.Server(), err)
		}
	}
	for _, in := range []string{"", "!", "!abc", hash + "x", hash[:43], strings.ReplaceAll(hash, "_", "+"), "#a:b", "!a:", "!a\x00:b"} {
		if r, err := ParseRoomID(in); err == nil {
			t.Errorf("%q is the room id %q", in, r)
		}
	}
}

func TestAliases(t *testing.T) {
	a, err := ParseRoomAlias("#a room é:example.org")
	if err != nil || a.Localpart() != "a room é" || a.Server() != "example.org" {
		t.Errorf("%q on %q, %v", a.Localpart(), a.Server(), err)
	}
	for _, in := range []string{"", "#", "#a", "#a:", "a:b", "#a\x00:b", "#" + strings.Repeat("a", 255) + ":b"} {
		if a, err := ParseRoomAlias(in); err == nil {
			t.Errorf("%q is the alias %q", in, a)
		}
	}
}

func TestEventIDs(t *testing.T) {
	for in, server := range map[string]ServerName{
		"$143:example.org": "example.org",
		"$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk": "",
		"$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg": "",
		"$0:domain": "domain",
	} {
		if e, err := ParseEventID(in); err != nil || e.Server() != server {
			t.Errorf("%q: server %q, %v", in, e.Server(), err)
		}
	}
	for _, in := range []string{"", "$", "abc", "$a b", "$a\n", "$\xff", "$" + strings.Repeat("a", 255)} {
		if e, err := ParseEventID(in); err == nil {
			t.Errorf("%q is the event id %q", in, e)
		}
	}
}

func TestErrorsNameTheCulprit(t *testing.T) {
	_, err := ParseUserID("bob")
	if want := `"bob" is not a valid user id`; !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
	_, err = ParseUserID(strings.Repeat("é", 10000))
	if len(err.Error()) > 300 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

func TestRandomString(t *testing.T) {
	seen := map[string]bool{}
	for n := range 200 {
		s := RandomString(n)
		if len(s) != n || strings.Trim(s, letters) != "" {
			t.Fatalf("RandomString(%d) = %q", n, s)
		}
		if n > 10 && seen[s[:10]] {
			t.Fatalf("%q came twice", s[:10])
		}
		if n > 10 {
			seen[s[:10]] = true
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"@a:b", "!a:b:1", "$x", "#é:[::1]:1", "a:1", "[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := ParseUserID(s); err == nil {
			if got := NewUserID(u.Localpart(), u.Server()); got != u {
				t.Fatalf("%q came back as %q", u, got)
			}
			if _, err := ParseServerName(string(u.Server())); err != nil {
				t.Fatalf("%q has a bad server: %v", u, err)
			}
		}
		if n, err := ParseServerName(s); err == nil {
			back := n.Host()
			if n.Port() != "" {
				back += ":" + n.Port()
			}
			if back != s {
				t.Fatalf("%q came back as %q", s, back)
			}
		}
		_, _ = ParseRoomID(s)
		_, _ = ParseRoomAlias(s)
		_, _ = ParseEventID(s)
	})
}
