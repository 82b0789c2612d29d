package turn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
)

const (
	streamBuffer = 16 << 10
	// maxQueue bounds what waits for a client that reads too slowly, in bytes.
	// Beyond it media is dropped: late packets are worth nothing to a call.
	maxQueue = 128 << 10
	// writeTimeout ends a connection whose client does not read at all.
	writeTimeout = 30 * time.Second
)

// streamConn is a client's TCP or TLS connection. pion reads requests from it
// and writes answers to it.
type streamConn struct {
	front         *streamFront
	raw           net.Conn // TCP
	conn          net.Conn // raw, or TLS over cork over raw
	cork          *cork    // nil without TLS
	at            endpoints
	local, remote net.Addr // always the same values: pion makes keys of them
	sess          atomic.Pointer[session]
	settled       sync.Once // no longer counts as waiting

	// For the goroutine that reads.
	in   []byte // bytes read
	off  int    // of them, already handled
	slot []byte
	out  outbox
	msg  stun.Message

	mu    sync.Mutex
	more  *sync.Cond // queue has grown, or shut
	queue []byte
	ends  []int // of the messages in queue; only with TLS
	done  bool

	closing sync.Once
}

func newStreamConn(f *streamFront, raw net.Conn, at endpoints) *streamConn {
	c := &streamConn{front: f, raw: raw, conn: raw, at: at, local: raw.LocalAddr(), remote: raw.RemoteAddr()}
	if f.tls != nil {
		c.cork = &cork{Conn: raw}
		c.conn = tls.Server(c.cork, f.tls)
	}
	c.more = sync.NewCond(&c.mu)
	return c
}

// Read gives pion the next request, whole. It also makes the TLS handshake.
func (c *streamConn) Read(b []byte) (_ int, err error) {
	defer func() {
		if c.front.srv.caught(recover()) {
			err = net.ErrClosed // pion ends the connection
		}
	}()
	for {
		req, err := c.nextRequest()
		if err != nil {
			return 0, err
		}
		if len(req) <= len(b) && len(req) < maxRequest {
			return copy(b, req), nil
		}
	}
}

// nextFrame returns the next message with its padding. It is valid until the
// next call.
func (c *streamConn) nextFrame() ([]byte, error) {
	if c.in == nil {
		c.in = make([]byte, 0, streamBuffer)
	}
	for {
		n, known, err := frameLength(c.in[c.off:])
		switch {
		case err != nil:
			return nil, err
		case known && n > cap(c.in):
			return nil, errors.New("turn: message too long")
		case known && n <= len(c.in)-c.off:
			// No spare capacity: pion/stun uses what lies behind a message as
			// scratch space, and here the next message lies there.
			frame := c.in[c.off : c.off+n : c.off+n]
			c.off += n
			return frame, nil
		}
		c.in = c.in[:copy(c.in[:cap(c.in)], c.in[c.off:])]
		c.off = 0
		got, err := c.conn.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+got]
		if got == 0 {
			if err == nil {
				err = io.ErrNoProgress
			}
			return nil, err
		}
	}
}

// scratch is room for one packet with headroom. Frames lie too close together
// in the read buffer to write headers in front of them.
func (c *streamConn) scratch() []byte {
	if c.slot == nil {
		c.slot = make([]byte, headroom+maxDatagram+tailroom)
	}
	return c.slot
}

func (c *streamConn) source() netip.AddrPort { return c.at.client }
func (c *streamConn) session() *session      { return c.sess.Load() }
func (c *streamConn) answer(b []byte)        { c.push(b, 0, 2*maxQueue) }

// Write sends pion's answer.
func (c *streamConn) Write(b []byte) (int, error) {
	c.answer(b)
	return len(b), nil
}

// toClient implements downlink.
func (c *streamConn) toClient(_ *session, b []byte, _ *outbox) {
	c.push(b, padded(len(b))-len(b), maxQueue)
}

// push queues b and pad zero bytes, unless the queue is longer than limit.
func (c *streamConn) push(b []byte, pad, limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done || len(c.queue)+len(b)+pad > limit {
		c.front.srv.stats.dropped.Add(1)
		return
	}
	c.queue = append(c.queue, b...)
	c.queue = append(c.queue, "\x00\x00\x00"[:pad]...)
	if c.cork != nil {
		c.ends = append(c.ends, len(c.queue))
	}
	c.more.Signal()
}

// write sends the queue until the connection is shut. Whatever piled up since
// the last write leaves in one piece.
func (c *streamConn) write() {
	defer c.front.srv.running.Done()
	var sending []byte
	var ends []int
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.done {
			c.more.Wait()
		}
		if c.done {
			c.mu.Unlock()
			return
		}
		sending, c.queue = c.queue, sending[:0]
		ends, c.ends = c.ends, ends[:0]
		c.mu.Unlock()
		if c.send(sending, ends) != nil {
			c.shut()
			return
		}
	}
}

// send writes messages. With TLS each gets a record of its own, because some
// clients, coturn's among them, take a record for a message.
func (c *streamConn) send(messages []byte, ends []int) error {
	if err := c.raw.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if c.cork == nil {
		_, err := c.conn.Write(messages)
		return err
	}
	c.cork.hold()
	from := 0
	for _, end := range ends {
		if _, err := c.conn.Write(messages[from:end]); err != nil {
			return err
		}
		from = end
	}
	return c.cork.release()
}

func (c *streamConn) link(s *session) {
	s.link(c.at.client, netip.Addr{}, c)
	c.sess.Store(s)
	c.settle()
	_ = c.raw.SetReadDeadline(time.Time{}) // if this fails, so will the next read
}

// unlink starts the clock again: a connection without an allocation has
// nothing to wait for.
func (c *streamConn) unlink(s *session) {
	if c.sess.CompareAndSwap(s, nil) {
		_ = c.raw.SetReadDeadline(time.Now().Add(c.front.srv.cfg.Idle))
	}
}

func (c *streamConn) settle() {
	c.settled.Do(func() { c.front.stopWaiting(c) })
}

// shut closes the connection. Who is reading or writing gets an error.
func (c *streamConn) shut() {
	c.mu.Lock()
	first := !c.done
	c.done = true
	c.queue, c.ends = nil, nil
	c.more.Broadcast()
	c.mu.Unlock()
	if !first {
		return
	}
	// A polite goodbye (close_notify) may take a second, not more.
	_ = c.raw.SetDeadline(time.Now().Add(time.Second))
	_ = c.conn.Close()
}

// Close is pion's last word on the connection, and ours.
func (c *streamConn) Close() error {
	c.shut()
	c.closing.Do(func() {
		c.settle()
		c.front.forget(c)
		c.front.srv.running.Done()
	})
	return nil
}

func (c *streamConn) transport() string {
	if c.cork != nil {
		return "tls"
	}
	return "tcp"
}

func (c *streamConn) LocalAddr() net.Addr  { return c.local }
func (c *streamConn) RemoteAddr() net.Addr { return c.remote }

func (c *streamConn) SetDeadline(time.Time) error      { return nil }
func (c *streamConn) SetReadDeadline(time.Time) error  { return nil }
func (c *streamConn) SetWriteDeadline(time.Time) error { return nil }

// cork collects what TLS writes, so that many records leave in one system call.
type cork struct {
	net.Conn
	mu      sync.Mutex
	holding bool
	held    []byte
}

func (k *cork) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.holding {
		k.held = append(k.held, b...)
		return len(b), nil
	}
	return k.Conn.Write(b)
}

func (k *cork) hold() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holding = true
}

func (k *cork) release() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err := k.Conn.Write(k.held)
	k.holding, k.held = false, k.held[:0]
	return err
}
