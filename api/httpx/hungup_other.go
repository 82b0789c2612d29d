//go:build !unix

package httpx

import "net"

// hungUp cannot be told here: the answer will find out.
func hungUp(net.Conn) bool { return false }
