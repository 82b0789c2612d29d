package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *Accounts) whoamiRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /account/whoami",
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getTokenOwner),
		Spec:    "getTokenOwner",
	}}
}

type whoamiRes struct {
	UserID   string `json:"user_id"`
	DeviceID string `json:"device_id,omitempty"`
	IsGuest  bool   `json:"is_guest"`
}

// getTokenOwner: client-server-api/#get_matrixclientv3accountwhoami
func (a *Accounts) getTokenOwner(ctx context.Context, _ *http.Request, _ httpx.None) (whoamiRes, error) {
	who := httpx.Who(ctx)
	return whoamiRes{UserID: who.User, DeviceID: who.Device, IsGuest: who.Guest}, nil
}
