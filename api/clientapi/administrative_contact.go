package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *Accounts) administrativeContactRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /account/3pid",
		Auth:    httpx.User,
		Handler: httpx.JSON(a.getAccount3PIDs),
		Spec:    "getAccount3PIDs",
	}}
}

type threepidsRes struct {
	Threepids []struct{} `json:"threepids"`
}

// getAccount3PIDs: client-server-api/#get_matrixclientv3account3pid. Nobody has
// a mail address or phone number here, and settings pages want to be told so.
func (a *Accounts) getAccount3PIDs(context.Context, *http.Request, httpx.None) (threepidsRes, error) {
	return threepidsRes{[]struct{}{}}, nil
}
