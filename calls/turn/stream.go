package turn

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

// streamFront is a TCP or TLS listener. pion takes connections from it, each
// of which hands pion nothing but whole requests that passed the gate.
type streamFront struct {
	srv   *Server
	ln    net.Listener
	addr  netip.AddrPort
	tls   *tls.Config // nil for plain TCP
	close chan struct{}

	mu      sync.Mutex
	closed  bool
	conns   map[endpoints]*streamConn
	waiting map[netip.Prefix]int // connections without a session yet, by source
	idle    int                  // and all of them

	ended, closing sync.Once
}

// endpoints names a connection. The client's address alone does not: a listener on
// all addresses may have two connections from the same port.
type endpoints struct{ client, local netip.AddrPort }

// maxIdle bounds the connections without a session, however many addresses
// they come from: each costs a file descriptor and some memory.
const maxIdle = 4096

func newStreamFront(s *Server, ln net.Listener, cfg *tls.Config) *streamFront {
	f := &streamFront{
		srv: s, ln: ln, addr: addrPort(ln.Addr()),
		close: make(chan struct{}),
		conns: map[endpoints]*streamConn{}, waiting: map[netip.Prefix]int{},
	}
	if cfg != nil {
		f.tls = cfg.Clone()
		f.tls.NextProtos = []string{"stun.turn", "stun.nat-discovery"} // RFC 7443
	}
	return f
}

// Accept returns the next connection for pion, which gives up listening at the
// first error, so it gets none but the last.
func (f *streamFront) Accept() (net.Conn, error) {
	for {
		raw, err := f.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			f.ended.Do(f.srv.running.Done)
			return nil, err
		}
		if err != nil { // out of file descriptors, most likely
			f.srv.log.Warn("turn cannot accept a connection", "err", err)
			select {
			case <-time.After(time.Second):
			case <-f.close:
			}
			continue
		}
		if c := f.admit(raw); c != nil {
			return c, nil
		}
		_ = raw.Close()
	}
}

// admit makes a connection of raw, unless its source has too many already
// that did nothing useful yet.
func (f *streamFront) admit(raw net.Conn) *streamConn {
	at := endpoints{addrPort(raw.RemoteAddr()), addrPort(raw.LocalAddr())}
	// The handshake of TLS counts as idling, too.
	if raw.SetDeadline(time.Now().Add(f.srv.cfg.Idle)) != nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	from := sourceOf(at.client.Addr())
	if f.closed || f.waiting[from] >= f.srv.cfg.ConnsPerIP || f.idle >= maxIdle {
		f.srv.stats.limited.Add(1)
		return nil
	}
	f.waiting[from]++
	f.idle++
	c := newStreamConn(f, raw, at)
	f.conns[at] = c
	f.srv.running.Add(2) // pion's goroutine and the writer
	go c.write()
	return c
}

// stopWaiting is called once per connection, when it gets a session or ends.
func (f *streamFront) stopWaiting(c *streamConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle--
	from := sourceOf(c.at.client.Addr())
	if f.waiting[from]--; f.waiting[from] == 0 {
		delete(f.waiting, from)
	}
}

func (f *streamFront) forget(c *streamConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c.at)
}

func (f *streamFront) linked(client, local net.Addr, s *session) {
	f.mu.Lock()
	c := f.conns[endpoints{addrPort(client), addrPort(local)}]
	f.mu.Unlock()
	if c != nil {
		c.link(s)
	}
}

func (f *streamFront) Addr() net.Addr { return f.ln.Addr() }

// Close stops listening. Connections stay open; see closeConns.
func (f *streamFront) Close() error {
	err := net.ErrClosed
	f.closing.Do(func() {
		close(f.close)
		err = f.ln.Close()
	})
	return err
}

// closeConns closes all connections; there will be no new ones.
func (f *streamFront) closeConns() {
	f.mu.Lock()
	f.closed = true
	var all []*streamConn
	for _, c := range f.conns {
		all = append(all, c)
	}
	f.mu.Unlock()
	for _, c := range all {
		c.shut()
	}
}

// nextRequest reads messages from the client until one is left for pion to
// handle, which it returns. Media is relayed on the way.
func (c *streamConn) nextRequest() ([]byte, error) {
	for {
		frame, err := c.nextFrame()
		if err != nil {
			return nil, err
		}
		if isChannelData(frame) {
			c.relayChannel(frame)
			continue
		}
		if isSend(frame) {
			c.relaySend(frame)
			continue
		}
		c.msg.Raw = frame
		if c.msg.Decode() != nil {
			return nil, errors.New("turn: not a STUN message")
		}
		if left := c.front.srv.gate(&c.msg, c); left != nil {
			return left, nil
		}
	}
}

func (c *streamConn) relayChannel(frame []byte) {
	s := c.sess.Load()
	number, n, ok := channelData(frame)
	if s == nil || !ok || n > maxDatagram {
		return
	}
	b := c.scratch()
	copy(b[headroom:], frame[channelHeader:channelHeader+n])
	s.channelToPeer(number, b, headroom, n, &c.out)
	c.out.flush()
}

func (c *streamConn) relaySend(frame []byte) {
	s := c.sess.Load()
	if s == nil || len(frame) > maxDatagram {
		return
	}
	b := c.scratch()
	n := copy(b[headroom:], frame)
	s.indicationToPeer(b, headroom, headroom+n, &c.out)
	c.out.flush()
}

// frameLength reports how long the message is that b begins with, padding
// included, or that more bytes are needed to say.
func frameLength(b []byte) (n int, known bool, err error) {
	if len(b) < channelHeader {
		return 0, false, nil
	}
	length := int(b[2])<<8 | int(b[3])
	switch b[0] >> 6 {
	case 0:
		if len(b) < stunHeader {
			return 0, false, nil
		}
		if !stun.IsMessage(b) || length%4 != 0 {
			return 0, false, errors.New("turn: neither STUN nor ChannelData")
		}
		return stunHeader + length, true, nil
	case 1:
		// RFC 8656 §12.5: over a stream, padded to four bytes.
		return channelHeader + padded(length), true, nil
	}
	return 0, false, errors.New("turn: neither STUN nor ChannelData")
}
