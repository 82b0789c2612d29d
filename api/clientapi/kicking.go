package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *Rooms) kickingRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /rooms/{roomId}/kick",
		Auth:    httpx.User,
		Limit:   "send",
		Handler: httpx.JSON(a.kick),
		Spec:    "kick",
	}}
}

// kick: client-server-api/#post_matrixclientv3roomsroomidkick
func (a *Rooms) kick(ctx context.Context, r *http.Request, req targetReq) (empty, error) {
	return empty{}, a.onTarget(ctx, r, req, a.Engine.Kick)
}

// onTarget does something to another member of a room.
func (a *Rooms) onTarget(ctx context.Context, r *http.Request, req targetReq, do func(ctx context.Context, sender, roomID, target, reason string) error) error {
	if err := req.check(); err != nil {
		return err
	}
	roomID, user := r.PathValue("roomId"), httpx.Who(ctx).User
	return a.outside(ctx, do(ctx, user, roomID, req.UserID, req.Reason), roomID, user)
}
