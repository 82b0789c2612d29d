package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *Accounts) registrationTokensRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /register/m.login.registration_token/validity",
		In:      httpx.ClientV1,
		Also:    []string{"GET /_matrix/client/unstable/org.matrix.msc3231/register/org.matrix.msc3231.login.registration_token/validity"},
		Limit:   "registration_token",
		Handler: httpx.JSON(a.registrationTokenValidity),
		Spec:    "registrationTokenValidity",
	}}
}

type validityRes struct {
	Valid bool `json:"valid"`
}

// registrationTokenValidity: client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity
func (a *Accounts) registrationTokenValidity(ctx context.Context, r *http.Request, _ httpx.None) (validityRes, error) {
	if !r.URL.Query().Has("token") {
		return validityRes{}, missing("token")
	}
	valid, err := a.Engine.TokenValid(ctx, r.URL.Query().Get("token"))
	return validityRes{valid}, err
}
