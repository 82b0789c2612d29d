package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
)

func (a *Accounts) accountDeactivationRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /account/deactivate",
		Auth:    httpx.User,
		Limit:   "account",
		MaxBody: smallBody,
		Handler: interactive(a.deactivateAccount),
		Spec:    "deactivateAccount",
	}}
}

type deactivateReq struct {
	Auth  *account.Auth `json:"auth"`
	Erase bool          `json:"erase"`
}

type deactivateRes struct {
	// Nothing was ever bound to an identity server, which counts as success.
	IDServerUnbindResult string `json:"id_server_unbind_result"`
}

// deactivateAccount: client-server-api/#post_matrixclientv3accountdeactivate
func (a *Accounts) deactivateAccount(ctx context.Context, _ *http.Request, req deactivateReq) (deactivateRes, error) {
	return deactivateRes{"success"}, a.Engine.DeactivateSelf(ctx, session(ctx), req.Erase, req.Auth, httpx.Addr(ctx))
}
