package turn

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

const (
	// headroom is kept free before each datagram read, so that the header of
	// the longest wrapping (a Data indication from an IPv6 peer: 48 bytes) can
	// be written in front of the payload without moving it.
	headroom = 64
	// tailroom is for the padding of the same indication.
	tailroom = 4
	// maxDatagram is the largest payload relayed: a jumbo frame's. Larger ones
	// are dropped; no media comes near it.
	maxDatagram = 9216

	listenerBatch = 64 // datagrams per read of a listening socket
	relayBatch    = 16 // and of a relay's, where they come one by one mostly
)

// packet is one datagram read.
type packet struct {
	slot  []byte // headroom, payload, tailroom
	n     int    // length of the payload
	from  netip.AddrPort
	local netip.Addr // where it was sent to; only on sockets with anyLocal
}

func (p *packet) payload() []byte { return p.slot[headroom : headroom+p.n : headroom+p.n] }

// batch is what one goroutine reads into and sends from. Packets stay valid
// until the next read.
type batch struct {
	inbox
	out outbox
}

func newBatch(size int) *batch {
	b := new(batch)
	b.inbox.init(size)
	return b
}

// socket is a bound UDP socket of one address family.
type socket struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	addr netip.AddrPort
	six  bool
	// anyLocal: bound to the unspecified address, so that every answer must
	// say which local address it comes from, or a machine with several would
	// answer from one that the client never wrote to.
	anyLocal bool
}

// openSocket binds a UDP socket. Network is "udp4" or "udp6".
func openSocket(network, address string, buffer int) (*socket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { prepareSocket(fd, buffer) })
	}}
	pc, err := lc.ListenPacket(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	conn := pc.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	ap := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s := &socket{
		conn: conn, raw: raw, six: network == "udp6",
		addr: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()),
	}
	if ap.Addr().IsUnspecified() {
		s.anyLocal = s.reportLocal()
	}
	return s, nil
}

func (s *socket) Close() error { return s.conn.Close() }

// udpAddr is ap in the form that pion wants.
func udpAddr(ap netip.AddrPort) *net.UDPAddr { return net.UDPAddrFromAddrPort(ap) }

// addrPort is the reverse of udpAddr, for TCP as well.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
