package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

func (a *Accounts) appservicePingRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /appservice/{appserviceId}/ping",
		In:      httpx.ClientV1,
		Also:    []string{"POST /_matrix/client/unstable/fi.mau.msc2659/appservice/{appserviceId}/ping"},
		Auth:    httpx.User,
		Limit:   "account",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.pingAppservice),
		Spec:    "pingAppservice",
	}}
}

type pingReq struct {
	TransactionID string `json:"transaction_id"`
}

type pingRes struct {
	DurationMS int64 `json:"duration_ms"`
}

// pingAppservice: client-server-api/#post_matrixclientv1appserviceappserviceidping
func (a *Accounts) pingAppservice(ctx context.Context, r *http.Request, req pingReq) (pingRes, error) {
	id := httpx.Who(ctx).Service
	if id == "" || id != r.PathValue("appserviceId") {
		return pingRes{}, mxerr.New(mxerr.Forbidden, "Only the application service itself may do this")
	}
	took, err := a.Services.ByID(id).Ping(ctx, req.TransactionID)
	return pingRes{took.Milliseconds()}, err
}
