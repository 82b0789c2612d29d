package turn

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Linux moves many datagrams with one system call (recvmmsg, sendmmsg). The
// kernel's work per packet stays; what is saved is the way there and back.

type mmsghdr struct {
	unix.Msghdr
	n uint32
}

// controlSize holds one packet-info message of either family.
const controlSize = 64

func prepareSocket(fd uintptr, buffer int) {
	// Failure of any of these costs performance or a broadcast, not more. The
	// "force" variants pass the system's limit but need CAP_NET_ADMIN.
	for opt, force := range map[int]int{
		unix.SO_RCVBUF: unix.SO_RCVBUFFORCE,
		unix.SO_SNDBUF: unix.SO_SNDBUFFORCE,
	} {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, force, buffer) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, opt, buffer)
		}
	}
	// package net allows broadcasts; no peer is one.
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 0)
}

// reportLocal makes the kernel say where each datagram was sent to.
func (s *socket) reportLocal() bool {
	level, opt := unix.IPPROTO_IP, unix.IP_PKTINFO
	if s.six {
		level, opt = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	}
	var err error
	if s.raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, opt, 1) }) != nil {
		return false
	}
	return err == nil
}

// inbox is room for the datagrams of one recvmmsg.
type inbox struct {
	packets []packet
	hdrs    []mmsghdr
	iovs    []unix.Iovec
	names   []unix.RawSockaddrInet6 // large enough for either family
	control [][controlSize]byte
}

func (in *inbox) init(size int) {
	const slot = headroom + maxDatagram + tailroom
	space := make([]byte, size*slot)
	in.packets = make([]packet, size)
	in.hdrs = make([]mmsghdr, size)
	in.iovs = make([]unix.Iovec, size)
	in.names = make([]unix.RawSockaddrInet6, size)
	in.control = make([][controlSize]byte, size)
	for i := range size {
		p, h := &in.packets[i], &in.hdrs[i]
		p.slot = space[i*slot : (i+1)*slot : (i+1)*slot]
		in.iovs[i].Base = &p.slot[headroom]
		in.iovs[i].SetLen(maxDatagram)
		h.Iov = &in.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&in.names[i]))
	}
}

// receive reads what is there, without waiting, and returns the packets.
func (in *inbox) receive(fd uintptr, s *socket) ([]packet, unix.Errno) {
	for i := range in.hdrs {
		h := &in.hdrs[i]
		h.Namelen = unix.SizeofSockaddrInet6
		if s.anyLocal {
			h.Control = &in.control[i][0]
			h.SetControllen(controlSize)
		}
	}
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd,
		uintptr(unsafe.Pointer(&in.hdrs[0])), uintptr(len(in.hdrs)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return nil, errno
	}
	n := int(r)
	for i := range n {
		p, h := &in.packets[i], &in.hdrs[i]
		p.n = int(h.n)
		if h.Flags&unix.MSG_TRUNC != 0 {
			p.n = 0 // too long, and what is left of it helps nobody
		}
		p.from = readSockaddr(&in.names[i])
		p.local = netip.Addr{}
		if s.anyLocal {
			p.local = readPacketInfo(in.control[i][:min(int(h.Controllen), controlSize)])
		}
	}
	return in.packets[:n], 0
}

// reader waits for datagrams on one socket. It borrows a batch only while
// there is something in it, because most relays are silent most of the time.
type reader struct {
	sock    *socket
	borrow  func() *batch
	giveUp  func(*batch)
	handle  func(*batch, []packet) (stop bool)
	err     error
	attempt func(fd uintptr) bool
}

func newReader(s *socket, borrow func() *batch, giveUp func(*batch), handle func(*batch, []packet) bool) *reader {
	r := &reader{sock: s, borrow: borrow, giveUp: giveUp, handle: handle}
	r.attempt = r.readAndHandle // made once, not once per read
	return r
}

// run passes what arrives to handle, until that returns true or the socket is
// closed, which is an error. The packets are handle's until it returns.
func (r *reader) run() error {
	if err := r.sock.raw.Read(r.attempt); err != nil {
		return err
	}
	return r.err
}

// readAndHandle is called by package net, again each time the socket becomes
// readable, until it returns true. A batch that is not full has emptied the
// socket. What comes after it makes the socket readable anew, so there is no
// need to ask again now, and that saves every other system call.
func (r *reader) readAndHandle(fd uintptr) (done bool) {
	b := r.borrow()
	defer r.giveUp(b)
	for {
		got, errno := b.receive(fd, r.sock)
		switch {
		case errno == unix.EAGAIN:
			return false
		case errno == unix.EINTR:
			continue
		case errno != 0:
			r.err = errno
			return true
		}
		if r.handle(b, got) {
			return true
		}
		if len(got) < len(b.packets) {
			return false
		}
	}
}

// outboxSize bounds the datagrams of one sendmmsg.
const outboxSize = 64

// outbox collects datagrams for one socket at a time. What is added must not
// change until flush.
type outbox struct {
	sock    *socket
	n       int
	hdrs    [outboxSize]mmsghdr
	iovs    [outboxSize]unix.Iovec
	names   [outboxSize]unix.RawSockaddrInet6
	control [outboxSize][controlSize]byte
	send    func(fd uintptr)
}

// add queues data for to. An invalid local address leaves the source address
// to the kernel. It flushes first if the outbox is full or for another socket.
func (o *outbox) add(s *socket, data []byte, to netip.AddrPort, local netip.Addr) {
	if o.sock != s || o.n == outboxSize {
		o.flush()
		o.sock = s
	}
	if len(data) == 0 {
		return // an empty datagram means nothing to media
	}
	i := o.n
	o.n++
	h := &o.hdrs[i]
	o.iovs[i].Base = &data[0]
	o.iovs[i].SetLen(len(data))
	h.Iov = &o.iovs[i]
	h.SetIovlen(1)
	h.Name = (*byte)(unsafe.Pointer(&o.names[i]))
	h.Namelen = writeSockaddr(&o.names[i], to, s.six)
	h.Control = nil
	h.SetControllen(0)
	if local.IsValid() {
		h.Control = &o.control[i][0]
		h.SetControllen(writePacketInfo(&o.control[i], local, s.six))
	}
}

// flush sends what was added. What the kernel does not take is dropped, as
// any router would: waiting would delay everybody else.
func (o *outbox) flush() {
	if o.n == 0 {
		return
	}
	if o.send == nil {
		o.send = o.sendAll
	}
	// Control, not Write: it keeps the descriptor open but does not make
	// senders on the same socket wait for each other.
	_ = o.sock.raw.Control(o.send)
	o.n = 0
}

func (o *outbox) sendAll(fd uintptr) {
	if h := &o.hdrs[0]; o.n == 1 && h.Controllen == 0 {
		// The common case on a quiet server, and the cheaper call.
		for {
			_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd,
				uintptr(unsafe.Pointer(o.iovs[0].Base)), uintptr(o.iovs[0].Len), unix.MSG_DONTWAIT,
				uintptr(unsafe.Pointer(&o.names[0])), uintptr(h.Namelen))
			if errno != unix.EINTR {
				return
			}
		}
	}
	for i := 0; i < o.n; {
		r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(&o.hdrs[i])), uintptr(o.n-i), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			i++ // the first one failed; the rest may have other destinations
		default:
			i += int(r)
		}
	}
}

// Sockaddrs carry their port in network byte order.

func readSockaddr(sa *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), port)
	}
	addr := netip.AddrFrom16(sa.Addr)
	if sa.Scope_id != 0 {
		addr = addr.WithZone(strconv.FormatUint(uint64(sa.Scope_id), 10))
	}
	return netip.AddrPortFrom(addr, port)
}

func writeSockaddr(sa *unix.RawSockaddrInet6, to netip.AddrPort, six bool) uint32 {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
	if !six {
		sa.Family = unix.AF_INET
		(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr = to.Addr().Unmap().As4()
		return unix.SizeofSockaddrInet4
	}
	sa.Family = unix.AF_INET6
	sa.Flowinfo, sa.Scope_id = 0, 0
	sa.Addr = to.Addr().As16()
	if zone := to.Addr().Zone(); zone != "" {
		if id, err := strconv.ParseUint(zone, 10, 32); err == nil {
			sa.Scope_id = uint32(id)
		}
	}
	return unix.SizeofSockaddrInet6
}

func readPacketInfo(control []byte) netip.Addr {
	if len(control) < unix.CmsgLen(0) {
		return netip.Addr{}
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	data := control[unix.CmsgLen(0):]
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		return netip.AddrFrom4((*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Spec_dst)
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		return netip.AddrFrom16((*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0])).Addr)
	}
	return netip.Addr{}
}

func writePacketInfo(control *[controlSize]byte, local netip.Addr, six bool) int {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	data := unsafe.Pointer(&control[unix.CmsgLen(0)])
	if six {
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
		*(*unix.Inet6Pktinfo)(data) = unix.Inet6Pktinfo{Addr: local.As16()}
		return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
	*(*unix.Inet4Pktinfo)(data) = unix.Inet4Pktinfo{Spec_dst: local.Unmap().As4()}
	return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
}
