package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *Accounts) refreshRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /refresh",
		In:      append([]string{"/_matrix/client/v1"}, httpx.ClientV3...), // v1 in the drafts of MSC2918
		Limit:   "refresh",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.refresh),
		Spec:    "refresh",
	}}
}

type refreshReq struct {
	RefreshToken string `json:"refresh_token"`
}

type refreshRes struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresInMS  int64  `json:"expires_in_ms"`
}

// refresh: client-server-api/#post_matrixclientv3refresh
func (a *Accounts) refresh(ctx context.Context, _ *http.Request, req refreshReq) (refreshRes, error) {
	if req.RefreshToken == "" {
		return refreshRes{}, missing("refresh_token")
	}
	g, err := a.Engine.Refresh(ctx, req.RefreshToken)
	return refreshRes{g.AccessToken, g.RefreshToken, g.ExpiresIn.Milliseconds()}, err
}
