// Package wellknown is the doors under /.well-known/matrix, through which
// clients find a server by its name. It knows nothing but addresses.
package wellknown

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// API holds what the answers are made of.
type API struct {
	// BaseURL is where clients reach this server, "https://matrix.example.org".
	// "" means where the request came to: whoever finds this file at an address
	// has found the server there.
	BaseURL string
	// Proxies are believed about the scheme that their clients used.
	Proxies []netip.Prefix
}

// Routes are the routes of this package.
func (a *API) Routes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /.well-known/matrix/client",
		In:      httpx.Root,
		Handler: httpx.JSON(a.getWellknown),
		Spec:    "getWellknown",
	}}
}

type homeserver struct {
	BaseURL string `json:"base_url"`
}

type clientRes struct {
	Homeserver homeserver `json:"m.homeserver"`
}

// getWellknown: client-server-api/#getwell-knownmatrixclient
func (a *API) getWellknown(_ context.Context, r *http.Request, _ httpx.None) (clientRes, error) {
	base := strings.TrimSuffix(a.BaseURL, "/")
	if base == "" {
		if _, err := mxid.ParseServerName(r.Host); err != nil {
			return clientRes{}, mxerr.New(mxerr.NotFound, "The request names no host")
		}
		base = a.scheme(r) + "://" + r.Host
	}
	return clientRes{homeserver{base}}, nil
}

func (a *API) scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	if said := r.Header.Get("X-Forwarded-Proto"); (said == "https" || said == "http") && a.fromProxy(r) {
		return said
	}
	return "http"
}

func (a *API) fromProxy(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range a.Proxies {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}
