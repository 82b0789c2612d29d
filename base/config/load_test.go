package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// folder writes files (by their path in it) and returns its path.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The file that the project promises will start a server.
const small = `server_name = "example.test"
[listen]
http = "127.0.0.1:8008"
[storage]
dir = "data"
[registration]
mode = "open"
shared_secret = "s3cret"
[turn]
udp = "127.0.0.1:3478"
secret = "turns3cret"
[limits]
enabled = false
`

func TestSmallFile(t *testing.T) {
	dir := folder(t, map[string]string{"hearth.toml": small})
	c, err := Load(filepath.Join(dir, "hearth.toml"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.ServerName = "example.test"
	want.Storage.Dir = filepath.Join(dir, "data")
	want.Registration.Mode = "open"
	want.Registration.SharedSecret = "s3cret"
	want.TURN.UDP = "127.0.0.1:3478"
	want.TURN.Secret = "turns3cret"
	want.TURN.Realm = "example.test"
	want.Limits.Enabled = false
	if g, w := c.TOML(false), want.TOML(false); g != w {
		t.Errorf("got %s\nwant %s", g, w)
	}
	if c.TURN.Secret != "turns3cret" || c.Registration.SharedSecret != "s3cret" {
		t.Error("secrets lost")
	}
	if !c.CallsOn() {
		t.Error("calls are off although turn.udp is set")
	}
}

func TestEveryValue(t *testing.T) {
	dir := folder(t, map[string]string{"h.toml": `
server_name = "matrix.example.com:8448"
listen = { http = ":8008", https = "", trusted_proxies = ["127.0.0.1", "::1", "10.0.0.0/8"] }
network.external = ["203.0.113.7", "2001:db8::7"]
[storage]
database = "postgres://hearth:pa%20ss@localhost:5432/hearth"
[turn]
udp = 3478
tcp = "3478"
relay_ports = "50000-50099"
realm = "turn.example.com"
user_quota = 3
total_quota = 1_200
lifetime = "2d"
allow_guests = false
denied_peers = ["192.0.2.1", "10.0.0.0-10.255.255.255", "2001:db8::/32"]
allowed_peers = ["10.0.0.1"]
[presence]
enabled = false
[media]
max_upload = "50M"
[log]
level = "debug"
format = "json"
`})
	c, err := Load(filepath.Join(dir, "h.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Listen.TrustedProxies, []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.0.0.0/8"),
	}) {
		t.Error(c.Listen.TrustedProxies)
	}
	if c.TURN.UDP != ":3478" || c.TURN.TCP != ":3478" || c.TURN.Lifetime != 48*time.Hour || c.TURN.TotalQuota != 1200 {
		t.Error(c.TURN)
	}
	if c.TURN.RelayPorts != (PortRange{50000, 50099}) || c.TURN.RelayPorts.Len() != 100 {
		t.Error(c.TURN.RelayPorts)
	}
	if c.Media.MaxUpload != 50<<20 {
		t.Error(c.Media.MaxUpload)
	}
	for addr, want := range map[string]bool{
		"10.0.0.0": true, "10.255.255.255": true, "11.0.0.0": false, "192.0.2.1": true, "192.0.2.2": false,
		"2001:db8:ffff::1": true, "2001:db9::": false,
	} {
		in := func(r AddrRange) bool { return r.Contains(netip.MustParseAddr(addr)) }
		if slices.ContainsFunc(c.TURN.DeniedPeers, in) != want {
			t.Errorf("%s denied = %v", addr, !want)
		}
	}
	shown := c.TOML(true)
	for _, line := range []string{
		`external = ["203.0.113.7", "2001:db8::7"]  # ` + filepath.Join(dir, "h.toml") + `:4:1`,
		`trusted_proxies = ["127.0.0.1", "::1", "10.0.0.0/8"]`,
		`denied_peers = ["192.0.2.1", "10.0.0.0-10.255.255.255", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"]`,
		`max_upload = "50MiB"`, `lifetime = "48h"`, `secret = ""  # default`,
	} {
		if !strings.Contains(shown, line) {
			t.Errorf("config show lacks %s in\n%s", line, shown)
		}
	}
	if strings.Contains(shown, "pa%20ss") {
		t.Error("config show tells the database password")
	}
}

func TestConfD(t *testing.T) {
	dir := folder(t, map[string]string{
		"hearth.toml":           "server_name = \"a.test\"\n[turn]\nudp = \":3478\"\ndenied_peers = [\"192.0.2.1\", \"192.0.2.2\"]\n",
		"conf.d/10-turn.toml":   "[turn]\nrealm = \"ten\"\ndenied_peers = [\"192.0.2.3\"]\n",
		"conf.d/20-turn.toml":   "[turn]\nrealm = \"twenty\"\n[storage]\ndir = \"x\"\n",
		"conf.d/ignored.toml~":  "nonsense",
		"conf.d/deep/also.toml": "nonsense",
	})
	main := filepath.Join(dir, "hearth.toml")
	c, err := Load(main)
	if err != nil {
		t.Fatal(err)
	}
	if c.TURN.UDP != ":3478" || c.TURN.Realm != "twenty" || len(c.TURN.DeniedPeers) != 1 {
		t.Errorf("merged to %+v", c.TURN)
	}
	if want := filepath.Join(dir, "x"); c.Storage.Dir != want {
		t.Errorf("storage.dir = %s, want %s: relative to the main file", c.Storage.Dir, want)
	}
	origin := map[string]string{}
	for _, s := range c.Settings() {
		origin[s.Key] = s.Origin
	}
	for key, want := range map[string]string{
		"server_name":       main + ":1:1",
		"turn.udp":          main + ":3:1",
		"turn.realm":        filepath.Join(dir, "conf.d/20-turn.toml") + ":2:1",
		"turn.denied_peers": filepath.Join(dir, "conf.d/10-turn.toml") + ":3:1",
		"turn.tcp":          "default",
	} {
		if origin[key] != want {
			t.Errorf("origin of %s = %s, want %s", key, origin[key], want)
		}
	}
}

// Windows' editors put a byte order mark in front, which nobody sees.
func TestByteOrderMark(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hearth.toml")
	if err := os.WriteFile(file, []byte("\ufeffserver_name = \"a.test\"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil || c.ServerName != "a.test" {
		t.Errorf("%+v %v", c, err)
	}
}

// What stands in conf.d is never left out in silence.
func TestConfDThatCannotBeRead(t *testing.T) {
	dir := folder(t, map[string]string{"hearth.toml": "server_name = \"a.test\"\n", "conf.d": "no folder"})
	_, err := Load(filepath.Join(dir, "hearth.toml"))
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "conf.d")+": cannot be read: not a directory") {
		t.Errorf("%v", err)
	}
}
