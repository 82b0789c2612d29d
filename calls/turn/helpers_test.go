package turn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	pion "github.com/pion/turn/v5"

	"hearth/base/netguard"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// serve starts a server on loopback for one test.
func serve(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{
		UDP: []string{"127.0.0.1:0"}, TCP: []string{"127.0.0.1:0"}, TLS: []string{"127.0.0.1:0"},
		TLSConfig: selfSigned(t), ServerName: "example.test",
		RelayMin: 30000, RelayMax: 39999,
		Log: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return s
}

func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "turn.example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }}
}

func ranges(t *testing.T, list ...string) netguard.Ranges {
	t.Helper()
	rs, err := netguard.ParseRanges(list)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// user is a TURN client that says exactly what a test wants it to say.
type user struct {
	t          *testing.T
	conn       net.Conn
	stream     bool
	name, pass string
	realm      string
	nonce      string
	buf        []byte
	relay      netip.AddrPort
}

// dial connects to the server's first listener of a kind: udp, tcp or tls.
func dial(t *testing.T, s *Server, kind string) *user {
	t.Helper()
	c := s.Credentials("@alice:example.test", time.Now())
	u := &user{t: t, name: c.Username, pass: c.Password, realm: "example.test", stream: kind != "udp"}
	var err error
	switch kind {
	case "udp":
		u.conn, err = net.Dial("udp", s.Addrs().UDP[0].String())
	case "tcp":
		u.conn, err = net.Dial("tcp", s.Addrs().TCP[0].String())
	case "tls":
		u.conn, err = tls.Dial("tcp", s.Addrs().TLS[0].String(), &tls.Config{InsecureSkipVerify: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.conn.Close() })
	return u
}

func (u *user) as(c Credentials) *user {
	u.name, u.pass = c.Username, c.Password
	return u
}

// read returns the next message, or an error after patience.
func (u *user) read() ([]byte, error) {
	_ = u.conn.SetReadDeadline(time.Now().Add(patience))
	if !u.stream {
		b := make([]byte, 65536)
		n, err := u.conn.Read(b)
		return b[:n], err
	}
	for {
		if n, known, err := frameLength(u.buf); err != nil {
			return nil, err
		} else if known && n <= len(u.buf) {
			frame := u.buf[:n]
			u.buf = u.buf[n:]
			return frame, nil
		}
		b := make([]byte, 4096)
		n, err := u.conn.Read(b)
		if err != nil {
			return nil, err
		}
		u.buf = append(u.buf, b[:n]...)
	}
}

// ask sends a request as it is and returns the response to it.
func (u *user) ask(setters ...stun.Setter) *stun.Message {
	u.t.Helper()
	req, err := stun.Build(append([]stun.Setter{stun.TransactionID}, setters...)...)
	if err != nil {
		u.t.Fatal(err)
	}
	if _, err := u.conn.Write(req.Raw); err != nil {
		u.t.Fatal(err)
	}
	for {
		b, err := u.read()
		if err != nil {
			u.t.Fatalf("no answer to %s: %v", req.Type, err)
		}
		m := &stun.Message{Raw: b}
		if stun.IsMessage(b) && m.Decode() == nil && m.TransactionID == req.TransactionID {
			return m
		}
	}
}

// request signs a request, after fetching a nonce if need be.
func (u *user) request(method stun.Method, setters ...stun.Setter) *stun.Message {
	u.t.Helper()
	if u.nonce == "" {
		m := u.ask(stun.NewType(stun.MethodAllocate, stun.ClassRequest))
		var nonce stun.Nonce
		if err := nonce.GetFrom(m); err != nil {
			u.t.Fatalf("401 without a nonce: %v", err)
		}
		u.nonce = nonce.String()
	}
	all := append([]stun.Setter{stun.NewType(method, stun.ClassRequest)}, setters...)
	return u.ask(append(all,
		stun.NewUsername(u.name), stun.NewRealm(u.realm), stun.NewNonce(u.nonce),
		stun.MessageIntegrity(pion.GenerateAuthKey(u.name, u.realm, u.pass)))...)
}

func (u *user) allocate(setters ...stun.Setter) *stun.Message {
	u.t.Helper()
	m := u.request(stun.MethodAllocate, append(setters, raw{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}})...)
	if v, err := m.Get(stun.AttrXORRelayedAddress); err == nil {
		u.relay = xorAddress(v, m.Raw[4:stunHeader])
	}
	return m
}

// mustAllocate fails the test if there is no relay to be had.
func (u *user) mustAllocate(setters ...stun.Setter) *user {
	u.t.Helper()
	if m := u.allocate(setters...); m.Type.Class != stun.ClassSuccessResponse {
		u.t.Fatalf("no allocation: %s", m)
	}
	return u
}

func (u *user) permit(peers ...netip.AddrPort) *stun.Message {
	u.t.Helper()
	var setters []stun.Setter
	for _, p := range peers {
		setters = append(setters, xorPeer{p})
	}
	return u.request(stun.MethodCreatePermission, setters...)
}

func (u *user) bind(number uint16, peer netip.AddrPort) *stun.Message {
	u.t.Helper()
	v := binary.BigEndian.AppendUint16(nil, number)
	return u.request(stun.MethodChannelBind, raw{stun.AttrChannelNumber, append(v, 0, 0)}, xorPeer{peer})
}

func (u *user) sendChannel(number uint16, data string) {
	u.t.Helper()
	b := binary.BigEndian.AppendUint16(nil, number)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	b = append(b, data...)
	for u.stream && len(b)%4 != 0 {
		b = append(b, 0)
	}
	if _, err := u.conn.Write(b); err != nil {
		u.t.Fatal(err)
	}
}

func (u *user) sendIndication(to netip.AddrPort, data string) {
	u.t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), xorPeer{to}, raw{stun.AttrData, []byte(data)})
	if err != nil {
		u.t.Fatal(err)
	}
	if _, err := u.conn.Write(m.Raw); err != nil {
		u.t.Fatal(err)
	}
}

// receive returns the next media packet: its payload, and the channel number
// or the peer that it came from.
func (u *user) receive() (data string, number uint16, from netip.AddrPort) {
	u.t.Helper()
	for {
		b, err := u.read()
		if err != nil {
			u.t.Fatalf("nothing received: %v", err)
		}
		if isChannelData(b) {
			number, n, ok := channelData(b)
			if !ok {
				u.t.Fatalf("broken ChannelData %x", b)
			}
			return string(b[channelHeader : channelHeader+n]), number, from
		}
		m := &stun.Message{Raw: b}
		if err := m.Decode(); err != nil {
			u.t.Fatalf("received %x: %v", b, err)
		}
		if m.Type.Method != stun.MethodData {
			continue
		}
		v, err := m.Get(stun.AttrXORPeerAddress)
		if err != nil {
			u.t.Fatal(err)
		}
		payload, err := m.Get(stun.AttrData)
		if err != nil {
			u.t.Fatal(err)
		}
		return string(payload), 0, xorAddress(v, m.Raw[4:stunHeader])
	}
}

// code is the error code of a response, 0 for success.
func code(m *stun.Message) int {
	var e stun.ErrorCodeAttribute
	if err := e.GetFrom(m); err != nil {
		return 0
	}
	return int(e.Code)
}

type raw struct {
	typ   stun.AttrType
	value []byte
}

func (r raw) AddTo(m *stun.Message) error {
	m.Add(r.typ, r.value)
	return nil
}

// xorPeer keeps the form of an address: a mapped one stays IPv6.
type xorPeer struct{ at netip.AddrPort }

func (x xorPeer) AddTo(m *stun.Message) error {
	if !x.at.IsValid() {
		return errors.New("no address")
	}
	m.WriteHeader()
	ip := x.at.Addr().AsSlice()
	v := []byte{0, byte(len(ip)/16 + 1)}
	v = binary.BigEndian.AppendUint16(v, x.at.Port()^magicCookie>>16)
	for i := range ip {
		v = append(v, ip[i]^m.Raw[4+i])
	}
	m.Add(stun.AttrXORPeerAddress, v)
	return nil
}

// echo is a peer that sends everything back. It counts what reaches it.
func echo(t *testing.T, network, at string) (netip.AddrPort, <-chan string) {
	t.Helper()
	pc, err := net.ListenPacket(network, at)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 65536)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			got <- string(b[:n])
			_, _ = pc.WriteTo(b[:n], from)
		}
	}()
	t.Cleanup(func() {
		_ = pc.Close()
		<-done
	})
	return addrPort(pc.LocalAddr()), got
}

func dialUDP(t *testing.T, from string, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", udpAddr(netip.MustParseAddrPort(from)), udpAddr(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (u *user) refresh(seconds uint32) *stun.Message {
	u.t.Helper()
	return u.request(stun.MethodRefresh, raw{stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, seconds)})
}

// waitFor waits until cond holds.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("it did not happen")
		}
	}
}

// goroutines counts those that run code of this package or of pion, without
// the tests' own.
func goroutines() int {
	buf := make([]byte, 1<<20)
	n := 0
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if (strings.Contains(g, "pion/turn") || strings.Contains(g, "hearth/calls/turn.(")) && !strings.Contains(g, "testing.tRunner") {
			n++
		}
	}
	return n
}
