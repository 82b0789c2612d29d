package netguard

import (
	"fmt"
	"net/netip"
	"syscall"
)

// RefusedError says that a connection was not made because of where it led.
type RefusedError struct {
	Addr   netip.Addr
	Reason string // as Special gives it
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("connections to %s are refused: %s address", e.Addr, e.Reason)
}

// Control returns a function for net.Dialer.Control that refuses special
// addresses, except those in allowed, with a *RefusedError.
//
// The dialer calls it with the address it is about to connect to, after the
// name was looked up, so a name that changes its answer between a check and
// the connection (DNS rebinding) gains nothing. Every redirect and every
// retry of an http.Transport with this dialer passes through it too.
func Control(allowed Ranges) func(network, address string, c syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("connections to %q are refused: not an address and port", address)
		}
		addr := ap.Addr()
		if allowed.Contains(addr) {
			return nil
		}
		if reason, special := Special(addr); special {
			return &RefusedError{Addr: addr, Reason: reason}
		}
		return nil
	}
}
