package turn

import (
	"cmp"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A call needs a handful of these. The bounds keep one user from filling
	// the tables, here and in pion.
	maxPermissions = 256
	maxChannels    = 256
)

// session is one allocation: the client's side, the relayed address, and who
// may talk through it. To pion it is the relay's net.PacketConn.
//
// Permissions and channels are written by pion's events and read by the data
// path, so what pion lets expire stops working here at the same moment.
type session struct {
	srv      *Server
	username string // from the credentials; pion calls it the user id
	user     string
	relay    netip.AddrPort // as peers see it
	sock     *socket
	created  time.Time
	up, down traffic

	// The client's side, set by link before the first packet.
	client netip.AddrPort
	local  netip.Addr // address of ours that the client uses, if the socket has many
	via    downlink

	mu       sync.RWMutex
	channels map[uint16]peer
	numbers  map[netip.AddrPort]uint16
	perms    map[netip.Addr]bool // value: reachable through the network, too

	closing sync.Once
	ended   sync.Once
}

// peer is the far end of a channel.
type peer struct {
	addr netip.AddrPort
	own  bool // an address of ours: a relay of this server, if anything
	net  bool // may be reached through the network
}

// downlink takes packets to a session's client.
type downlink interface {
	// toClient sends b, a whole ChannelData or STUN message. It may use out,
	// which the caller flushes before b changes, and must not wait.
	toClient(s *session, b []byte, out *outbox)
	// unlink forgets the session.
	unlink(*session)
}

// traffic counts one direction of a session: payload, without headers.
type traffic struct{ packets, bytes atomic.Uint64 }

func (t *traffic) add(n int) {
	t.packets.Add(1)
	t.bytes.Add(uint64(n))
}

func newSession(srv *Server, username, user string, relay netip.AddrPort, sock *socket) *session {
	return &session{
		srv: srv, username: username, user: user, relay: relay, sock: sock, created: time.Now(),
		channels: map[uint16]peer{}, numbers: map[netip.AddrPort]uint16{}, perms: map[netip.Addr]bool{},
	}
}

// link gives the session its client. pion tells about an allocation before it
// reads from the relay or answers, so nobody else can see s yet.
func (s *session) link(client netip.AddrPort, local netip.Addr, via downlink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client, s.local, s.via = client, local, via
}

// peerAt judges an address for use as a channel or in an indication.
func (s *session) peerAt(addr netip.AddrPort) peer {
	return peer{
		addr: addr,
		own:  s.srv.relays.has(addr.Addr()) || s.srv.peers.own(addr.Addr()),
		net:  s.srv.peers.refuses(addr.Addr()) == "",
	}
}

func (s *session) permissionMade(addr netip.Addr) {
	byNet := s.srv.peers.refuses(addr) == ""
	s.mu.Lock()
	defer s.mu.Unlock()
	s.perms[addr] = byNet
}

func (s *session) permissionGone(addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.perms, addr)
}

func (s *session) channelMade(number uint16, addr netip.AddrPort) {
	p := s.peerAt(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels[number] = p
	s.numbers[addr] = number
}

func (s *session) channelGone(number uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.numbers, s.channels[number].addr)
	delete(s.channels, number)
}

// room reports whether the tables have space for one more permission (and one
// more channel) to addr. Renewing an old one always has.
func (s *session) room(addr netip.AddrPort, channel bool) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, permitted := s.perms[addr.Addr()]
	_, bound := s.numbers[addr]
	return (permitted || len(s.perms) < maxPermissions) && (!channel || bound || len(s.channels) < maxChannels)
}

// ReadFrom carries packets from peers to the client until the session is
// closed, and only then returns, with an error. pion calls it in a loop of its
// own and takes that error as the end of the allocation.
func (s *session) ReadFrom([]byte) (int, net.Addr, error) {
	defer s.ended.Do(s.srv.running.Done)
	err := newReader(s.sock, s.srv.borrow, s.srv.giveUp, s.fromPeers).run()
	return 0, nil, cmp.Or(err, net.ErrClosed)
}

func (s *session) fromPeers(b *batch, packets []packet) (stop bool) {
	defer s.srv.survive()
	for i := range packets {
		p := &packets[i]
		s.toClient(p.slot, headroom, p.n, p.from, false, &b.out)
	}
	b.out.flush()
	return false
}

func (s *Server) borrow() *batch                         { return s.pool.Get().(*batch) }
func (s *Server) giveUp(b *batch)                        { s.pool.Put(b) }
func (s *session) WriteTo([]byte, net.Addr) (int, error) { return 0, net.ErrClosed }

// LocalAddr is the relayed address.
func (s *session) LocalAddr() net.Addr { return udpAddr(s.relay) }

func (s *session) SetDeadline(time.Time) error      { return nil }
func (s *session) SetReadDeadline(time.Time) error  { return nil }
func (s *session) SetWriteDeadline(time.Time) error { return nil }

// Close ends the session. pion calls it when the allocation expires, is
// refreshed to zero, or its connection or server goes away.
func (s *session) Close() error {
	err := net.ErrClosed
	s.closing.Do(func() {
		defer s.srv.running.Done()
		err = s.sock.Close()
		s.srv.forget(s)
		if s.via != nil {
			s.via.unlink(s)
		}
		s.srv.quota.release(s.user)
		s.srv.stats.ended.Add(1)
		if s.srv.cfg.Ended != nil {
			s.srv.cfg.Ended(s.snapshot())
		}
	})
	return err
}

func (s *Server) forget(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[sess.relay] == sess { // else the port has been given to the next one
		delete(s.sessions, sess.relay)
	}
}
