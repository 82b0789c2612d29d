package turn

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// dangerous are peers that no user may reach with the default configuration.
var dangerous = []string{
	"127.0.0.1", "127.8.9.1", "0.0.0.0", "0.1.2.3", "169.254.169.254",
	"10.0.0.0", "10.1.2.3", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.1.1",
	"100.64.0.1", "100.127.255.255", "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1",
	"192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1",
	"::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:10.1.2.3", "::ffff:169.254.169.254", "::ffff:8.8.8.8",
	"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001::1",
	"fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "::127.0.0.1", "::8.8.8.8", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
}

func TestDangerousPeersAreRefused(t *testing.T) {
	s := serve(t, nil)
	for _, kind := range []string{"udp", "tls"} {
		u := dial(t, s, kind).mustAllocate()
		peers := dangerous
		for own := range interfaceAddrs() {
			peers = append(peers, own.WithZone("").String())
		}
		for i, p := range peers {
			at := netip.AddrPortFrom(netip.MustParseAddr(p), 80)
			if c := code(u.permit(at)); c != 403 {
				t.Errorf("%s: permission for %s: %d, want 403", kind, p, c)
			}
			if c := code(u.bind(uint16(0x4000+i), at)); c != 403 {
				t.Errorf("%s: channel to %s: %d, want 403", kind, p, c)
			}
		}
		good := netip.MustParseAddrPort("8.8.8.8:80")
		if c := code(u.permit(good, netip.MustParseAddrPort("10.0.0.1:80"))); c != 403 {
			t.Errorf("%s: a good and a bad peer in one request: %d, want 403", kind, c)
		}
		if c := code(u.permit(good)); c != 0 {
			t.Errorf("%s: permission for an ordinary address: %d", kind, c)
		}
		if c := code(u.bind(0x4F00, good)); c != 0 {
			t.Errorf("%s: channel to an ordinary address: %d", kind, c)
		}
		if c := code(u.permit(netip.MustParseAddrPort("[2a00:1450::1]:80"))); c != 443 {
			t.Errorf("%s: ordinary IPv6 peer of an IPv4 relay: %d, want 443", kind, c)
		}
		sess := s.sessionAt(u.relay)
		sess.mu.RLock()
		if len(sess.perms) != 1 || len(sess.channels) != 1 {
			t.Errorf("%s: permissions %v and channels %v, want one each", kind, sess.perms, sess.channels)
		}
		sess.mu.RUnlock()
	}
	if n := s.Stats().RefusedPeers; n < uint64(2*len(dangerous)) {
		t.Errorf("%d refusals counted", n)
	}
}

func TestDangerousPeersOfIPv6Relays(t *testing.T) {
	if !hasIPv6() {
		t.Skip("no IPv6 on this machine")
	}
	s := serve(t, func(c *Config) { c.UDP, c.TCP, c.TLS = []string{"[::1]:0"}, nil, nil })
	u := dial(t, s, "udp").mustAllocate()
	if !u.relay.Addr().Is6() {
		t.Fatalf("relay %s on a server with IPv6 only", u.relay)
	}
	for i, p := range dangerous {
		at := netip.AddrPortFrom(netip.MustParseAddr(p), 80)
		if c := code(u.permit(at)); c != 403 {
			t.Errorf("permission for %s: %d, want 403", p, c)
		}
		if c := code(u.bind(uint16(0x4000+i), at)); c != 403 {
			t.Errorf("channel to %s: %d, want 403", p, c)
		}
	}
	if c := code(u.permit(netip.MustParseAddrPort("[2a00:1450::1]:80"))); c != 0 {
		t.Errorf("permission for an ordinary address: %d", c)
	}
	if c := code(u.permit(netip.MustParseAddrPort("8.8.8.8:80"))); c != 443 {
		t.Errorf("ordinary IPv4 peer of an IPv6 relay: %d, want 443", c)
	}
}

func TestSendIndicationsReachNobodyUnasked(t *testing.T) {
	s := serve(t, nil)
	u := dial(t, s, "udp").mustAllocate()
	victim, heard := echo(t, "udp4", "127.0.0.1:0")
	mapped := netip.AddrPortFrom(netip.AddrFrom16(victim.Addr().As16()), victim.Port())
	for range 3 {
		u.permit(victim) // refused
		u.sendIndication(victim, "to loopback")
		u.sendIndication(mapped, "to mapped loopback")
		u.sendIndication(netip.AddrPortFrom(netip.MustParseAddr("0.0.0.0"), victim.Port()), "to this host")
	}
	u.ask(stun.NewType(stun.MethodBinding, stun.ClassRequest)) // all of it has been handled
	select {
	case got := <-heard:
		t.Errorf("the victim heard %q", got)
	default:
	}
}

func TestListsOfPeers(t *testing.T) {
	s := serve(t, func(c *Config) {
		c.DeniedPeers = ranges(t, "8.8.8.0-8.8.8.255", "1.1.1.1", "2600::/16")
		c.AllowedPeers = ranges(t, "8.8.8.8", "10.0.0.0-10.0.0.255", "192.168.0.0/16")
	})
	u := dial(t, s, "udp").mustAllocate()
	for peer, want := range map[string]int{
		"8.8.8.7": 403, "8.8.8.8": 0, "8.8.9.1": 0, "1.1.1.1": 403, "1.1.1.2": 0,
		"10.0.0.1": 0, "10.0.1.1": 403, "192.168.44.1": 0, "::ffff:10.0.0.1": 403, "2600::1": 403,
	} {
		if c := code(u.permit(netip.AddrPortFrom(netip.MustParseAddr(peer), 5000))); c != want {
			t.Errorf("%s: %d, want %d", peer, c, want)
		}
	}
}

func TestCredentials(t *testing.T) {
	key := []byte("thirty-two bytes from a key file")
	s := serve(t, func(c *Config) { c.Key = key })
	now := time.Now()
	good := s.Credentials("@alice:example.test", now)
	if want := fmt.Sprintf("%d:@alice:example.test", now.Add(24*time.Hour).Unix()); good.Username != want || good.TTL != 24*time.Hour {
		t.Errorf("credentials %+v, want user name %s", good, want)
	}
	for name, tc := range map[string]struct {
		cred Credentials
		want int
	}{
		"fresh":            {good, 0},
		"expired":          {s.Credentials("@alice:example.test", now.Add(-25*time.Hour)), 401},
		"wrong password":   {Credentials{Username: good.Username, Password: "guess"}, 401},
		"no password":      {Credentials{Username: good.Username}, 401},
		"longer by itself": {Credentials{Username: "9" + good.Username, Password: good.Password}, 401},
		"no expiry":        {Credentials{Username: "@alice:example.test", Password: good.Password}, 401},
		"empty":            {Credentials{}, 401},
		"negative expiry":  {Credentials{Username: "-1:@alice:example.test"}, 401},
		"huge expiry":      {Credentials{Username: "99999999999999999999:@alice:example.test"}, 401},
	} {
		for _, kind := range []string{"udp", "tcp"} {
			u := dial(t, s, kind).as(tc.cred)
			if c := code(u.allocate()); c != tc.want {
				t.Errorf("%s over %s: %d, want %d", name, kind, c, tc.want)
			}
		}
	}

	// The same key in the next process: nobody notices the restart.
	next := serve(t, func(c *Config) { c.Key = key })
	dial(t, next, "udp").as(good).mustAllocate()
	other := serve(t, nil)
	if c := code(dial(t, other, "udp").as(good).allocate()); c != 401 {
		t.Errorf("another server's credentials: %d, want 401", c)
	}
	u := dial(t, s, "udp").as(good)
	u.realm = "elsewhere.test"
	if c := code(u.allocate()); c != 401 {
		t.Errorf("another realm: %d, want 401", c)
	}
}

func TestSecretSharedWithAnotherHomeserver(t *testing.T) {
	s := serve(t, func(c *Config) { c.Secret = "turns3cret"; c.Realm = "turn.example.test" })
	// As Synapse makes them from turn_shared_secret.
	name := fmt.Sprintf("%d:@carol:elsewhere.test", time.Now().Add(time.Hour).Unix())
	mac := hmac.New(sha1.New, []byte("turns3cret"))
	mac.Write([]byte(name))
	u := dial(t, s, "udp").as(Credentials{Username: name, Password: base64.StdEncoding.EncodeToString(mac.Sum(nil))})
	u.realm = "turn.example.test"
	u.mustAllocate()
	u = dial(t, s, "udp").as(s.Credentials("@alice:example.test", time.Now()))
	u.realm = "turn.example.test"
	u.mustAllocate()
}

func TestCallOutlivesItsCredentials(t *testing.T) {
	s := serve(t, nil)
	u := dial(t, s, "udp").mustAllocate()
	sess := s.sessionAt(u.relay)
	// Let the credentials of the session be old ones.
	old := s.Credentials("@alice:example.test", time.Now().Add(-48*time.Hour))
	sess.username = old.Username
	m := &stun.Message{TransactionID: stun.NewTransactionID(), Type: stun.NewType(stun.MethodRefresh, stun.ClassRequest)}
	key, _ := s.key(old.Username)
	for _, set := range []stun.Setter{m.Type, stun.NewUsername(old.Username), stun.NewRealm("example.test"), stun.MessageIntegrity(key)} {
		m.WriteHeader()
		if err := set.AddTo(m); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, ok := s.authentic(m, sess); !ok {
		t.Error("the call's own refresh is refused")
	}
	if _, _, ok := s.authentic(m, nil); ok {
		t.Error("expired credentials are good without a session")
	}
	sess.username = "somebody else"
	if _, _, ok := s.authentic(m, sess); ok {
		t.Error("expired credentials are good for somebody else's session")
	}
}

func TestQuotas(t *testing.T) {
	s := serve(t, func(c *Config) { c.UserQuota, c.TotalQuota = 2, 3 })
	alice, bob := s.Credentials("@alice:example.test", time.Now()), s.Credentials("@bob:example.test", time.Now())
	// Another expiry is not another user.
	again := s.Credentials("@alice:example.test", time.Now().Add(time.Minute))
	first := dial(t, s, "udp").as(alice).mustAllocate()
	dial(t, s, "tcp").as(again).mustAllocate()
	if c := code(dial(t, s, "udp").as(alice).allocate()); c != 486 {
		t.Errorf("alice's third allocation: %d, want 486", c)
	}
	dial(t, s, "udp").as(bob).mustAllocate()
	if c := code(dial(t, s, "udp").as(bob).allocate()); c != 486 {
		t.Errorf("the server's fourth allocation: %d, want 486", c)
	}
	if c := code(first.refresh(0)); c != 0 {
		t.Fatal(c)
	}
	dial(t, s, "udp").as(bob).mustAllocate()
	if n := s.Stats().OverQuota; n != 2 {
		t.Errorf("%d refusals counted, want 2", n)
	}
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	s := serve(t, nil)
	peer := netip.MustParseAddrPort("8.8.8.8:9")
	u := dial(t, s, "udp")
	for name, tc := range map[string]struct {
		m    *stun.Message
		want int
	}{
		"permission without allocation": {u.permit(peer), 437},
		"channel without allocation":    {u.bind(0x4000, peer), 437},
		"refresh without allocation":    {u.refresh(600), 437},
		"no transport":                  {u.request(stun.MethodAllocate), 400},
		"TCP relay":                     {u.request(stun.MethodAllocate, raw{stun.AttrRequestedTransport, []byte{6, 0, 0, 0}}), 442},
		"transport 99":                  {u.request(stun.MethodAllocate, raw{stun.AttrRequestedTransport, []byte{99, 0, 0, 0}}), 442},
		"IPv6 where there is none":      {u.allocate(raw{0x0017, []byte{2, 0, 0, 0}}), 440},
		"family 3":                      {u.allocate(raw{0x0017, []byte{3, 0, 0, 0}}), 440},
		"unknown attribute":             {u.allocate(raw{0x7FFF, []byte{1, 2, 3, 4}}), 420},
	} {
		if c := code(tc.m); c != tc.want {
			t.Errorf("%s: %d, want %d", name, c, tc.want)
		}
	}
	u.mustAllocate()
	for name, tc := range map[string]struct {
		m    *stun.Message
		want int
	}{
		"second allocation":           {u.allocate(), 437},
		"permission for nobody":       {u.permit(), 400},
		"channel number too low":      {u.bind(0x3FFF, peer), 400},
		"channel number too high":     {u.bind(0x8000, peer), 400},
		"channel without peer":        {u.request(stun.MethodChannelBind, raw{stun.AttrChannelNumber, []byte{0x40, 0, 0, 0}}), 400},
		"channel without number":      {u.request(stun.MethodChannelBind, xorPeer{peer}), 400},
		"peer of no family":           {u.request(stun.MethodCreatePermission, raw{stun.AttrXORPeerAddress, []byte{0, 9, 0, 0, 1, 2, 3, 4}}), 400},
		"peer cut short":              {u.request(stun.MethodCreatePermission, raw{stun.AttrXORPeerAddress, []byte{0, 1, 0, 0}}), 400},
		"IPv6 peer with four bytes":   {u.request(stun.MethodCreatePermission, raw{stun.AttrXORPeerAddress, []byte{0, 2, 0, 0, 1, 2, 3, 4}}), 400},
		"somebody else's credentials": {u.asOther(s).refresh(600), 441},
	} {
		if c := code(tc.m); c != tc.want {
			t.Errorf("%s: %d, want %d", name, c, tc.want)
		}
	}
}

func (u *user) asOther(s *Server) *user {
	other := *u
	return other.as(s.Credentials("@mallory:example.test", time.Now()))
}

func TestTablesOfOneUserAreBounded(t *testing.T) {
	s := serve(t, nil)
	u := dial(t, s, "udp").mustAllocate()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, byte(i >> 8), byte(i)}), 5000)
	}
	for i := range maxPermissions {
		if c := code(u.bind(uint16(0x4000+i), at(i))); c != 0 {
			t.Fatalf("channel %d: %d", i, c)
		}
	}
	if c := code(u.permit(at(maxPermissions))); c != 508 {
		t.Errorf("one permission too many: %d, want 508", c)
	}
	if c := code(u.bind(0x4F00, at(maxPermissions))); c != 508 {
		t.Errorf("one channel too many: %d, want 508", c)
	}
	if c := code(u.permit(at(0))); c != 0 {
		t.Errorf("renewing a permission: %d", c)
	}
	if c := code(u.bind(0x4000, at(0))); c != 0 {
		t.Errorf("renewing a channel: %d", c)
	}
}

func TestStrangersGetFewAnswers(t *testing.T) {
	s := serve(t, func(c *Config) { c.UnauthRate = 0.001 }) // one answer, then silence for a while
	a := dial(t, s, "udp")
	if m := a.ask(stun.NewType(stun.MethodAllocate, stun.ClassRequest)); code(m) != 401 {
		t.Fatalf("first request: %s", m)
	}
	b := dial(t, s, "udp")
	for _, typ := range []stun.MessageType{
		stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.NewType(stun.MethodBinding, stun.ClassRequest),
	} {
		m := stun.MustBuild(stun.TransactionID, typ)
		for range 50 {
			if _, err := b.conn.Write(m.Raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitFor(t, func() bool { return s.Stats().Limited == 100 })

	// Whoever has credentials gives the answer back, so that many users
	// behind one address can come at once.
	many := serve(t, func(c *Config) { c.UnauthRate = 0.1 })
	for range 20 {
		dial(t, many, "udp").mustAllocate()
	}
}

func TestAnswersToStrangersAreSmall(t *testing.T) {
	s := serve(t, nil)
	u := dial(t, s, "udp")
	for method, most := range map[stun.Method]int{stun.MethodBinding: 40, stun.MethodAllocate: 92} {
		m := u.ask(stun.NewType(method, stun.ClassRequest))
		if len(m.Raw) > most {
			t.Errorf("%s of 20 bytes is answered with %d, want at most %d", method, len(m.Raw), most)
		}
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	// Long enough to allocate on a busy machine.
	s := serve(t, func(c *Config) { c.Idle = time.Second })
	closed := func(name string, u *user) {
		t.Helper()
		for {
			if _, err := u.read(); err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Errorf("%s: still open after %s", name, patience)
				}
				return
			}
		}
	}
	for _, garbage := range []string{"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n", "\x16\x03\x01\x02\x00", "\x00\x01\xff\xfc\x21\x12\xa4\x42aaaaaaaaaaaa"} {
		u := dial(t, s, "tcp")
		if _, err := u.conn.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		closed(fmt.Sprintf("%.10q", garbage), u)
	}

	busy, quitter := dial(t, s, "tcp").mustAllocate(), dial(t, s, "tls").mustAllocate()
	if m := quitter.refresh(0); code(m) != 0 {
		t.Fatal(m)
	}
	asking := dial(t, s, "tcp")
	asking.ask(stun.NewType(stun.MethodAllocate, stun.ClassRequest))
	noHandshake, err := net.Dial("tcp", s.Addrs().TLS[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer noHandshake.Close()
	for name, u := range map[string]*user{
		"silent TCP":              dial(t, s, "tcp"),
		"silent TLS":              dial(t, s, "tls"),
		"TCP with a 401":          asking,
		"TLS without a handshake": {t: t, conn: noHandshake, stream: true},
		"TLS after its session":   quitter,
	} {
		closed(name, u)
	}
	if m := busy.refresh(600); code(m) != 0 { // older than all of them
		t.Errorf("a connection with an allocation: %s", m)
	}
}

func TestOneAddressCannotTakeAllConnections(t *testing.T) {
	s := serve(t, func(c *Config) { c.ConnsPerIP = 3 })
	var open []*user
	for range 3 {
		u := dial(t, s, "tcp")
		u.ask(stun.NewType(stun.MethodBinding, stun.ClassRequest))
		open = append(open, u)
	}
	if _, err := dial(t, s, "tcp").read(); err == nil {
		t.Error("the fourth connection was served")
	}
	open[0].mustAllocate() // no longer counts
	dial(t, s, "tcp").mustAllocate()
}

func TestStopLeavesNothingBehind(t *testing.T) {
	before := goroutines()
	cfg := Config{
		UDP: []string{"127.0.0.1:0", ":0"}, TCP: []string{"127.0.0.1:0"}, TLS: []string{"127.0.0.1:0"},
		TLSConfig: selfSigned(t), ServerName: "example.test",
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil {
		t.Error("started twice")
	}
	for _, kind := range []string{"udp", "tcp", "tls"} {
		dial(t, s, kind).mustAllocate().permit(netip.MustParseAddrPort("8.8.8.8:9"))
		dial(t, s, kind) // and one that does nothing
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Sessions()); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	if s.quota.all != 0 || len(s.quota.users) != 0 {
		t.Errorf("quota left: %+v", s.quota.users)
	}
	waitFor(t, func() bool { return goroutines() <= before })
}

func TestStopInTheMiddleOfEverything(t *testing.T) {
	s := serve(t, func(c *Config) { c.UnauthRate = -1 })
	var users []*user
	for i := range 24 {
		u := dial(t, s, []string{"udp", "tcp", "tls"}[i%3]).mustAllocate()
		u.bind(0x4000, users0(users, u).relay)
		users = append(users, u)
	}
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for _, u := range users {
		busy.Go(func() {
			packet := []byte("\x40\x00\x00\x04ring")
			fresh := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				_, err := u.conn.Write([][]byte{packet, fresh}[i%2])
				if err != nil && u.stream {
					return
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := s.Stop(ctx)
	close(stop)
	busy.Wait()
	if err != nil {
		t.Error(err)
	}
	if st := s.Stats(); len(s.Sessions()) != 0 || st.Ended != st.Allocations {
		t.Errorf("sessions %v, %+v", s.Sessions(), st)
	}
}

// users0 is the first user, or u if there is none yet.
func users0(users []*user, u *user) *user {
	if len(users) > 0 {
		return users[0]
	}
	return u
}

func TestStartNamesTheListenerThatFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s, err := New(Config{UDP: []string{"127.0.0.1:0"}, TCP: []string{taken.Addr().String()}, ServerName: "example.test"})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Start()
	want := fmt.Sprintf("turn: listening on TCP %s: listen tcp %s: bind: address already in use", taken.Addr(), taken.Addr())
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no listener":         {ServerName: "example.test"},
		"empty listener":      {ServerName: "example.test", UDP: []string{""}},
		"no realm":            {UDP: []string{":0"}},
		"ports upside down":   {ServerName: "example.test", UDP: []string{":0"}, RelayMin: 5000, RelayMax: 4000},
		"TLS without a chain": {ServerName: "example.test", TLS: []string{":0"}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestURIs(t *testing.T) {
	s := serve(t, nil)
	a := s.Addrs()
	want := []string{
		fmt.Sprintf("turn:turn.example.test:%d?transport=udp", a.UDP[0].Port()),
		fmt.Sprintf("turn:turn.example.test:%d?transport=tcp", a.TCP[0].Port()),
		fmt.Sprintf("turns:turn.example.test:%d?transport=tcp", a.TLS[0].Port()),
	}
	if got := s.URIs("turn.example.test"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := s.URIs("2001:db8::1")[0], fmt.Sprintf("turn:[2001:db8::1]:%d?transport=udp", a.UDP[0].Port()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestPanicsAreSurvived: a packet that nobody thought of costs no call.
func TestPanicsAreSurvived(t *testing.T) {
	var log bytes.Buffer
	s := &Server{log: slog.New(slog.NewTextHandler(&log, nil))}
	func() {
		defer s.survive()
		var packets []packet
		_ = packets[0]
	}()
	if !strings.Contains(log.String(), "index out of range") {
		t.Errorf("log: %s", log.String())
	}
}
