package turn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v4"
)

func TestAnswersComeFromTheAddressAsked(t *testing.T) {
	s := serve(t, func(c *Config) {
		c.UDP, c.TCP, c.TLS = []string{":0"}, nil, nil
		c.External = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})
	port := s.Addrs().UDP[0].Port()
	// All of 127/8 is this machine. A connected socket hears nobody else.
	at := func(addr string) *user {
		u := dial(t, s, "udp")
		conn, err := net.Dial("udp", net.JoinHostPort(addr, fmt.Sprint(port)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		u.conn = conn
		return u.mustAllocate()
	}
	a, b := at("127.0.0.5"), at("127.0.0.6")
	if c := code(a.permit(b.relay)); c != 0 {
		t.Fatal(c)
	}
	if c := code(b.bind(0x4000, a.relay)); c != 0 {
		t.Fatal(c)
	}
	b.sendChannel(0x4000, "from six to five")
	if got, _, _ := a.receive(); got != "from six to five" {
		t.Errorf("received %q", got)
	}
	if hasIPv6() {
		if c := at("::1"); !c.relay.Addr().Is4() {
			t.Errorf("relay %s", c.relay)
		}
	}
}

func TestBehindNAT(t *testing.T) {
	public := netip.MustParseAddr("11.22.33.44") // not an address of this machine
	s := serve(t, func(c *Config) { c.External = []netip.Addr{public} })
	a, b := dial(t, s, "udp").mustAllocate(), dial(t, s, "tcp").mustAllocate()
	if a.relay.Addr() != public || b.relay.Addr() != public {
		t.Fatalf("relays %s and %s, want them at %s", a.relay, b.relay, public)
	}
	// Relay to relay needs no router that sends packets back inside.
	if c := code(a.bind(0x4000, b.relay)); c != 0 {
		t.Fatal(c)
	}
	if c := code(b.bind(0x4000, a.relay)); c != 0 {
		t.Fatal(c)
	}
	a.sendChannel(0x4000, "hello")
	if got, _, _ := b.receive(); got != "hello" {
		t.Errorf("received %q", got)
	}
	// Through the router one would come back to our own front door.
	if c := code(a.permit(netip.AddrPortFrom(public, 22))); c != 403 {
		t.Errorf("permission for the external address: %d, want 403", c)
	}
}

func TestRelayPortsRunOut(t *testing.T) {
	s := serve(t, func(c *Config) { c.RelayMin, c.RelayMax = 38000, 38003 })
	seen := map[uint16]bool{}
	var last *user
	for range 4 {
		last = dial(t, s, "udp").mustAllocate()
		if p := last.relay.Port(); p < 38000 || p > 38003 || seen[p] {
			t.Fatalf("relay port %d after %v", p, seen)
		}
		seen[last.relay.Port()] = true
	}
	if c := code(dial(t, s, "udp").allocate()); c != 508 {
		t.Errorf("fifth of four ports: %d, want 508", c)
	}
	if c := code(last.refresh(0)); c != 0 {
		t.Fatal(c)
	}
	if again := dial(t, s, "udp").mustAllocate(); again.relay.Port() != last.relay.Port() {
		t.Errorf("relay port %d, want the one given back, %d", again.relay.Port(), last.relay.Port())
	}
}

func TestPortPairs(t *testing.T) {
	s := serve(t, func(c *Config) { c.RelayMin, c.RelayMax = 37001, 37020 })
	for range 4 {
		u := dial(t, s, "udp")
		m := u.allocate(raw{stun.AttrEvenPort, []byte{0x80}})
		token, err := m.Get(stun.AttrReservationToken)
		if err != nil || u.relay.Port()%2 != 0 {
			t.Fatalf("even port: %s", m)
		}
		v := dial(t, s, "udp").mustAllocate(raw{stun.AttrReservationToken, token})
		if v.relay.Port() != u.relay.Port()+1 {
			t.Errorf("ports %d and %d", u.relay.Port(), v.relay.Port())
		}
	}
}

func TestWhereRelaysLive(t *testing.T) {
	lo4, lo6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	out4, out6 := netip.MustParseAddr("11.22.33.44"), netip.MustParseAddr("2a00::44")
	for name, tc := range map[string]struct {
		cfg  Config
		want relayAddrs
	}{
		"where it listens":        {Config{UDP: []string{"127.0.0.1:3478"}}, relayAddrs{v4: relayAddr{lo4, lo4}}},
		"both families":           {Config{UDP: []string{"127.0.0.1:3478"}, TCP: []string{"[::1]:3478"}}, relayAddrs{relayAddr{lo4, lo4}, relayAddr{lo6, lo6}}},
		"external is local":       {Config{UDP: []string{":3478"}, External: []netip.Addr{lo4}}, relayAddrs{v4: relayAddr{lo4, lo4}}},
		"external is the router":  {Config{UDP: []string{"127.0.0.1:3478"}, External: []netip.Addr{out4}}, relayAddrs{v4: relayAddr{out4, lo4}}},
		"external of both":        {Config{UDP: []string{"127.0.0.1:3478", "[::1]:3478"}, External: []netip.Addr{out6, out4}}, relayAddrs{relayAddr{out4, lo4}, relayAddr{out6, lo6}}},
		"first of each family":    {Config{UDP: []string{"127.0.0.1:3478"}, External: []netip.Addr{lo4, out4}}, relayAddrs{v4: relayAddr{lo4, lo4}}},
		"external, mapped by kin": {Config{UDP: []string{"127.0.0.1:3478"}, External: []netip.Addr{netip.AddrFrom16(out4.As16())}}, relayAddrs{v4: relayAddr{out4, lo4}}},
	} {
		got, err := findRelayAddrs(tc.cfg)
		if err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tc.want)
		}
	}
}

func TestStrangersCannotFillTheLog(t *testing.T) {
	var out bytes.Buffer
	q := newQuietLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))).NewLogger("turn")
	for range 1000 {
		q.Errorf("unknown attribute from %s", "somebody")
	}
	if n := strings.Count(out.String(), "\n"); n == 0 || n > 2*linesPerSecond {
		t.Errorf("%d lines", n)
	}
	if strings.Contains(out.String(), "level=ERROR") {
		t.Error("a stranger's packet is an error of ours")
	}
	out.Reset()
	q = newQuietLog(slog.New(slog.NewTextHandler(&out, nil))).NewLogger("turn")
	q.Errorf("unknown attribute from %s", "somebody")
	if out.Len() > 0 {
		t.Errorf("at info level: %s", out.String())
	}
}

func FuzzSendIndication(f *testing.F) {
	f.Add(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		xorPeer{netip.MustParseAddrPort("8.8.8.8:9")}, raw{stun.AttrData, []byte("hello")}).Raw)
	f.Add(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		raw{stun.AttrData, nil}, xorPeer{netip.MustParseAddrPort("[2a00::1]:9")}).Raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		to, off, n, ok := parseSend(b)
		if !ok {
			return
		}
		// What comes out of one relay as data goes into the next one's client.
		buf := make([]byte, headroom+len(b)+tailroom)
		copy(buf[headroom:], b)
		m := &stun.Message{Raw: wrapData(buf, headroom+off, n, to)}
		if err := m.Decode(); err != nil {
			t.Fatalf("%x: %v", m.Raw, err)
		}
		data, err := m.Get(stun.AttrData)
		if err != nil || !bytes.Equal(data, b[off:off+n]) {
			t.Errorf("data %x, %v; want %x", data, err, b[off:off+n])
		}
		v, err := m.Get(stun.AttrXORPeerAddress)
		if err != nil || xorAddress(v, m.Raw[4:stunHeader]) != to {
			t.Errorf("peer %x, %v; want %s", v, err, to)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x40\x00\x00\x05hello\x00\x00\x00"))
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, known, err := frameLength(b)
		if err != nil || !known {
			return
		}
		if n < channelHeader || n > stunHeader+1<<16 || n%4 != 0 {
			t.Errorf("length %d", n)
		}
		if isChannelData(b) {
			if _, l, ok := channelData(b); ok && channelHeader+l > len(b) {
				t.Errorf("payload of %d in %d bytes", l, len(b))
			}
		} else if got := stunHeader + int(binary.BigEndian.Uint16(b[2:])); got != n {
			t.Errorf("length %d, header says %d", n, got)
		}
	})
}

// Behind NAT, the operator who named no external address reads of it at once.
func TestPrivateRelaysAreSaid(t *testing.T) {
	home, public := netip.MustParseAddr("192.168.1.20"), netip.MustParseAddr("11.22.33.44")
	for _, tc := range []struct {
		what, listen string
		relay        netip.Addr
		external     []netip.Addr
		warns        bool
	}{
		{"behind NAT", ":0", home, nil, true},
		{"behind NAT, and known", ":0", public, []netip.Addr{public}, false},
		{"on the internet", ":0", public, nil, false},
		{"for this network only", "192.168.1.20:0", home, nil, false},
	} {
		var log bytes.Buffer
		s, err := New(Config{UDP: []string{tc.listen}, ServerName: "example.test", External: tc.external, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		s.relays.v4.public = tc.relay
		s.warnOfNAT()
		if warned := strings.Contains(log.String(), "network.external"); warned != tc.warns {
			t.Errorf("%s: %q", tc.what, &log)
		}
	}
}
