package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

func (a *Accounts) oauthServerMetadataRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /auth_metadata",
		In:      append([]string{"/_matrix/client/unstable/org.matrix.msc2965"}, httpx.ClientV1...),
		Handler: httpx.JSON(a.getAuthMetadata),
		Spec:    "getAuthMetadata",
	}}
}

// getAuthMetadata: client-server-api/#get_matrixclientv1auth_metadata. This is
// how a server says that it does not speak OAuth 2.0.
func (a *Accounts) getAuthMetadata(context.Context, *http.Request, httpx.None) (httpx.None, error) {
	return httpx.None{}, mxerr.New(mxerr.Unrecognized, "This server does not offer the OAuth 2.0 API; use the login API")
}
