// Package turn is Hearth's TURN server (RFC 8656): it relays the media of
// calls between people whose networks do not let them meet.
//
// pion/turn keeps the protocol's books: nonces, allocations, permissions,
// channels and their timers. What is ours stands in front of and beside it:
// a gate that every request passes first (who asks, for which peer, how
// often), and the data path, which carries every media packet itself and
// never bothers pion with one.
//
// The package knows users only as names inside credentials that it signed. It
// does not know rooms, calls, HTTP, or what a packet means.
package turn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	pion "github.com/pion/turn/v5"

	"hearth/base/netguard"
)

// Config says where the server listens and what it lets users do. The zero
// value of a field that has a default means the default.
type Config struct {
	// UDP, TCP and TLS are listen addresses such as "127.0.0.1:3478" or
	// ":3478" (all addresses of both families). Empty strings are skipped.
	UDP, TCP, TLS []string
	TLSConfig     *tls.Config // needed with TLS; certificate by file or callback

	ServerName string // the homeserver's name
	Realm      string // default ServerName

	// RelayMin and RelayMax bound the UDP ports given to relayed addresses,
	// both included; default 49152 and 65535.
	RelayMin, RelayMax uint16
	// External holds the addresses that peers reach relays at; the first of
	// each family counts. Empty means: the address listened on if it is one,
	// else the source address of the default route.
	External []netip.Addr

	// Key signs credentials, so that they outlive a restart of the process.
	// Empty means a random one for this process.
	Key []byte
	// Secret, if set, takes the place of Key. It is for homeservers elsewhere
	// that are to hand out credentials for this server: coturn's
	// static-auth-secret, Synapse's turn_shared_secret.
	Secret   string
	Lifetime time.Duration // of credentials; default 24 hours

	UserQuota, TotalQuota int // allocations at a time; 0 is no limit

	// Peers are refused unless they are ordinary public addresses. Denied
	// adds to that, Allowed takes precedence over everything else.
	DeniedPeers, AllowedPeers netguard.Ranges

	// Idle is how long a TCP or TLS connection may be open without an
	// allocation; default 30 seconds. ConnsPerIP bounds such connections per
	// source address (IPv6: per /64); default 64.
	Idle       time.Duration
	ConnsPerIP int
	// UnauthRate is how many requests per second without valid credentials are
	// answered per source address (IPv6: per /64), on average; default 20,
	// negative is no limit.
	UnauthRate float64

	// Ended, if set, is called once for each session when it is over. It must
	// not wait: the listener does until it returns.
	Ended func(Session)
	Log   *slog.Logger // default slog.Default()
}

// Server is a TURN server. It is made by New, serves between Start and Stop,
// and cannot be started twice.
type Server struct {
	cfg    Config
	log    *slog.Logger
	secret []byte
	peers  *peerPolicy
	unauth *buckets
	quota  quota
	stats  counters
	relays relayAddrs
	pool   sync.Pool // of *batch, for relays with something to read

	mu       sync.RWMutex
	started  bool
	sessions map[netip.AddrPort]*session // by relayed address
	udp      []*udpFront
	streams  []*streamFront
	running  sync.WaitGroup // fronts, connections and relays
}

// New checks cfg and makes a server that does not listen yet.
func New(cfg Config) (*Server, error) {
	cfg.UDP, cfg.TCP, cfg.TLS = nonEmpty(cfg.UDP), nonEmpty(cfg.TCP), nonEmpty(cfg.TLS)
	cfg.Realm = cmp.Or(cfg.Realm, cfg.ServerName)
	cfg.RelayMin = cmp.Or(cfg.RelayMin, 49152)
	cfg.RelayMax = cmp.Or(cfg.RelayMax, 65535)
	cfg.Lifetime = cmp.Or(cfg.Lifetime, 24*time.Hour)
	cfg.Idle = cmp.Or(cfg.Idle, 30*time.Second)
	cfg.ConnsPerIP = cmp.Or(cfg.ConnsPerIP, 64)
	cfg.UnauthRate = cmp.Or(cfg.UnauthRate, 20)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	switch {
	case len(cfg.UDP)+len(cfg.TCP)+len(cfg.TLS) == 0:
		return nil, errors.New("turn: no address to listen on")
	case cfg.Realm == "":
		return nil, errors.New("turn: neither realm nor server name given")
	case cfg.RelayMin > cfg.RelayMax:
		return nil, fmt.Errorf("turn: relay ports %d-%d end before they begin", cfg.RelayMin, cfg.RelayMax)
	case len(cfg.TLS) > 0 && cfg.TLSConfig == nil:
		return nil, errors.New("turn: a TLS listener needs a certificate")
	}
	s := &Server{
		cfg:      cfg,
		log:      cfg.Log,
		secret:   signingSecret(cfg),
		peers:    newPeerPolicy(cfg.AllowedPeers, cfg.DeniedPeers),
		unauth:   newBuckets(cfg.UnauthRate),
		quota:    quota{perUser: cfg.UserQuota, total: cfg.TotalQuota, users: map[string]int{}},
		sessions: map[netip.AddrPort]*session{},
	}
	s.pool.New = func() any { return newBatch(relayBatch) }
	return s, nil
}

func nonEmpty(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
}

// Start opens all listeners and serves in the background until Stop. If one
// cannot be opened, none is left open, and the error says which it was.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return errors.New("turn: started twice")
	}
	if err := s.listen(); err != nil {
		s.closeListeners()
		return err
	}
	relays, err := findRelayAddrs(s.cfg)
	if err != nil {
		s.closeListeners()
		return err
	}
	s.relays = relays
	s.warnOfNAT()
	s.peers.addOwn(s.cfg.External...)
	s.peers.addOwn(relays.all()...)
	if err := s.serve(); err != nil {
		s.closeListeners()
		return err
	}
	s.started = true
	a := s.addrs()
	s.log.Info("turn server listens", "udp", a.UDP, "tcp", a.TCP, "tls", a.TLS, "relays", a.Relays,
		"ports", fmt.Sprintf("%d-%d", s.cfg.RelayMin, s.cfg.RelayMax))
	return nil
}

func (s *Server) listen() error {
	for _, addr := range s.cfg.UDP {
		fronts, err := s.listenUDP(addr)
		s.udp = append(s.udp, fronts...)
		if err != nil {
			return fmt.Errorf("turn: listening on UDP %s: %w", addr, err)
		}
	}
	for _, addr := range s.cfg.TCP {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("turn: listening on TCP %s: %w", addr, err)
		}
		s.streams = append(s.streams, newStreamFront(s, l, nil))
	}
	for _, addr := range s.cfg.TLS {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("turn: listening on TLS %s: %w", addr, err)
		}
		s.streams = append(s.streams, newStreamFront(s, l, s.cfg.TLSConfig))
	}
	return nil
}

// serve hands every listener to a pion server of its own, so that events tell
// which listener they are about.
func (s *Server) serve() error {
	for _, f := range s.udp {
		cfg := s.pionConfig(f.linked)
		cfg.PacketConnConfigs = []pion.PacketConnConfig{{
			PacketConn: f, RelayAddressGenerator: relayMaker{s}, PermissionHandler: s.permitted,
		}}
		if err := s.run(cfg); err != nil {
			return err
		}
	}
	for _, f := range s.streams {
		cfg := s.pionConfig(f.linked)
		cfg.ListenerConfigs = []pion.ListenerConfig{{
			Listener: f, RelayAddressGenerator: relayMaker{s}, PermissionHandler: s.permitted,
		}}
		if err := s.run(cfg); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) run(cfg pion.ServerConfig) error {
	s.running.Add(1) // the listener; its loop ends it
	// It runs until its listener is closed, so there is no need to keep it.
	if _, err := pion.NewServer(cfg); err != nil {
		s.running.Done()
		return fmt.Errorf("turn: %w", err)
	}
	return nil
}

// survive is deferred by what reads packets: one that we stumble over is dropped.
func (s *Server) survive() { s.caught(recover()) }

// caught logs a panic and reports whether there was one.
func (s *Server) caught(p any) bool {
	if p != nil {
		s.log.Error("panic in the relay", "panic", p, "stack", string(debug.Stack()))
	}
	return p != nil
}

func (s *Server) closeListeners() {
	for _, f := range s.udp {
		_ = f.Close()
	}
	for _, f := range s.streams {
		_ = f.Close()
	}
}

// Stop ends all sessions, closes all sockets and waits until nothing of the
// server runs any more, or until ctx is done, whose error it then returns.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.RLock()
	s.closeListeners()
	for _, f := range s.streams {
		f.closeConns()
	}
	s.mu.RUnlock()
	idle := make(chan struct{})
	go func() {
		s.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Addrs are the addresses that a server is bound to, and those it relays at.
type Addrs struct {
	UDP, TCP, TLS []netip.AddrPort
	Relays        []netip.Addr // as peers see them; at most one of each family
}

// Addrs returns the addresses in use, with the real ports where the
// configuration asked for port 0. It is empty before Start.
func (s *Server) Addrs() Addrs {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.addrs()
}

func (s *Server) addrs() Addrs {
	var a Addrs
	for _, f := range s.udp {
		a.UDP = append(a.UDP, f.sock.addr)
	}
	for _, f := range s.streams {
		if f.tls != nil {
			a.TLS = append(a.TLS, f.addr)
		} else {
			a.TCP = append(a.TCP, f.addr)
		}
	}
	for _, r := range []relayAddr{s.relays.v4, s.relays.v6} {
		if r.public.IsValid() {
			a.Relays = append(a.Relays, r.public)
		}
	}
	return a
}
