package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *Rooms) banningRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /rooms/{roomId}/ban",
		Auth:    httpx.User,
		Limit:   "send",
		Handler: httpx.JSON(a.ban),
		Spec:    "ban",
	}, {
		Pattern: "POST /rooms/{roomId}/unban",
		Auth:    httpx.User,
		Limit:   "send",
		Handler: httpx.JSON(a.unban),
		Spec:    "unban",
	}}
}

// ban: client-server-api/#post_matrixclientv3roomsroomidban
func (a *Rooms) ban(ctx context.Context, r *http.Request, req targetReq) (empty, error) {
	return empty{}, a.onTarget(ctx, r, req, a.Engine.Ban)
}

// unban: client-server-api/#post_matrixclientv3roomsroomidunban
func (a *Rooms) unban(ctx context.Context, r *http.Request, req targetReq) (empty, error) {
	return empty{}, a.onTarget(ctx, r, req, a.Engine.Unban)
}
