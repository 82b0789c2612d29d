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
	batch  *batch
}

func newReader(s *socket, borrow func() *batch, giveUp func(*batch)) *reader {
	return &reader{sock: s, borrow: borrow, giveUp: giveUp}
}

func (r *reader) next() (*batch, []packet, error) {
	r.batch = r.borrow()
	p := &r.batch.packets[0]
	n, from, err := r.sock.conn.ReadFromUDPAddrPort(p.slot[headroom : headroom+maxDatagram])
	if err != nil {
		r.done()
		return nil, nil, err
	}
	p.n, p.from = n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return r.batch, r.batch.packets[:], nil
}

func (r *reader) done() {
	if r.batch != nil {
		r.giveUp(r.batch)
		r.batch = nil
	}
}

type outbox struct{}

func (o *outbox) add(s *socket, data []byte, to netip.AddrPort, _ netip.Addr) {
	// A datagram that cannot be sent is lost, like any other.
	_, _ = s.conn.WriteToUDPAddrPort(data, to)
}

func (o *outbox) flush() {}
