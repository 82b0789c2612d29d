package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
)

func (a *Accounts) loginTokenRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /login/get_token",
		In:      httpx.ClientV1,
		Auth:    httpx.User,
		Limit:   "login_token",
		MaxBody: smallBody,
		Handler: interactive(a.generateLoginToken),
		Spec:    "generateLoginToken",
	}}
}

type loginTokenReq struct {
	Auth *account.Auth `json:"auth"`
}

type loginTokenRes struct {
	LoginToken  string `json:"login_token"`
	ExpiresInMS int64  `json:"expires_in_ms"`
}

// generateLoginToken: client-server-api/#post_matrixclientv1loginget_token
func (a *Accounts) generateLoginToken(ctx context.Context, _ *http.Request, req loginTokenReq) (loginTokenRes, error) {
	token, life, err := a.Engine.LoginToken(ctx, session(ctx), req.Auth, httpx.Addr(ctx))
	return loginTokenRes{token, life.Milliseconds()}, err
}
