package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

func (a *Accounts) ssoLoginRedirectRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /login/sso/redirect",
		Handler: httpx.JSON(a.redirectToSSO),
		Spec:    "redirectToSSO",
	}, {
		Pattern: "GET /login/sso/redirect/{idpId}",
		Handler: httpx.JSON(a.redirectToSSO),
		Spec:    "redirectToIdP",
	}}
}

// redirectToSSO: client-server-api/#get_matrixclientv3loginssoredirect. There are
// no identity providers, and GET /login does not offer m.login.sso.
func (a *Accounts) redirectToSSO(_ context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	if r.URL.Query().Get("redirectUrl") == "" {
		return httpx.None{}, missing("redirectUrl")
	}
	return httpx.None{}, mxerr.New(mxerr.NotFound, "This server has no single sign-on")
}
