package turn

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

const (
	// maxRequest bounds the STUN messages that reach pion, in bytes. Requests
	// are small: credentials and a few addresses.
	maxRequest = 1600

	listenerBuffer = 4 << 20 // bytes of socket buffer, for all clients together
	relayBuffer    = 512 << 10
)

// udpFront is a UDP listener. It relays media from clients itself; to pion it
// is a net.PacketConn on which only requests arrive that passed the gate.
type udpFront struct {
	srv   *Server
	sock  *socket
	local net.Addr

	mu       sync.RWMutex
	sessions map[netip.AddrPort]*session // by client

	// Only ReadFrom's goroutine, in which pion also answers, uses these.
	read *reader
	own  *batch
	todo []packet // read, media already relayed, requests not yet looked at
	now  *packet  // the request being handled
	msg  stun.Message

	ended sync.Once
}

// listenUDP opens a front, or one per family where address has no host. It
// may return fronts together with an error.
func (s *Server) listenUDP(address string) ([]*udpFront, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host != "" {
		f, err := s.openUDP(familyOf(host), address)
		if err != nil {
			return nil, err
		}
		return []*udpFront{f}, nil
	}
	f4, err := s.openUDP("udp4", net.JoinHostPort("0.0.0.0", port))
	if err != nil {
		return nil, err
	}
	same := strconv.Itoa(int(f4.sock.addr.Port()))
	f6, err := s.openUDP("udp6", net.JoinHostPort("::", same))
	if err != nil {
		if hasIPv6() {
			return []*udpFront{f4}, err
		}
		return []*udpFront{f4}, nil
	}
	return []*udpFront{f4, f6}, nil
}

func familyOf(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() && !addr.Is4In6() {
		return "udp6"
	}
	return "udp4"
}

// hasIPv6 reports whether this machine can open an IPv6 socket at all.
func hasIPv6() bool {
	c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func (s *Server) openUDP(network, address string) (*udpFront, error) {
	sock, err := openSocket(network, address, listenerBuffer)
	if err != nil {
		return nil, err
	}
	f := &udpFront{srv: s, sock: sock, local: udpAddr(sock.addr), sessions: map[netip.AddrPort]*session{}}
	f.own = newBatch(listenerBatch)
	f.read = newReader(sock, func() *batch { return f.own }, func(*batch) {}, f.fromClients)
	return f, nil
}

// ReadFrom returns the next request for pion.
func (f *udpFront) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		for len(f.todo) > 0 {
			f.now, f.todo = &f.todo[0], f.todo[1:]
			if n := copy(b, f.request(f.now)); n > 0 {
				return n, udpAddr(f.now.from), nil
			}
		}
		if err := f.read.run(); err != nil {
			f.ended.Do(f.srv.running.Done)
			return 0, nil, err
		}
	}
}

// fromClients relays all ChannelData in packets, grouped by session so that
// what one client sent in a burst leaves in one system call. It stops the
// reader only if there are requests as well.
func (f *udpFront) fromClients(_ *batch, packets []packet) (stop bool) {
	defer f.srv.survive()
	var whose [listenerBatch]*session
	f.mu.RLock()
	for i := range packets {
		if p := &packets[i]; isChannelData(p.payload()) {
			whose[i] = f.sessions[p.from]
		} else {
			stop = true
		}
	}
	f.mu.RUnlock()
	for i := range packets {
		s := whose[i]
		for j := i; s != nil && j < len(packets); j++ {
			if whose[j] != s {
				continue
			}
			whose[j] = nil
			p := &packets[j]
			if number, n, ok := channelData(p.payload()); ok {
				s.channelToPeer(number, p.slot, headroom+channelHeader, n, &f.own.out)
			}
			p.n = 0 // done
		}
	}
	f.own.out.flush()
	if stop {
		f.todo = packets
	}
	return stop
}

// request handles a STUN message and returns what is left for pion to do.
func (f *udpFront) request(p *packet) []byte {
	defer f.srv.survive()
	b := p.payload()
	if !stun.IsMessage(b) {
		return nil
	}
	if isSend(b) {
		if s := f.session(); s != nil {
			s.indicationToPeer(p.slot, headroom, headroom+p.n, &f.own.out)
			f.own.out.flush()
		}
		return nil
	}
	if len(b) >= maxRequest {
		return nil
	}
	f.msg.Raw = b
	if f.msg.Decode() != nil {
		return nil
	}
	return f.srv.gate(&f.msg, f)
}

func isSend(b []byte) bool { return b[0] == sendIndication>>8 && b[1] == sendIndication&0xFF }

func (f *udpFront) source() netip.AddrPort { return f.now.from }

func (f *udpFront) session() *session {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.sessions[f.now.from]
}

func (f *udpFront) answer(b []byte) {
	f.own.out.add(f.sock, b, f.now.from, f.now.local)
	f.own.out.flush()
}

// WriteTo sends pion's answer to the request being handled, which is all that
// it ever sends: the rest of its traffic is ours.
func (f *udpFront) WriteTo(b []byte, to net.Addr) (int, error) {
	if f.now == nil || addrPort(to) != f.now.from {
		return 0, errors.New("turn: answer to nobody")
	}
	f.answer(b)
	return len(b), nil
}

func (f *udpFront) linked(_, _ net.Addr, s *session) {
	s.link(f.now.from, f.now.local, f)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[s.client] = s
}

func (f *udpFront) unlink(s *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sessions[s.client] == s {
		delete(f.sessions, s.client)
	}
}

func (f *udpFront) toClient(s *session, b []byte, out *outbox) {
	out.add(f.sock, b, s.client, s.local)
}

func (f *udpFront) LocalAddr() net.Addr { return f.local }
func (f *udpFront) Close() error        { return f.sock.Close() }

func (f *udpFront) SetDeadline(time.Time) error      { return nil }
func (f *udpFront) SetReadDeadline(time.Time) error  { return nil }
func (f *udpFront) SetWriteDeadline(time.Time) error { return nil }
