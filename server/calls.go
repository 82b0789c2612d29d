package server

import (
	"crypto/ed25519"
	"net"
	"slices"
	"strings"
	"time"

	"hearth/api/clientapi"
	"hearth/base/netguard"
	"hearth/calls/turn"
	"hearth/matrix/mxid"
)

// buildTURN makes the relay if the configuration gives it an address.
func (s *Server) buildTURN(key ed25519.PrivateKey) error {
	c := s.cfg.TURN
	if c.UDP == "" && c.TCP == "" && c.TLS == "" {
		return nil
	}
	tc := turn.Config{
		UDP: []string{c.UDP}, TCP: []string{c.TCP}, TLS: []string{c.TLS},
		ServerName: s.cfg.ServerName, Realm: c.Realm,
		RelayMin: c.RelayPorts.First, RelayMax: c.RelayPorts.Last,
		External: s.cfg.Network.External,
		// Credentials stay good over a restart, and nobody copies a secret.
		Key: key.Seed(), Secret: c.Secret, Lifetime: c.Lifetime,
		UserQuota: c.UserQuota, TotalQuota: c.TotalQuota,
		Log: s.log,
	}
	if !s.cfg.Limits.Enabled {
		tc.UnauthRate = -1
	}
	for _, r := range c.DeniedPeers {
		tc.DeniedPeers = append(tc.DeniedPeers, netguard.Range{From: r.First, To: r.Last})
	}
	for _, r := range c.AllowedPeers {
		tc.AllowedPeers = append(tc.AllowedPeers, netguard.Range{From: r.First, To: r.Last})
	}
	if c.TLS != "" {
		var err error
		if tc.TLSConfig, err = s.tlsConfig(); err != nil {
			return err
		}
	}
	var err error
	s.turn, err = turn.New(tc)
	return err
}

// relay tells clients how to use the TURN server.
type relay struct {
	turn *turn.Server
	host string // for plain TURN
	name string // for TURN over TLS: what the certificate is for
}

// TurnCredentials: client-server-api/#get_matrixclientv3voipturnserver
func (r relay) TurnCredentials(user mxid.UserID) clientapi.TurnServer {
	c := r.turn.Credentials(string(user), time.Now())
	return clientapi.TurnServer{Username: c.Username, Password: c.Password, URIs: r.uris(), TTL: int64(c.TTL / time.Second)}
}

func (r relay) uris() []string {
	secure := func(uri string) bool { return strings.HasPrefix(uri, "turns:") }
	plain := slices.DeleteFunc(r.turn.URIs(r.host), secure)
	tls := slices.DeleteFunc(r.turn.URIs(r.name), func(uri string) bool { return !secure(uri) })
	return append(plain, tls...)
}

// turnHost is the name or address under which clients reach the relay: the one
// given for it, else the server's name without its port.
func (s *Server) turnHost() string {
	if ext := s.cfg.Network.External; len(ext) > 0 {
		return ext[0].String()
	}
	for _, a := range []string{s.cfg.TURN.UDP, s.cfg.TURN.TCP, s.cfg.TURN.TLS} {
		if host, _, err := net.SplitHostPort(a); err == nil && host != "" {
			if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
				return host
			}
		}
	}
	return mxid.ServerName(s.cfg.ServerName).Host()
}
