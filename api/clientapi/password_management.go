package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
)

func (a *Accounts) passwordManagementRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /account/password",
		Auth:    httpx.Optional,
		Limit:   "account",
		MaxBody: smallBody,
		Handler: interactive(a.changePassword),
		Spec:    "changePassword",
	}, {
		Pattern: "POST /account/password/email/requestToken",
		Limit:   "register",
		Handler: httpx.JSON(a.requestTokenFor(account.ToResetPassword)),
		Spec:    "requestTokenToResetPasswordEmail",
	}, {
		Pattern: "POST /account/password/msisdn/requestToken",
		Limit:   "register",
		Handler: httpx.JSON(a.requestCodeFor(account.ToResetPassword)),
		Spec:    "requestTokenToResetPasswordMSISDN",
	}}
}

type changePasswordReq struct {
	NewPassword   string        `json:"new_password"`
	LogoutDevices *bool         `json:"logout_devices"`
	Auth          *account.Auth `json:"auth"`
}

// changePassword: client-server-api/#post_matrixclientv3accountpassword
func (a *Accounts) changePassword(ctx context.Context, _ *http.Request, req changePasswordReq) (httpx.None, error) {
	logout := req.LogoutDevices == nil || *req.LogoutDevices
	who := httpx.Who(ctx)
	if who == nil {
		return httpx.None{}, a.Engine.ResetPassword(ctx, req.NewPassword, logout, req.Auth, httpx.Addr(ctx))
	}
	if who.Guest {
		return httpx.None{}, mxerr.New(mxerr.GuestAccessForbidden, "Guests may not do this")
	}
	return httpx.None{}, a.Engine.ChangePassword(ctx, session(ctx), req.NewPassword, logout, req.Auth, httpx.Addr(ctx))
}
