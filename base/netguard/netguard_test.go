package netguard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestOnlyThePublicInternetIsOrdinary(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0": "this network", "0.1.2.3": "this network",
		"10.0.0.0": "private", "10.255.255.255": "private",
		"100.64.0.1": "carrier-grade NAT", "100.127.255.255": "carrier-grade NAT",
		"127.0.0.1": "loopback", "127.8.9.1": "loopback",
		"169.254.169.254": "link-local",
		"172.16.0.1":      "private", "172.31.255.255": "private",
		"192.0.0.8": "protocol assignments", "192.0.2.1": "documentation",
		"192.88.99.1": "6to4 relay", "192.168.1.1": "private",
		"198.18.0.1": "benchmarking", "198.19.255.255": "benchmarking",
		"198.51.100.7": "documentation", "203.0.113.7": "documentation",
		"224.0.0.1": "multicast", "239.255.255.255": "multicast",
		"240.0.0.1": "reserved", "255.255.255.255": "broadcast",
		"::": "unspecified", "::1": "loopback", "::127.0.0.1": "IPv4-compatible",
		"::ffff:127.0.0.1": "loopback", "::ffff:0.0.0.0": "this network",
		"::ffff:10.1.2.3": "private", "::ffff:169.254.169.254": "link-local",
		"::ffff:0:7f00:1":   "IPv4-translated",
		"64:ff9b::7f00:1":   "NAT64",
		"64:ff9b:1::1":      "local NAT64",
		"64:ff9b:2::1":      "outside global unicast",
		"100::1":            "discard only",
		"2001::1":           "Teredo",
		"2001:2::1":         "benchmarking",
		"2001:10::1":        "protocol assignments",
		"2001:db8::1":       "documentation",
		"2002:7f00:1::":     "6to4",
		"3fff::1":           "documentation",
		"5f00::1":           "segment routing",
		"4000::1":           "outside global unicast",
		"fc00::1":           "unique local",
		"fd00:ec2::254":     "unique local",
		"fe80::1":           "link-local",
		"fe80::1%eth0":      "link-local",
		"fec0::1":           "site-local",
		"ff02::1":           "multicast",
		"8.8.8.8":           "",
		"1.1.1.1":           "",
		"100.63.255.255":    "",
		"100.128.0.1":       "",
		"172.15.255.255":    "",
		"172.32.0.1":        "",
		"192.0.1.1":         "",
		"223.255.255.255":   "",
		"::ffff:8.8.8.8":    "",
		"2001:200::1":       "",
		"2001:4860::8888":   "",
		"2a01:4f8::1":       "",
		"2620:4f:8001::1":   "",
		"2003:ffff::1":      "",
		"2606:4700::1111":   "",
		"192.31.195.1":      "",
		"2400:cb00:2048::1": "",
	} {
		reason, special := Special(netip.MustParseAddr(addr))
		if reason != want || special != (want != "") {
			t.Errorf("Special(%s) = %q, %v; want %q", addr, reason, special, want)
		}
	}
	if _, special := Special(netip.Addr{}); !special {
		t.Error("the zero address is ordinary")
	}
}

func TestRangesAreReadAsCoturnWritesThem(t *testing.T) {
	for _, tc := range []struct {
		text, in, out string
	}{
		{"10.0.0.1", "10.0.0.1", "10.0.0.2"},
		{"10.0.0.0-10.255.255.255", "10.200.0.1", "11.0.0.0"},
		{" 10.0.0.5 - 10.0.0.9 ", "10.0.0.9", "10.0.0.4"},
		{"10.0.0.0/8", "10.255.255.255", "9.255.255.255"},
		{"10.1.2.3/8", "10.0.0.0", "11.0.0.0"},
		{"0.0.0.0/0", "255.255.255.255", "::1"},
		{"::1", "::1", "::2"},
		{"64:ff9b::-64:ff9b::ffff:ffff", "64:ff9b::7f00:1", "64:ff9b:0:1::"},
		{"::ffff:0.0.0.0-::ffff:255.255.255.255", "127.0.0.1", "::1"},
		{"10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"},
		{"::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"},
		{"::/80", "::1", "1.2.3.4"},
		{"fe80::/10", "fe80::1%lo", "fec0::"},
		{"2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:1ff::", "2001:200::"},
	} {
		r, err := ParseRange(tc.text)
		if err != nil {
			t.Errorf("%q: %v", tc.text, err)
			continue
		}
		if !r.Contains(netip.MustParseAddr(tc.in)) {
			t.Errorf("%q = %s does not contain %s", tc.text, r, tc.in)
		}
		if r.Contains(netip.MustParseAddr(tc.out)) {
			t.Errorf("%q = %s contains %s", tc.text, r, tc.out)
		}
	}
	for _, bad := range []string{"", "-", "10.0.0.1-", "-10.0.0.1", "10.0.0.2-10.0.0.1", "10.0.0.1-::1", "10.0.0.0/33", "host", "10.0.0.0/8-10.0.0.9", "fe80::1%lo", "10.0.0"} {
		if r, err := ParseRange(bad); err == nil {
			t.Errorf("%q was read as %s", bad, r)
		}
	}
	if _, err := ParseRanges([]string{"10.0.0.1", "nonsense"}); err == nil {
		t.Error("a list with a broken range was read")
	}
}

func TestDialerRefusesWhatTheNameTurnsOutToBe(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()

	// localhost is a name: the check must see the address it became.
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	guarded := net.Dialer{Control: Control(nil)}
	_, err = guarded.DialContext(context.Background(), "tcp", net.JoinHostPort("localhost", port))
	if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Reason != "loopback" {
		t.Errorf("dialing localhost: %v, want a refusal", err)
	}

	loopback, err := ParseRanges([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	allowing := net.Dialer{Control: Control(loopback)}
	c, err := allowing.DialContext(context.Background(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatalf("dialing an allowed address: %v", err)
	}
	_ = c.Close()

	if err := Control(nil)("tcp", "no address", nil); err == nil {
		t.Error("something that is no address was let through")
	}
	if err := Control(nil)("tcp", "8.8.8.8:443", nil); err != nil {
		t.Errorf("a public address was refused: %v", err)
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"10.0.0.0-10.255.255.255", "::/0", "1.2.3.4", "::ffff:1.2.3.4/97"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			return
		}
		if !r.Contains(r.From) || !r.Contains(r.To) {
			t.Errorf("%q = %s does not contain its own ends", s, r)
		}
		again, err := ParseRange(r.String())
		if err != nil || again != r {
			t.Errorf("%s read back as %s, %v", r, again, err)
		}
	})
}
