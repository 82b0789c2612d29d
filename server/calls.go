package server

import (
	"crypto/ed25519"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"hearth/api/clientapi"
	"hearth/base/config"
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

// turnKey is the setting whose listener could not be opened.
func (s *Server) turnKey(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	switch {
	case !ok || op.Addr == nil:
		return "turn"
	case strings.HasPrefix(op.Net, "udp"):
		return "turn.udp"
	case portOf(op.Addr.String()) == portOf(s.cfg.TURN.TCP):
		return "turn.tcp"
	}
	return "turn.tls"
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // "" for a listener that is off
	return port
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

// turnHosts are the names under which clients reach the relay: plain, and over
// TLS. A relay that listens on one address is called by that address. Otherwise
// TLS needs the server's name, since that is what certificates are for; plain
// TURN takes the external address if one was given, and else the name too.
func turnHosts(c *config.Config) (plain, tls string) {
	for _, a := range []string{c.TURN.UDP, c.TURN.TCP, c.TURN.TLS} {
		host, _, err := net.SplitHostPort(a)
		if ip := net.ParseIP(host); err == nil && ip != nil && !ip.IsUnspecified() && len(c.Network.External) == 0 {
			return host, host
		}
	}
	name := mxid.ServerName(c.ServerName).Host()
	if len(c.Network.External) > 0 {
		return c.Network.External[0].String(), name
	}
	return name, name
}
