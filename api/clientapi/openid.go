package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *Accounts) openIDRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /user/{userId}/openid/request_token",
		Auth:    httpx.Guest,
		Limit:   "openid",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.requestOpenIDToken),
		Spec:    "requestOpenIdToken",
	}, {
		// Whoever was given a token asks here whose it is, also where servers do
		// not talk to each other otherwise
		// (server-server-api/#get_matrixfederationv1openiduserinfo).
		Pattern: "GET /openid/userinfo",
		In:      []string{"/_matrix/federation/v1"},
		Auth:    httpx.Anyone,
		Limit:   "openid",
		Handler: httpx.JSON(a.openIDUserInfo),
	}}
}

type openIDToken struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	ServerName  string `json:"matrix_server_name"`
	TokenType   string `json:"token_type"`
}

// requestOpenIDToken: client-server-api/#post_matrixclientv3useruseridopenidrequest_token
func (a *Accounts) requestOpenIDToken(ctx context.Context, r *http.Request, _ httpx.None) (openIDToken, error) {
	user, err := self(ctx, r, "identity")
	if err != nil {
		return openIDToken{}, err
	}
	token, life, err := a.Engine.OpenIDToken(ctx, user)
	return openIDToken{token, int64(life.Seconds()), string(a.Engine.ServerName), "Bearer"}, err
}

type openIDUserInfo struct {
	Sub string `json:"sub"`
}

func (a *Accounts) openIDUserInfo(ctx context.Context, r *http.Request, _ httpx.None) (openIDUserInfo, error) {
	user, err := a.Engine.OpenIDUser(ctx, r.URL.Query().Get("access_token"))
	return openIDUserInfo{user}, err
}
