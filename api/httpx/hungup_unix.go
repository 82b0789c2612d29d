//go:build unix

package httpx

import (
	"crypto/tls"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hungUp reports whether the other side has closed a connection. It looks without
// taking anything, and without waiting.
func hungUp(conn net.Conn) (gone bool) {
	if c, ok := conn.(*resumed); ok {
		conn = c.Conn
	}
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch err {
		case nil:
			gone = n == 0
		case unix.EAGAIN, unix.EINTR:
		default:
			gone = true
		}
	})
	return gone || err != nil
}
