// Package fedclient speaks to other homeservers: it finds where they are, signs
// requests to them and checks the signatures of theirs. It is careful with those
// that do not answer, and does not know what is asked, nor rooms and users.
package fedclient

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"hearth/base/netguard"
	"hearth/matrix/mxid"
)

// Config is what a Client needs from the rest of the server.
type Config struct {
	Server mxid.ServerName
	KeyID  string
	Key    ed25519.PrivateKey
	// Allowed are special addresses at which servers may be all the same.
	Allowed netguard.Ranges
	Roots   *x509.CertPool // of certificates, nil for the system's
	SRV     SRVs           // nil for the system's
	// Web fetches what hosts say of where their server is, and files that are
	// elsewhere. Nil for the internet, within Allowed.
	Web http.RoundTripper
	Log *slog.Logger
}

const (
	dialTimeout = 10 * time.Second
	maxHeader   = 64 << 10 // bytes
)

// Client speaks to other servers.
type Client struct {
	cfg   Config
	life  context.Context
	end   context.CancelFunc
	known *wellKnown
	web   *http.Client
	conns *http.Transport
	keys  *keyRing

	mu    sync.Mutex
	table map[mxid.ServerName]*destination
}

// New returns a Client, which must be closed.
func New(cfg Config) *Client {
	if cfg.SRV == nil {
		cfg.SRV = net.DefaultResolver
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{cfg: cfg, table: map[mxid.ServerName]*destination{}}
	c.life, c.end = context.WithCancel(context.Background())
	c.conns = c.transport(c.dialPlace)
	web := cfg.Web
	if web == nil {
		web = c.transport(c.dialer().DialContext)
	}
	c.known = newWellKnown(c.life, web)
	c.web = &http.Client{Transport: web, CheckRedirect: secureRedirect}
	c.keys = newKeyRing(c)
	return c
}

// Close ends what is under way.
func (c *Client) Close() {
	c.end()
	c.conns.CloseIdleConnections()
	c.web.CloseIdleConnections()
}

func (c *Client) dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: netguard.Control(c.cfg.Allowed)}
}

func (c *Client) transport(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     &tls.Config{RootCAs: c.cfg.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: 90 * time.Second, MaxIdleConns: 256, MaxIdleConnsPerHost: 4,
		MaxResponseHeaderBytes: maxHeader, DisableCompression: true, ForceAttemptHTTP2: true,
		// Bodies wait at their sender, not in memory here, and connections that have
		// died in silence are found out.
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 1 << 20, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
		},
	}
}

type placeKey struct{}

// dialPlace connects to the place of a request. Connections are kept by what their
// certificate is for and the port, so that whoever gets one from before speaks to
// the same server.
func (c *Client) dialPlace(ctx context.Context, network, addr string) (net.Conn, error) {
	place, _ := ctx.Value(placeKey{}).(Place)
	var failed error
	for _, at := range place.Dial {
		conn, err := c.dialer().DialContext(ctx, network, at)
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	if failed == nil {
		failed = fmt.Errorf("there is no way to %s", addr)
	}
	return nil, failed
}
