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
	// Federates says whether other servers are told where this one is.
	Federates bool
	// Support says whom to turn to.
	Support Support
}

// Support is how the people are reached who run this server.
type Support struct {
	MatrixID, Email, SecurityEmail, Page string // "" for none
}

// Routes are the routes of this package.
func (a *API) Routes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /.well-known/matrix/client",
		In:      httpx.Root,
		Handler: httpx.JSON(a.getWellknown),
		Spec:    "getWellknown",
	}, {
		Pattern: "GET /.well-known/matrix/server",
		In:      httpx.Root,
		Handler: httpx.JSON(a.getWellKnownServer),
	}, {
		Pattern: "GET /.well-known/matrix/support",
		In:      httpx.Root,
		Handler: httpx.JSON(a.getWellknownSupport),
		Spec:    "getWellknownSupport",
	}, {
		Pattern: "GET /.well-known/matrix/policy_server",
		In:      httpx.Root,
		Handler: httpx.JSON(a.getWellknownPolicy),
		Spec:    "getWellknownPolicy",
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
	base, err := a.Base(r)
	return clientRes{homeserver{base}}, err
}

// Base is where clients like the one of r reach this server, without a slash at
// the end. It fails with M_NOT_FOUND if nobody knows.
func (a *API) Base(r *http.Request) (string, error) {
	if a.BaseURL != "" {
		return strings.TrimSuffix(a.BaseURL, "/"), nil
	}
	if _, err := mxid.ParseServerName(r.Host); err != nil {
		return "", mxerr.New(mxerr.NotFound, "The request names no host")
	}
	return a.scheme(r) + "://" + r.Host, nil
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

type contact struct {
	MatrixID string `json:"matrix_id,omitempty"`
	Email    string `json:"email_address,omitempty"`
	Role     string `json:"role"`
}

type supportRes struct {
	Contacts []contact `json:"contacts,omitempty"`
	Page     string    `json:"support_page,omitempty"`
}

// getWellknownSupport: client-server-api/#getwell-knownmatrixsupport
func (a *API) getWellknownSupport(context.Context, *http.Request, httpx.None) (supportRes, error) {
	s := a.Support
	if s == (Support{}) {
		return supportRes{}, mxerr.New(mxerr.NotFound, "The people who run this server have named no contact")
	}
	res := supportRes{Page: s.Page}
	if s.MatrixID != "" || s.Email != "" {
		res.Contacts = append(res.Contacts, contact{s.MatrixID, s.Email, "m.role.admin"})
	}
	if s.SecurityEmail != "" {
		res.Contacts = append(res.Contacts, contact{"", s.SecurityEmail, "m.role.security"})
	}
	return res, nil
}

// getWellknownPolicy: client-server-api/#getwell-knownmatrixpolicy_server. This
// server signs no events of other servers.
func (a *API) getWellknownPolicy(context.Context, *http.Request, httpx.None) (httpx.None, error) {
	return httpx.None{}, mxerr.New(mxerr.NotFound, "This is not a policy server")
}
