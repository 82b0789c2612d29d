package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *Accounts) logoutRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /logout",
		Auth:    httpx.User,
		Handler: httpx.JSON(a.logout),
		Spec:    "logout",
	}, {
		Pattern: "POST /logout/all",
		Auth:    httpx.User,
		Handler: httpx.JSON(a.logoutAll),
		Spec:    "logout_all",
	}}
}

// logout: client-server-api/#post_matrixclientv3logout
func (a *Accounts) logout(ctx context.Context, _ *http.Request, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, a.Engine.Logout(ctx, session(ctx))
}

// logoutAll: client-server-api/#post_matrixclientv3logoutall
func (a *Accounts) logoutAll(ctx context.Context, _ *http.Request, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, a.Engine.LogoutAll(ctx, session(ctx).User)
}
