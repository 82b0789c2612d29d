package turn

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
	pion "github.com/pion/turn/v5"
)

// asker is where a request comes from and its answer goes.
type asker interface {
	source() netip.AddrPort
	session() *session // the asker's allocation, or nil
	answer(b []byte)
}

// gate is what every STUN request passes before pion sees it. It returns the
// message that pion shall handle, or nil if the gate has dealt with it.
//
// pion knows less than a decision needs: its permission hook sees no port and
// no user, and it answers some refusals with a wrong code and others with
// silence. So whatever is refused for a reason of ours is refused here. What
// the gate lets pass, pion still checks by its own rules, the nonce included.
func (s *Server) gate(m *stun.Message, from asker) []byte {
	if m.Type.Class != stun.ClassRequest {
		return nil
	}
	switch m.Type.Method {
	case stun.MethodBinding:
		if !s.unauth.take(from.source().Addr()) {
			s.stats.limited.Add(1)
			return nil
		}
		return m.Raw
	case stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind:
		return s.gateTURN(m, from)
	}
	return nil // TCP relays (RFC 6062) are not offered, nor is anything newer
}

func (s *Server) gateTURN(m *stun.Message, from asker) []byte {
	key, username, ok := s.authentic(m, from.session())
	if !ok {
		if !s.unauth.take(from.source().Addr()) {
			s.stats.limited.Add(1)
			return nil
		}
		if m.Contains(stun.AttrMessageIntegrity) {
			s.stats.badAuth.Add(1)
			return challenge(m)
		}
		return m.Raw
	}
	// Whoever has credentials is no spoofed address: the 401 that every
	// session begins with shall not count against a busy household.
	s.unauth.refund(from.source().Addr())
	if code := s.objection(m, from.session(), username); code != 0 {
		from.answer(refusal(m, code, key))
		return nil
	}
	return m.Raw
}

// authentic checks user name and MESSAGE-INTEGRITY. The nonce is pion's matter.
func (s *Server) authentic(m *stun.Message, sess *session) (key []byte, username string, ok bool) {
	var name stun.Username
	var realm stun.Realm
	if name.GetFrom(m) != nil || realm.GetFrom(m) != nil || realm.String() != s.cfg.Realm {
		return nil, "", false
	}
	username = name.String()
	// A call may last longer than the credentials that it began with.
	lasting := sess != nil && sess.username == username && m.Type.Method != stun.MethodAllocate
	if !lasting && expired(username, time.Now()) {
		return nil, "", false
	}
	key, ok = s.key(username)
	if !ok || stun.MessageIntegrity(key).Check(m) != nil { // compares in constant time
		return nil, "", false
	}
	return key, username, true
}

// challenge is m without its credentials. To it, pion answers 401 with a fresh
// nonce, as RFC 8489 §9.2.4 wants it for wrong ones, too; pion's own answer
// would be 400, after which clients give up.
func challenge(m *stun.Message) []byte {
	b := make([]byte, stunHeader)
	copy(b, m.Raw[:stunHeader])
	binary.BigEndian.PutUint16(b[2:], 0)
	return b
}

// objection is the error code that an authentic request deserves, or 0.
func (s *Server) objection(m *stun.Message, sess *session, username string) stun.ErrorCode {
	if m.Type.Method == stun.MethodAllocate {
		return s.objectionToAllocate(m)
	}
	switch {
	case sess == nil:
		return stun.CodeAllocMismatch
	case sess.username != username:
		return stun.CodeWrongCredentials
	}
	switch m.Type.Method {
	case stun.MethodCreatePermission:
		return s.objectionToPeers(m, sess, false)
	case stun.MethodChannelBind:
		number, err := m.Get(stun.AttrChannelNumber)
		if err != nil || len(number) != 4 {
			return stun.CodeBadRequest
		}
		if n := binary.BigEndian.Uint16(number); n < minChannel || n > maxChannel {
			return stun.CodeBadRequest
		}
		return s.objectionToPeers(m, sess, true)
	}
	return 0
}

func (s *Server) objectionToAllocate(m *stun.Message) stun.ErrorCode {
	const udp = 17
	if v, err := m.Get(stun.AttrRequestedTransport); err == nil && len(v) == 4 && v[0] != udp {
		return stun.CodeUnsupportedTransProto
	}
	if v, err := m.Get(stun.AttrRequestedAddressFamily); err == nil && len(v) == 4 {
		if v[0] == 1 && s.relays.v4.public.IsValid() || v[0] == 2 && s.relays.v6.public.IsValid() {
			return 0
		}
		return stun.CodeAddrFamilyNotSupported
	}
	return 0
}

// objectionToPeers judges all peers of a request. A refused address weighs more
// than one of the wrong family, so that an answer never depends on luck.
func (s *Server) objectionToPeers(m *stun.Message, sess *session, channel bool) stun.ErrorCode {
	var code stun.ErrorCode
	found := 0
	for _, a := range m.Attributes {
		if a.Type != stun.AttrXORPeerAddress {
			continue
		}
		found++
		p := xorAddress(a.Value, m.Raw[4:stunHeader])
		if !p.IsValid() {
			return stun.CodeBadRequest
		}
		if reason := s.refusesPeer(p); reason != "" {
			s.stats.refusedPeers.Add(1)
			s.log.Debug("turn peer refused", "user", sess.user, "peer", p, "reason", reason)
			return stun.CodeForbidden
		}
		switch {
		case p.Addr().Is4() != sess.relay.Addr().Is4():
			code = stun.CodePeerAddrFamilyMismatch
		case !sess.room(p, channel) || found > maxPermissions:
			code = stun.CodeInsufficientCapacity
		}
	}
	if found == 0 || channel && found > 1 {
		return stun.CodeBadRequest
	}
	return code
}

// refusal is a signed error response to m.
func refusal(m *stun.Message, code stun.ErrorCode, key []byte) []byte {
	r, err := stun.Build(
		stun.NewTransactionIDSetter(m.TransactionID),
		stun.NewType(m.Type.Method, stun.ClassErrorResponse),
		code,
		stun.MessageIntegrity(key),
	)
	if err != nil {
		return nil // only for a code without a reason phrase, and ours have one
	}
	return r.Raw
}

// pionConfig is what all listeners' pion servers share. Linked is told which
// session belongs to which client.
func (s *Server) pionConfig(linked func(client, local net.Addr, sess *session)) pion.ServerConfig {
	sessionOf := func(relay net.Addr) *session { return s.sessionAt(addrPort(relay)) }
	return pion.ServerConfig{
		Realm:         s.cfg.Realm,
		LoggerFactory: newQuietLog(s.log),
		InboundMTU:    maxRequest,
		// Without REQUESTED-ADDRESS-FAMILY a client gets IPv4 (RFC 8656 §7.2),
		// also over IPv6: that is where most peers still are.
		StrictAddressFamily: s.relays.v4.public.IsValid(),
		// The gate has checked signature and expiry; this is only the key.
		AuthHandler: func(ra *pion.RequestAttributes) (string, []byte, bool) {
			key, ok := s.key(ra.Username)
			return ra.Username, key, ok && ra.Realm == s.cfg.Realm
		},
		QuotaHandler: func(username, _ string, _ net.Addr) bool {
			_, user, _ := splitUsername(username)
			ok := s.quota.free(user)
			if !ok {
				s.stats.overQuota.Add(1)
			}
			return ok
		},
		EventHandler: pion.EventHandler{
			OnAllocationCreated: func(client, local net.Addr, _, _, _ string, relay net.Addr, _ int) {
				if sess := sessionOf(relay); sess != nil {
					linked(client, local, sess)
				}
			},
			OnPermissionCreated: func(_, _ net.Addr, _, _, _ string, relay net.Addr, p net.IP) {
				if sess, addr := sessionOf(relay), ipAddr(p); sess != nil && addr.IsValid() {
					sess.permissionMade(addr)
				}
			},
			OnPermissionDeleted: func(_, _ net.Addr, _, _, _ string, relay net.Addr, p net.IP) {
				if sess := sessionOf(relay); sess != nil {
					sess.permissionGone(ipAddr(p))
				}
			},
			OnChannelCreated: func(_, _ net.Addr, _, _, _ string, relay, p net.Addr, number uint16) {
				if sess := sessionOf(relay); sess != nil {
					sess.channelMade(number, addrPort(p))
				}
			},
			OnChannelDeleted: func(_, _ net.Addr, _, _, _ string, relay, _ net.Addr, number uint16) {
				if sess := sessionOf(relay); sess != nil {
					sess.channelGone(number)
				}
			},
		},
	}
}

func ipAddr(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}
