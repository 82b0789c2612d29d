//go:build !linux

package turn

import "net/netip"

// Elsewhere than on Linux datagrams go one by one. This is for trying things
// out; it does not report local addresses.

func prepareSocket(uintptr, int) {}

func (s *socket) reportLocal() bool { return false }

type inbox struct{ packets [1]packet }

func (in *inbox) init(int) {
	in.packets[0].slot = make([]byte, headroom+maxDatagram+tailroom)
}

type reader struct {
	sock   *socket
	borrow func() *batch
	giveUp func(*batch)
	handle func(*batch, []packet) (stop bool)
}

func newReader(s *socket, borrow func() *batch, giveUp func(*batch), handle func(*batch, []packet) bool) *reader {
	return &reader{sock: s, borrow: borrow, giveUp: giveUp, handle: handle}
}

func (r *reader) run() error {
	b := r.borrow()
	defer r.giveUp(b)
	p := &b.packets[0]
	for {
		n, from, err := r.sock.conn.ReadFromUDPAddrPort(p.slot[headroom : headroom+maxDatagram])
		if err != nil {
			return err
		}
		p.n, p.from = n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if r.handle(b, b.packets[:]) {
			return nil
		}
	}
}

type outbox struct{}

func (o *outbox) add(s *socket, data []byte, to netip.AddrPort, _ netip.Addr) {
	// A datagram that cannot be sent is lost, like any other.
	_, _ = s.conn.WriteToUDPAddrPort(data, to)
}

func (o *outbox) flush() {}
