package turn

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	pion "github.com/pion/turn/v5"
)

func TestUserTalksToAPeer(t *testing.T) {
	s := serve(t, func(c *Config) { c.AllowedPeers = ranges(t, "127.0.0.1") })
	for _, kind := range []string{"udp", "tcp", "tls"} {
		t.Run(kind, func(t *testing.T) {
			peer, _ := echo(t, "udp4", "127.0.0.1:0")
			u := dial(t, s, kind).mustAllocate()
			if c := code(u.permit(peer)); c != 0 {
				t.Fatalf("permission: %d", c)
			}
			for _, text := range []string{"a", "ab", "abc", "abcd", strings.Repeat("x", 1400)} {
				u.sendIndication(peer, text)
				if got, _, from := u.receive(); got != text || from != peer {
					t.Fatalf("sent %q, received %q from %s", text, got, from)
				}
			}
			if c := code(u.bind(0x4001, peer)); c != 0 {
				t.Fatalf("channel: %d", c)
			}
			for _, text := range []string{"a", "ab", "abc", "abcd", strings.Repeat("x", 9000)} {
				u.sendChannel(0x4001, text)
				if got, number, _ := u.receive(); got != text || number != 0x4001 {
					t.Fatalf("sent %d bytes, received %d on channel %x", len(text), len(got), number)
				}
			}
		})
	}
}

func TestTwoUsersTalkRelayToRelay(t *testing.T) {
	// No peer is allowed, and loopback is refused: only live relays are open.
	s := serve(t, nil)
	for _, alice := range []string{"udp", "tcp", "tls"} {
		for _, bob := range []string{"udp", "tcp"} {
			t.Run(alice+" to "+bob, func(t *testing.T) {
				a, b := dial(t, s, alice).mustAllocate(), dial(t, s, bob).mustAllocate()
				if c := code(a.permit(b.relay)); c != 0 {
					t.Fatalf("alice's permission: %d", c)
				}
				if c := code(b.permit(a.relay)); c != 0 {
					t.Fatalf("bob's permission: %d", c)
				}
				a.sendIndication(b.relay, "hello")
				if got, _, from := b.receive(); got != "hello" || from != a.relay {
					t.Fatalf("bob received %q from %s", got, from)
				}
				if c := code(b.bind(0x4000, a.relay)); c != 0 {
					t.Fatalf("bob's channel: %d", c)
				}
				b.sendChannel(0x4000, "hello yourself")
				if got, _, from := a.receive(); got != "hello yourself" || from != b.relay {
					t.Fatalf("alice received %q from %s", got, from)
				}
				if c := code(a.bind(0x4FFF, b.relay)); c != 0 {
					t.Fatalf("alice's channel: %d", c)
				}
				a.sendChannel(0x4FFF, "still there?")
				if got, number, _ := b.receive(); got != "still there?" || number != 0x4000 {
					t.Fatalf("bob received %q on %x", got, number)
				}
			})
		}
	}
}

func TestBurstsArriveWholeAndInOrder(t *testing.T) {
	s := serve(t, nil)
	for _, kind := range []string{"udp", "tls"} {
		t.Run(kind, func(t *testing.T) {
			a, b := dial(t, s, kind).mustAllocate(), dial(t, s, kind).mustAllocate()
			if c := code(a.bind(0x4000, b.relay)); c != 0 {
				t.Fatal(c)
			}
			if c := code(b.bind(0x4000, a.relay)); c != 0 {
				t.Fatal(c)
			}
			const packets = 200 // several batches, but no more than a socket holds by default
			for i := range packets {
				a.sendChannel(0x4000, strings.Repeat(string(rune('a'+i%26)), 1+i%7))
			}
			for i := range packets {
				want := strings.Repeat(string(rune('a'+i%26)), 1+i%7)
				if got, _, _ := b.receive(); got != want {
					t.Fatalf("packet %d is %q, want %q", i, got, want)
				}
			}
		})
	}
}

func TestMessagesMayShareASegment(t *testing.T) {
	s := serve(t, nil)
	a, b := dial(t, s, "tcp").mustAllocate(), dial(t, s, "udp").mustAllocate()
	if c := code(a.bind(0x4000, b.relay)); c != 0 {
		t.Fatal(c)
	}
	if c := code(b.permit(a.relay)); c != 0 {
		t.Fatal(c)
	}
	// A signed request, and right behind it media, in one write.
	refresh := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest),
		stun.NewUsername(a.name), stun.NewRealm(a.realm), stun.NewNonce(a.nonce),
		stun.MessageIntegrity(pion.GenerateAuthKey(a.name, a.realm, a.pass)))
	together := append(refresh.Raw, "\x40\x00\x00\x05hello\x00\x00\x00\x40\x00\x00\x02yo\x00\x00"...)
	if _, err := a.conn.Write(together); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"hello", "yo"} {
		if got, _, _ := b.receive(); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	// And cut into single bytes.
	for _, c := range []byte("\x40\x00\x00\x03bye\x00") {
		if _, err := a.conn.Write([]byte{c}); err != nil {
			t.Fatal(err)
		}
	}
	if got, _, _ := b.receive(); got != "bye" {
		t.Errorf("received %q", got)
	}
}

func TestNobodyElseGetsAWordIn(t *testing.T) {
	s := serve(t, func(c *Config) { c.AllowedPeers = ranges(t, "127.0.0.2-127.0.0.3") })
	friend, _ := echo(t, "udp4", "127.0.0.2:0")
	stranger, heard := echo(t, "udp4", "127.0.0.3:0")
	u := dial(t, s, "udp").mustAllocate()
	if c := code(u.permit(friend)); c != 0 {
		t.Fatal(c)
	}
	u.sendIndication(stranger, "no permission")
	u.sendChannel(0x4000, "no channel")
	u.sendIndication(friend, "ping")
	if got, _, from := u.receive(); got != "ping" || from != friend {
		t.Fatalf("received %q from %s", got, from)
	}
	select {
	case got := <-heard:
		t.Errorf("the stranger heard %q", got)
	default: // the friend's answer came later than anything to the stranger
	}
	// And from outside: only addresses with a permission reach the client.
	knock := dialUDP(t, "127.0.0.3:0", u.relay)
	if _, err := knock.Write([]byte("let me in")); err != nil {
		t.Fatal(err)
	}
	u.sendIndication(friend, "still only you?")
	if got, _, from := u.receive(); got != "still only you?" || from != friend {
		t.Errorf("received %q from %s", got, from)
	}
}

func TestServicesOnThisMachineStayOutOfReach(t *testing.T) {
	s := serve(t, nil)
	service, heard := echo(t, "udp4", "127.0.0.1:0")
	a, b := dial(t, s, "udp").mustAllocate(), dial(t, s, "udp").mustAllocate()
	// The permission is for b's relay, and with it for the whole address.
	if c := code(a.permit(b.relay)); c != 0 {
		t.Fatal(c)
	}
	if c := code(b.permit(a.relay)); c != 0 {
		t.Fatal(c)
	}
	a.sendIndication(service, "psst")
	if c := code(a.bind(0x4000, service)); c != 403 {
		t.Errorf("channel to a local service: %d, want 403", c)
	}
	if c := code(a.permit(service)); c != 403 {
		t.Errorf("permission for a local service: %d, want 403", c)
	}
	// The service cannot write to a either.
	knock := dialUDP(t, "127.0.0.1:0", a.relay)
	if _, err := knock.Write([]byte("hello from localhost")); err != nil {
		t.Fatal(err)
	}
	b.sendIndication(a.relay, "me again")
	if got, _, from := a.receive(); got != "me again" || from != b.relay {
		t.Errorf("received %q from %s", got, from)
	}
	select {
	case got := <-heard:
		t.Errorf("the local service heard %q", got)
	default:
	}
}

func TestSessionsAreCounted(t *testing.T) {
	ended := make(chan Session, 1)
	s := serve(t, func(c *Config) {
		c.AllowedPeers = ranges(t, "127.0.0.1")
		c.Ended = func(x Session) { ended <- x }
	})
	peer, _ := echo(t, "udp4", "127.0.0.1:0")
	u := dial(t, s, "udp").as(s.Credentials("@bob:example.test", time.Now())).mustAllocate()
	u.bind(0x4000, peer)
	u.sendChannel(0x4000, "12345")
	u.receive()
	list := s.Sessions()
	if len(list) != 1 {
		t.Fatalf("sessions: %+v", list)
	}
	got := list[0]
	if got.User != "@bob:example.test" || got.Relay != u.relay || got.Client != addrPort(u.conn.LocalAddr()) ||
		got.Sent != (Traffic{1, 5}) || got.Received != (Traffic{1, 5}) || got.Transport != "udp" {
		t.Errorf("session %+v", got)
	}
	if m := u.refresh(0); code(m) != 0 {
		t.Fatalf("refresh to zero: %s", m)
	}
	if x := <-ended; x.Sent.Bytes != 5 || x.User != "@bob:example.test" {
		t.Errorf("ended %+v", x)
	}
	if n := len(s.Sessions()); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	if st := s.Stats(); st.Allocations != 1 || st.Ended != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestIPv6(t *testing.T) {
	if !hasIPv6() {
		t.Skip("no IPv6 on this machine")
	}
	s := serve(t, func(c *Config) {
		c.UDP = []string{"[::1]:0", "127.0.0.1:0"}
		c.TCP, c.TLS = nil, nil
		c.AllowedPeers = ranges(t, "::1")
	})
	peer, _ := echo(t, "udp6", "[::1]:0")
	u := dial(t, s, "udp").mustAllocate(raw{0x0017, []byte{2, 0, 0, 0}})
	if !u.relay.Addr().Is6() {
		t.Fatalf("asked for IPv6, got %s", u.relay)
	}
	if c := code(u.permit(peer)); c != 0 {
		t.Fatal(c)
	}
	u.sendIndication(peer, "six")
	if got, _, from := u.receive(); got != "six" || from != peer {
		t.Fatalf("received %q from %s", got, from)
	}
	if c := code(u.bind(0x4000, peer)); c != 0 {
		t.Fatal(c)
	}
	u.sendChannel(0x4000, "seven")
	if got, number, _ := u.receive(); got != "seven" || number != 0x4000 {
		t.Fatalf("received %q on %x", got, number)
	}
	// Without asking, the relay is IPv4, also for a client that comes by IPv6.
	if v := dial(t, s, "udp").mustAllocate(); !v.relay.Addr().Is4() {
		t.Errorf("relay is %s", v.relay)
	}
	if c := code(u.permit(netip.MustParseAddrPort("8.8.8.8:9"))); c != 443 {
		t.Errorf("IPv4 peer of an IPv6 relay: %d, want 443", c)
	}
}
