package turn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"

	pion "github.com/pion/turn/v5"
)

// relayAddr is where relays of one family live.
type relayAddr struct {
	public netip.Addr // what clients and peers are told; invalid: no such relays
	bind   netip.Addr // what sockets are bound to; differs behind NAT
}

// relayAddrs is relayAddr for both families.
type relayAddrs struct{ v4, v6 relayAddr }

func (r relayAddrs) has(a netip.Addr) bool {
	return a.IsValid() && (a == r.v4.public || a == r.v6.public)
}

func (r relayAddrs) all() []netip.Addr {
	var list []netip.Addr
	for _, a := range []netip.Addr{r.v4.public, r.v4.bind, r.v6.public, r.v6.bind} {
		if a.IsValid() && !a.IsUnspecified() {
			list = append(list, a)
		}
	}
	return list
}

// findRelayAddrs decides where relays live: at the external address if given,
// else where the server listens, else where the default route begins.
func findRelayAddrs(cfg Config) (relayAddrs, error) {
	local := interfaceAddrs()
	everywhere := listensEverywhere(cfg)
	find := func(four bool, network, anywhere string) relayAddr {
		listen := firstListen(cfg, four)
		route := routeSource(network, anywhere)
		for _, a := range cfg.External {
			if a = a.Unmap(); a.Is4() == four && local[a] {
				return relayAddr{a, a}
			} else if a.Is4() == four {
				return relayAddr{a, firstValid(listen, route, unspecified(four))}
			}
		}
		if len(cfg.External) > 0 {
			return relayAddr{} // the operator named the families there are
		}
		if !everywhere {
			route = netip.Addr{} // who listens on loopback does not want relays on the internet
		}
		a := firstValid(listen, route)
		return relayAddr{a, a}
	}
	// Connecting a UDP socket sends nothing. Any public address will do.
	r := relayAddrs{v4: find(true, "udp4", "1.1.1.1:9"), v6: find(false, "udp6", "[2606:4700:4700::1111]:9")}
	if !r.v4.public.IsValid() && !r.v6.public.IsValid() {
		return r, errors.New("turn: cannot tell which address relays have: there is no default route; name the external address")
	}
	return r, nil
}

// warnOfNAT tells the operator of the mistake that otherwise shows only when
// people elsewhere hear nothing. Who names one private address to listen on or
// to be reached at knows that it is one.
func (s *Server) warnOfNAT() {
	if a := s.relays.v4.public; a.IsPrivate() && listensEverywhere(s.cfg) && len(s.cfg.External) == 0 {
		s.log.Warn("turn relays have a private address, which only this network reaches: write the public one into network.external", "addr", a)
	}
}

// listensEverywhere reports whether some listen address is not one address.
func listensEverywhere(cfg Config) bool {
	for _, s := range slices.Concat(cfg.UDP, cfg.TCP, cfg.TLS) {
		ap, err := netip.ParseAddrPort(s)
		if err != nil || ap.Addr().IsUnspecified() {
			return true
		}
	}
	return false
}

// firstListen is the first listen address of a family that is one address.
func firstListen(cfg Config, four bool) netip.Addr {
	for _, s := range slices.Concat(cfg.UDP, cfg.TCP, cfg.TLS) {
		ap, err := netip.ParseAddrPort(s)
		if a := ap.Addr().Unmap(); err == nil && a.Is4() == four && !a.IsUnspecified() {
			return a.WithZone("")
		}
	}
	return netip.Addr{}
}

func routeSource(network, to string) netip.Addr {
	c, err := net.Dial(network, to)
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return addrPort(c.LocalAddr()).Addr()
}

func unspecified(four bool) netip.Addr {
	if four {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func firstValid(list ...netip.Addr) netip.Addr {
	for _, a := range list {
		if a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}

var (
	errQuota = errors.New("turn: quota reached")
	errPorts = errors.New("turn: no free relay port")
	errNoTCP = errors.New("turn: no TCP relays")
)

// relayMaker is pion's RelayAddressGenerator.
type relayMaker struct{ *Server }

// Validate has nothing to check: Start did.
func (s relayMaker) Validate() error { return nil }

// AllocatePacketConn opens a relay.
func (s relayMaker) AllocatePacketConn(cfg pion.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	network, at := "udp4", s.relays.v4
	if cfg.Network == "udp6" {
		network, at = "udp6", s.relays.v6
	}
	if cfg.UserID == "" {
		return s.probeEvenPort()
	}
	if !at.public.IsValid() {
		return nil, nil, fmt.Errorf("turn: no %s relays here", network)
	}
	_, user, _ := splitUsername(cfg.UserID)
	if !s.quota.take(user) {
		return nil, nil, errQuota
	}
	sock, err := s.openRelay(network, at.bind, cfg.RequestedPort)
	if err != nil {
		s.quota.release(user)
		return nil, nil, err
	}
	sess := newSession(s.Server, cfg.UserID, user, netip.AddrPortFrom(at.public, sock.addr.Port()), sock)
	s.mu.Lock()
	s.sessions[sess.relay] = sess
	s.mu.Unlock()
	s.running.Add(2) // sess.ReadFrom and sess.Close
	s.stats.allocations.Add(1)
	return sess, udpAddr(sess.relay), nil
}

// openRelay binds a port of the range: random ones first, so that the next
// port cannot be guessed, then whatever is left.
func (s relayMaker) openRelay(network string, bind netip.Addr, port int) (*socket, error) {
	try := func(port int) (*socket, error) {
		return openSocket(network, netip.AddrPortFrom(bind, uint16(port)).String(), relayBuffer)
	}
	low, n := int(s.cfg.RelayMin), int(s.cfg.RelayMax)-int(s.cfg.RelayMin)+1
	if port != 0 {
		if port < low || port >= low+n {
			return nil, errPorts
		}
		return try(port)
	}
	for range min(n, 16) {
		if sock, err := try(low + rand.IntN(n)); err == nil {
			return sock, nil
		}
	}
	start := rand.IntN(n)
	for i := range n {
		if sock, err := try(low + (start+i)%n); err == nil {
			return sock, nil
		}
	}
	s.log.Warn("turn has no free relay port", "from", s.cfg.RelayMin, "to", s.cfg.RelayMax)
	return nil, errPorts
}

// probeEvenPort answers pion's search for a port for EVEN-PORT: an even one
// with its odd neighbour free, too. pion closes it and then asks for it.
func (s relayMaker) probeEvenPort() (net.PacketConn, net.Addr, error) {
	network, at := "udp4", s.relays.v4
	if !at.public.IsValid() {
		network, at = "udp6", s.relays.v6
	}
	low := (int(s.cfg.RelayMin) + 1) &^ 1
	pairs := (int(s.cfg.RelayMax) - low + 1) / 2
	for range min(max(pairs, 0), 64) {
		port := low + 2*rand.IntN(pairs)
		even, err := s.openRelay(network, at.bind, port)
		if err != nil {
			continue
		}
		odd, err := s.openRelay(network, at.bind, port+1)
		if err != nil {
			_ = even.Close()
			continue
		}
		_ = odd.Close()
		return even.conn, udpAddr(netip.AddrPortFrom(at.public, uint16(port))), nil
	}
	return nil, nil, errPorts
}

// AllocateListener refuses TCP relays (RFC 6062). Media is UDP, and a TCP
// relay is a proxy to whatever listens out there.
func (s relayMaker) AllocateListener(pion.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errNoTCP
}

// AllocateConn refuses, like AllocateListener.
func (s relayMaker) AllocateConn(pion.AllocateConnConfig) (net.Conn, error) { return nil, errNoTCP }
