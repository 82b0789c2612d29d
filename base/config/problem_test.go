package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every slip stops the start with one line that names the place and the cure.
// F stands for the file's path.
func TestProblems(t *testing.T) {
	const name = "server_name = \"a.test\"\n"
	for _, tc := range []struct{ what, text, want string }{
		{"empty file", "", `F:1:1: server_name is missing; write server_name = "example.com" above the first [section]`},

		{"misspelt key", name + "[listen]\nhtpp = \":80\"", `F:3:1: unknown key "htpp" in [listen]; did you mean "http"?`},
		{"misspelt name", "servername = \"a.test\"", `F:1:1: unknown key "servername" at the top level; did you mean "server_name"?`},
		{"key in the wrong section", name + "[storage]\n  shared_secret = \"x\"", `F:3:3: unknown key "shared_secret" in [storage]; did you mean "shared_secret" in [registration]?`},
		{"key without its section", name + "max_upload = \"1MB\"", `F:2:1: unknown key "max_upload" at the top level; did you mean "max_upload" in [media]?`},
		{"name below a section", "[log]\nserver_name = \"a.test\"", `F:2:1: unknown key "server_name" in [log]; write it above the first [section]`},
		{"foreign key", name + "[presence]\ncolour = 1", `F:3:1: unknown key "colour" in [presence]; the keys here are enabled`},
		{"misspelt section", name + "[regstration]\nmode = \"open\"", `F:2:2: unknown section [regstration]; did you mean [registration]?`},
		{"foreign section", name + "[workers]\nx = 1", `F:2:2: unknown section [workers]; the sections are listen, tls, network, storage, registration, terms, captcha, mail, sms, login, rooms, turn, presence, limits, media, s3, federation, push, appservices, support, log`},
		{"section as a list", name + "[[turn]]\nudp = 1", `F:2:3: [[turn]] is a list of sections; write [turn]`},
		{"section as a key", name + "turn = \"x\"", `F:2:1: turn is a section; write it on a line of its own as [turn]`},
		{"key as a section", "[server_name]\nx = 1", `F:1:2: server_name is a setting and not a section; write server_name = ""`},
		{"unknown key in an inline table", name + "log = { levl = \"info\" }", `F:2:9: unknown key "levl" in [log]; did you mean "level"?`},

		{"duplicate key", name + "server_name = \"b.test\"", `F:2:1: server_name is written twice; keep one of the two`},
		{"duplicate section", name + "[log]\nlevel = \"info\"\n[turn]\n[log]", `F:5:2: log is written twice; keep one of the two`},
		{"YAML", "server_name: a.test", `F:1:12: expected '=' after key; TOML has = where YAML has a colon: write server_name = ...`},
		{"no quotes", "server_name = a.test", `F:1:15: unexpected character U+0061 'a' at start of value; write server_name = "a.test"`},
		{"open quote", "server_name = \"a.test\n", `F:1:22: basic strings cannot have new lines; write key = value, with text in "quotes"`},

		{"number for a name", "server_name = 3", `F:1:15: server_name is a whole number; write a string, for example "example.com"`},
		{"URL for a name", "server_name = \"https://a.test/\"", `F:1:15: server_name: "https://a.test/" is a URL; write only the name, for example "a.test"`},
		{"user for a name", "server_name = \"@me:a.test\"", `F:1:15: server_name: "@me:a.test" is a user id; write only the part behind the colon`},
		{"capitals in a name", "server_name = \"A.test\"", `F:1:15: server_name: "A.test" has capital letters; write "a.test"`},
		{"underscore in a name", "server_name = \"a_b.test\"", `F:1:15: server_name: "a_b.test" is not a host name; use only a-z, 0-9, "-" and ".", for example "example.com"`},
		{"bad port in a name", "server_name = \"a.test:0\"", `F:1:15: server_name: "a.test:0" has the port "0"; write a number from 1 to 65535 behind the colon, or no colon`},

		{"not IPv6", "server_name = \"[2001:db8::x]\"", `F:1:15: server_name: "[2001:db8::x]" is no IPv6 address in brackets; write for example "[2001:db8::7]"`},
		{"very long name", "server_name = \"" + strings.Repeat("a.", 120) + "test\"", `F:1:15: server_name: "` + strings.Repeat("a.", 120) + `test" leaves no room for user names; write a name of at most 230 characters`},

		{"list for an address", name + "[listen]\nhttp = [\":80\"]", `F:3:8: listen.http is a list; write a string, for example ":8008" or "127.0.0.1:8008"`},
		{"no port", name + "[listen]\nhttp = \"127.0.0.1\"", `F:3:8: listen.http: "127.0.0.1" has no port; write for example "127.0.0.1:8008"`},
		{"port too high", name + "[listen]\nhttp = \":80080\"", `F:3:8: listen.http: ":80080" has the port "80080"; write a number from 1 to 65535`},
		{"bare port too high", name + "[turn]\nudp = 99999", `F:3:7: turn.udp: 99999 is not a port; write a number from 1 to 65535`},
		{"star", name + "[listen]\nhttp = \"*:80\"", `F:3:8: listen.http: "*:80" has a star; write ":80" for every address of this machine`},
		{"host name", name + "[listen]\nhttp = \"a.test:80\"", `F:3:8: listen.http: "a.test:80" listens on the name "a.test"; write an address of this machine, or ":80" for all of them`},
		{"bad proxy, by its own column", name + "[listen]\ntrusted_proxies = [\"127.0.0.1\",\n  \"nginx\"]", `F:4:3: listen.trusted_proxies: "nginx" is not an address or network; write for example ["127.0.0.1", "10.0.0.0/8"]`},
		{"list in a list", name + "[listen]\ntrusted_proxies = [[\"::1\"]]", `F:3:19: listen.trusted_proxies has an entry that is a list; write a list of strings, for example ["127.0.0.1", "10.0.0.0/8"]`},
		{"sloppy network", name + "[listen]\ntrusted_proxies = [\"10.1.0.0/8\"]", `F:3:20: listen.trusted_proxies: "10.1.0.0/8" has bits behind the slash's 8; write "10.0.0.0/8"`},
		{"proxy without a list", name + "[listen]\ntrusted_proxies = \"::1\"", `F:3:19: listen.trusted_proxies is a string; write a list, for example ["127.0.0.1", "10.0.0.0/8"]`},
		{"external", name + "[network]\nexternal = \"me\"", `F:3:12: network.external: "me" is not an address; write "auto" or for example ["203.0.113.7", "2001:db8::7"]`},

		{"mode", name + "[registration]\nmode = \"opne\"", `F:3:8: registration.mode: "opne" is not a choice; did you mean "open"?`},
		{"mode from elsewhere", name + "[registration]\nmode = \"invite\"", `F:3:8: registration.mode: "invite" is not a choice; write "closed", "token" or "open"`},
		{"switch as text", name + "[limits]\nenabled = \"no\"", `F:3:11: limits.enabled is a string; write true or false, without quotes`},
		{"size", name + "[media]\nmax_upload = \"lots\"", `F:3:14: media.max_upload: "lots" is not a size; write for example "100MB"`},
		{"negative size", name + "[media]\nmax_upload = \"-1MB\"", `F:3:14: media.max_upload: "-1MB" is not a size; write for example "100MB"`},
		{"duration", name + "[turn]\nlifetime = \"soon\"", `F:3:12: turn.lifetime: "soon" is not a duration; write a number and a unit, for example "30s", "15m", "24h" or "7d"`},
		{"milliseconds", name + "[turn]\nlifetime = 86400000", `F:3:12: turn.lifetime is a whole number; write a string, for example "24h"`},
		{"ports", name + "[turn]\nrelay_ports = \"49160\"", `F:3:15: turn.relay_ports: "49160" is not a port range; write for example "49160-49359"`},
		{"ports backwards", name + "[turn]\nrelay_ports = \"20-10\"", `F:3:15: turn.relay_ports: "20-10" runs backwards; write "10-20"`},
		{"quota", name + "[turn]\nuser_quota = -1", `F:3:14: turn.user_quota: -1 is out of range; write a number from 0 to 2147483647`},
		{"peer", name + "[turn]\ndenied_peers = [\"lan\"]", `F:3:17: turn.denied_peers: "lan" is not an address or range; write "192.0.2.1", "10.0.0.0-10.255.255.255" or "10.0.0.0/8"`},
		{"peers of two families", name + "[turn]\ndenied_peers = [\"10.0.0.1-::1\"]", `F:3:17: turn.denied_peers: "10.0.0.1-::1" mixes IPv4 and IPv6; write two entries`},
		{"database", name + "[storage]\ndatabase = \"mysql://x/y\"", `F:3:12: storage.database is not a PostgreSQL URL; write "postgres://user:password@localhost:5432/hearth", or "" for the embedded database`},
		{"database without a name", name + "[storage]\ndatabase = \"postgres://h\"", `F:3:12: storage.database names no database; write its name at the end, as in "postgres://user:password@localhost:5432/hearth"`},
		{"tilde", name + "[storage]\ndir = \"~/hearth\"", `F:3:7: storage.dir: "~/hearth" starts with ~, which only a shell understands; write the whole path`},

		{"nowhere to listen", name + "[listen]\nhttp = \"\"", `F:3:1: there is nothing to listen on; write http = "127.0.0.1:8008" in [listen]`},
		{"https without TLS", name + "[listen]\nhttps = \":443\"", `F:3:1: listen.https needs a certificate; write mode = "files", cert and key in [tls]`},
		{"TLS without files", name + "[tls]\nmode = \"files\"", `F:3:1: tls.mode is "files", which needs two files; write cert = "fullchain.pem" and key = "privkey.pem" in [tls]`},
		{"TLS with a missing file", name + "[tls]\nmode = \"files\"\ncert = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"", `F:4:1: /nowhere/c.pem does not exist; write where your certificate files are`},
		{"mail without a sender", name + "[mail]\nsmtp = \"mail.a.test:587\"", `F:1:1: mail.from is no sender; write from = "Hearth <hearth@example.com>" in [mail]`},
		{"mail without a port", name + "[mail]\nsmtp = \"mail.a.test\"\nfrom = \"h@a.test\"", `F:3:1: mail.smtp names no server; write smtp = "mail.example.com:587"`},
		{"addresses without mail", name + "[registration]\nemail = \"required\"", `F:3:1: registration.email is "required", but this server sends no mail; write smtp and from in [mail], or email = "off"`},
		{"half a captcha", name + "[captcha]\npublic_key = \"1\"", `F:3:1: a captcha has two keys; write public_key and private_key in [captcha]`},
		{"the other half", name + "[captcha]\nprivate_key = \"1\"", `F:3:1: a captcha has two keys; write public_key and private_key in [captcha]`},
		{"S3 without a bucket", name + "[s3]\nendpoint = \"s3.a.test\"", `F:1:1: s3.bucket "" is no bucket; write its name, of 3 to 63 characters`},
		{"terms without a page", name + "[terms]\nversion = \"1\"", `F:3:1: there are terms, but nowhere to read them; write url = "https://example.com/terms" in [terms]`},
		{"terms with an odd version", name + "[terms]\nversion = \"May 1\"\nurl = \"https://a.test\"", `F:3:1: terms.version may have only letters, digits and . _ - ; write for example version = "2026-01"`},
		{"page", name + "[terms]\nurl = \"a.test/terms\"", `F:3:7: terms.url: "a.test/terms" is no address of a web page; write one such as "https://example.com/page"`},
		{"two on one port", name + "[listen]\nhttp = \":3478\"\n[turn]\ntcp = \"127.0.0.1:3478\"", `F:5:1: turn.tcp wants 127.0.0.1:3478, which listen.http has already; write another port`},
	} {
		t.Run(tc.what, func(t *testing.T) {
			path := filepath.Join(folder(t, map[string]string{"h.toml": tc.text}), "h.toml")
			_, err := Load(path)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := strings.ReplaceAll(err.Error(), path, "F"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestAllProblemsAreKept(t *testing.T) {
	dir := folder(t, map[string]string{
		"h.toml":        "server_name = \"a.test\"\n[log]\nlevel = \"loud\"\n[media]\nmaxupload = 1\n",
		"conf.d/x.toml": "[turn]\nudp = true\n",
	})
	_, err := Load(filepath.Join(dir, "h.toml"))
	ps, ok := errors.AsType[Problems](err)
	if !ok || len(ps) != 3 {
		t.Fatalf("got %v", err)
	}
	if ps[0].At.Line != 3 || ps[1].At.Line != 5 || ps[2].At != (Origin{filepath.Join(dir, "conf.d/x.toml"), 2, 7}) {
		t.Errorf("got %v", ps)
	}
}

func TestUnreadable(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.toml")
	if _, err := Load(missing); err == nil || err.Error() != missing+`: does not exist; write one with "hearth config example"` {
		t.Error(err)
	}
	dir := t.TempDir()
	if _, err := Load(dir); err == nil || err.Error() != dir+": cannot be read: is a directory; name a TOML file" {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		t.Log("root reads everything: permission denied is not tried")
		return
	}
	locked := filepath.Join(folder(t, map[string]string{"h.toml": ""}), "h.toml")
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(locked); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Error(err)
	}
}

// Whatever a file holds, there is one line about it or a configuration.
func FuzzLoad(f *testing.F) {
	f.Add(small)
	f.Add(Example())
	f.Add("server_name = \"a.test\"\nlisten = {http = \":80\", \"x y\".z = [[1]]}\n[[turn]]\nudp = 1979-05-27\n")
	f.Add("a.'b\".c\".d = [ # x\n 1,\n]\n\"\" = 1.5\n[listen]\n")
	path := filepath.Join(f.TempDir(), "h.toml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		if err != nil {
			if ps, ok := errors.AsType[Problems](err); !ok || len(ps) == 0 || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line: %q", err)
			}
			return
		}
		again := filepath.Join(filepath.Dir(path), "again.toml")
		if err := os.WriteFile(again, []byte(c.TOML(false)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(again); err != nil {
			t.Errorf("what config show prints cannot be read: %v\n%s", err, c.TOML(false))
		}
	})
}

// What is much too large is no configuration.
func TestFileIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hearth.toml")
	for size, fits := range map[int]bool{maxFile: true, maxFile + 1: false} {
		text := "server_name = \"example.org\"\n#"
		if err := os.WriteFile(file, []byte(text+strings.Repeat("x", size-len(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); (err == nil) != fits || !fits && !strings.Contains(err.Error(), "larger than") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
