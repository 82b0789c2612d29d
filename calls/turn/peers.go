package turn

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"hearth/base/netguard"
)

// ownAddrsAge is how old the list of this machine's addresses may get. DHCP
// and IPv6 privacy addresses change it while we run.
const ownAddrsAge = 30 * time.Second

// peerPolicy decides which peers users may reach. Without it, a relay is a way
// into the operator's network for anybody with an account.
type peerPolicy struct {
	allowed, denied netguard.Ranges

	mu    sync.Mutex
	fixed map[netip.Addr]bool // external and relay addresses
	local map[netip.Addr]bool // addresses of interfaces
	read  time.Time           // when local was read
}

func newPeerPolicy(allowed, denied netguard.Ranges) *peerPolicy {
	return &peerPolicy{allowed: allowed, denied: denied, fixed: map[netip.Addr]bool{}}
}

func (p *peerPolicy) addOwn(addrs ...netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range addrs {
		p.fixed[a.Unmap()] = true
	}
}

// own reports whether addr, without a zone, is an address of this machine, or
// one that leads to it from outside.
func (p *peerPolicy) own(addr netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.read) > ownAddrsAge {
		p.local, p.read = interfaceAddrs(), time.Now()
	}
	return p.fixed[addr] || p.local[addr]
}

// refuses says why addr may not be a peer, or "" if it may. Ports do not
// matter here: live relays on an own address are the caller's exception.
func (p *peerPolicy) refuses(addr netip.Addr) string {
	if addr.Is4In6() {
		// Nobody has this address. It only ever comes up to get around a list.
		return "IPv4-mapped"
	}
	if p.allowed.Contains(addr) {
		return ""
	}
	if p.denied.Contains(addr) {
		return "denied by configuration"
	}
	if reason, special := netguard.Special(addr); special {
		return reason
	}
	if p.own(addr) {
		return "own address"
	}
	return ""
}

func interfaceAddrs() map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return own
	}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				own[addr.Unmap()] = true
			}
		}
	}
	return own
}

// refusesPeer is refuses with the exception for relays: two users of this
// server may talk relay to relay, whatever network the server lives in. Such
// packets never leave the process, so they reach nothing else.
func (s *Server) refusesPeer(peer netip.AddrPort) string {
	if s.sessionAt(peer) != nil {
		return ""
	}
	return s.peers.refuses(peer.Addr())
}

// sessionAt returns the session whose relayed address is at, or nil.
func (s *Server) sessionAt(at netip.AddrPort) *session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.sessions[at]
}

// permitted is pion's question about a peer. The gate has already answered it
// with more at hand, so here only what no client may ever do is refused.
func (s *Server) permitted(_ net.Addr, peer net.IP) bool {
	addr, ok := netip.AddrFromSlice(peer)
	return ok && (s.relays.has(addr) || s.peers.refuses(addr) == "")
}
