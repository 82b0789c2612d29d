package server

import (
	"net/netip"
	"testing"

	"hearth/base/config"
)

func TestTurnHosts(t *testing.T) {
	for _, tc := range []struct {
		name       string
		udp, tls   string
		external   string
		plain, sec string
	}{
		{"on every address, found under its name", ":3478", ":5349", "", "example.test", "example.test"},
		{"behind NAT", "0.0.0.0:3478", "[::]:5349", "203.0.113.7", "203.0.113.7", "example.test"},
		{"on one address, with a certificate for it", "127.0.0.1:3478", "127.0.0.1:5349", "", "127.0.0.1", "127.0.0.1"},
		{"behind NAT, on its private address", "192.168.1.20:3478", "", "203.0.113.7", "203.0.113.7", "example.test"},
	} {
		c := config.Default()
		c.ServerName, c.TURN.UDP, c.TURN.TLS = "example.test:8448", tc.udp, tc.tls
		if tc.external != "" {
			c.Network.External = []netip.Addr{netip.MustParseAddr(tc.external)}
		}
		if plain, sec := turnHosts(c); plain != tc.plain || sec != tc.sec {
			t.Errorf("%s: %s and %s, want %s and %s", tc.name, plain, sec, tc.plain, tc.sec)
		}
	}
}
