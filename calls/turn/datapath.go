package turn

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
)

// Wire format of the two ways that media travels between client and server:
// ChannelData (RFC 8656 §12.4) and Send and Data indications (§11).
const (
	channelHeader = 4
	stunHeader    = 20
	attrHeader    = 4
	magicCookie   = 0x2112A442

	sendIndication = 0x0016
	dataIndication = 0x0017
	attrPeer       = 0x0012
	attrData       = 0x0013

	// RFC 8656 ends the channel numbers at 0x4FFF. Clients of RFC 5766 go up
	// to 0x7FFF, coturn's among them, and nothing else here uses that space.
	minChannel = 0x4000
	maxChannel = 0x7FFF
)

// isChannelData tells the two apart by the first two bits (RFC 8656 §12).
func isChannelData(b []byte) bool {
	return len(b) >= channelHeader && b[0]&0xC0 == 0x40
}

// channelData returns the channel's number and where the payload lies in b.
// UDP may bring padding after it, or cut it short, which is an error.
func channelData(b []byte) (number uint16, n int, ok bool) {
	number = binary.BigEndian.Uint16(b)
	n = int(binary.BigEndian.Uint16(b[2:]))
	return number, n, channelHeader+n <= len(b)
}

// channelToPeer relays b[off:off+n], which came on a channel.
func (s *session) channelToPeer(number uint16, b []byte, off, n int, out *outbox) {
	s.mu.RLock()
	p, ok := s.channels[number]
	s.mu.RUnlock()
	if !ok {
		s.srv.stats.dropped.Add(1)
		return
	}
	s.toPeer(p, b, off, n, out)
}

// indicationToPeer relays the payload of a Send indication, b[off:end].
func (s *session) indicationToPeer(b []byte, off, end int, out *outbox) {
	to, from, n, ok := parseSend(b[off:end])
	if !ok {
		s.srv.stats.dropped.Add(1)
		return
	}
	s.mu.RLock()
	byNet, ok := s.perms[to.Addr()]
	s.mu.RUnlock()
	if !ok {
		s.srv.stats.dropped.Add(1)
		return
	}
	own := s.srv.relays.has(to.Addr()) || s.srv.peers.own(to.Addr())
	s.toPeer(peer{addr: to, own: own, net: byNet}, b, off+from, n, out)
}

// toPeer relays b[off:off+n]. A live relay of this server gets it directly:
// that works behind any NAT, and an own address is never reached in any other
// way unless the configuration allows it.
func (s *session) toPeer(p peer, b []byte, off, n int, out *outbox) {
	if p.own {
		if to := s.srv.sessionAt(p.addr); to != nil {
			s.up.add(n)
			to.toClient(b, off, n, s.relay, true, out)
			return
		}
	}
	if !p.net || p.addr.Port() == 0 {
		s.srv.stats.dropped.Add(1)
		return
	}
	s.up.add(n)
	out.add(s.sock, b[off:off+n], p.addr, netip.Addr{})
}

// toClient passes b[off:off+n] from a peer to the client, if it may talk to
// it. There must be headroom before off and tailroom behind. Direct is for
// what a relay of this server sent within the process.
func (s *session) toClient(b []byte, off, n int, from netip.AddrPort, direct bool, out *outbox) {
	s.mu.RLock()
	number, bound := s.numbers[from]
	byNet, ok := s.perms[from.Addr()]
	if bound {
		byNet, ok = s.channels[number].net, true
	}
	s.mu.RUnlock()
	// A service on an own address gets no word in through the back door.
	if !ok || n == 0 || !(byNet || direct) {
		s.srv.stats.dropped.Add(1)
		return
	}
	s.down.add(n)
	if bound {
		off -= channelHeader
		binary.BigEndian.PutUint16(b[off:], number)
		binary.BigEndian.PutUint16(b[off+2:], uint16(n))
		s.via.toClient(s, b[off:off+channelHeader+n], out)
		return
	}
	s.via.toClient(s, wrapData(b, off, n, from), out)
}

// wrapData writes a Data indication around b[off:off+n] and returns it.
func wrapData(b []byte, off, n int, from netip.AddrPort) []byte {
	addr := from.Addr().AsSlice()
	length := attrHeader + 4 + len(addr) + attrHeader + padded(n)
	start := off - stunHeader - (length - padded(n))
	h := b[start:]
	binary.BigEndian.PutUint16(h, dataIndication)
	binary.BigEndian.PutUint16(h[2:], uint16(length))
	binary.BigEndian.PutUint32(h[4:], magicCookie)
	// The transaction id of an indication only has to differ from others.
	binary.BigEndian.PutUint64(h[8:], rand.Uint64())
	binary.BigEndian.PutUint32(h[16:], rand.Uint32())

	a := h[stunHeader:]
	binary.BigEndian.PutUint16(a, attrPeer)
	binary.BigEndian.PutUint16(a[2:], uint16(4+len(addr)))
	a[4], a[5] = 0, 1
	if len(addr) == 16 {
		a[5] = 2
	}
	binary.BigEndian.PutUint16(a[6:], from.Port()^magicCookie>>16)
	for i := range addr {
		a[8+i] = addr[i] ^ h[4+i] // cookie and transaction id, as they stand in the header
	}
	d := a[8+len(addr):]
	binary.BigEndian.PutUint16(d, attrData)
	binary.BigEndian.PutUint16(d[2:], uint16(n))
	clear(b[off+n : off+padded(n)])
	return b[start : off+padded(n)]
}

func padded(n int) int { return (n + 3) &^ 3 }

// parseSend reads a Send indication: the peer, and where in b the data lies.
func parseSend(b []byte) (to netip.AddrPort, off, n int, ok bool) {
	if len(b) < stunHeader || int(binary.BigEndian.Uint16(b[2:]))+stunHeader > len(b) {
		return to, 0, 0, false
	}
	end := stunHeader + int(binary.BigEndian.Uint16(b[2:]))
	for at := stunHeader; at+attrHeader <= end; {
		typ, l := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		at += attrHeader
		if at+l > end {
			return to, 0, 0, false
		}
		switch {
		case typ == attrPeer && !to.IsValid():
			to = xorAddress(b[at:at+l], b[4:stunHeader])
		case typ == attrData && off == 0:
			off, n = at, l
		case typ < 0x8000 && typ != attrPeer && typ != attrData:
			// RFC 8489 §6.3.2: an indication with something in it that must be
			// understood and is not is dropped. This includes DONT-FRAGMENT.
			return to, 0, 0, false
		}
		at += padded(l)
	}
	return to, off, n, to.IsValid() && off > 0
}

// xorAddress decodes the value of XOR-PEER-ADDRESS. Mask is the cookie and
// the transaction id.
func xorAddress(v, mask []byte) netip.AddrPort {
	if len(v) != 8 && len(v) != 20 || int(v[1]) != len(v)/12+1 {
		return netip.AddrPort{}
	}
	var ip [16]byte
	for i := range v[4:] {
		ip[i] = v[4+i] ^ mask[i]
	}
	addr, _ := netip.AddrFromSlice(ip[:len(v)-4])
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(v[2:])^magicCookie>>16)
}
