package wellknown

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

type serverRes struct {
	Server string `json:"m.server"`
}

// getWellKnownServer: server-server-api/#getwell-knownmatrixserver. Without an
// address that the operator has named, other servers look at port 8448.
func (a *API) getWellKnownServer(context.Context, *http.Request, httpx.None) (serverRes, error) {
	u, err := url.Parse(a.BaseURL)
	if err != nil || !a.Federates || u.Scheme != "https" {
		return serverRes{}, mxerr.New(mxerr.NotFound, "Nothing is said of where this server is")
	}
	if u.Port() != "" {
		return serverRes{u.Host}, nil
	}
	return serverRes{net.JoinHostPort(u.Hostname(), "443")}, nil
}
