package turn

import (
	"net/netip"
	"sync/atomic"
	"time"
)

type counters struct {
	allocations, ended             atomic.Uint64
	overQuota, badAuth             atomic.Uint64
	refusedPeers, limited, dropped atomic.Uint64
}

// Stats are counts since Start.
type Stats struct {
	Allocations  uint64 // made
	Ended        uint64 // of these, over
	OverQuota    uint64 // allocations refused with 486
	BadAuth      uint64 // requests with wrong or expired credentials
	RefusedPeers uint64 // permissions and channels refused with 403
	Limited      uint64 // requests and connections refused by a rate or count
	Dropped      uint64 // packets without permission, channel, or room
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Allocations: c.allocations.Load(), Ended: c.ended.Load(),
		OverQuota: c.overQuota.Load(), BadAuth: c.badAuth.Load(),
		RefusedPeers: c.refusedPeers.Load(), Limited: c.limited.Load(), Dropped: c.dropped.Load(),
	}
}

// Traffic is packets and bytes of payload in one direction.
type Traffic struct{ Packets, Bytes uint64 }

// Session describes an allocation.
type Session struct {
	User      string         // "@user:server", as in the credentials
	Transport string         // between client and server: "udp", "tcp" or "tls"
	Client    netip.AddrPort // where the user is
	Relay     netip.AddrPort // the relayed address
	Since     time.Time
	Sent      Traffic // client to peers
	Received  Traffic // peers to client
}

// Sessions lists the live allocations, in no order.
func (s *Server) Sessions() []Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Session, 0, len(s.sessions))
	for _, sess := range s.sessions {
		list = append(list, sess.snapshot())
	}
	return list
}

func (s *session) snapshot() Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	transport := "udp"
	if c, ok := s.via.(*streamConn); ok {
		transport = c.transport()
	}
	return Session{
		User: s.user, Transport: transport, Client: s.client, Relay: s.relay, Since: s.created,
		Sent:     Traffic{s.up.packets.Load(), s.up.bytes.Load()},
		Received: Traffic{s.down.packets.Load(), s.down.bytes.Load()},
	}
}
