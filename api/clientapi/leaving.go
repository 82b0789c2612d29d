package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/base/store"
)

func (a *Rooms) leavingRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /rooms/{roomId}/leave",
		Auth:    httpx.Guest,
		Limit:   "send",
		Handler: httpx.JSON(a.leaveRoom),
		Spec:    "leaveRoom",
	}, {
		Pattern: "POST /rooms/{roomId}/forget",
		Auth:    httpx.User,
		Limit:   "send",
		Handler: httpx.JSON(a.forgetRoom),
		Spec:    "forgetRoom",
	}}
}

type reasonReq struct {
	Reason string `json:"reason"`
}

// leaveRoom: client-server-api/#post_matrixclientv3roomsroomidleave
func (a *Rooms) leaveRoom(ctx context.Context, r *http.Request, req reasonReq) (empty, error) {
	roomID, user := r.PathValue("roomId"), httpx.Who(ctx).User
	if a.Notices != nil {
		if err := a.Notices.MayLeave(ctx, user, roomID); err != nil {
			return empty{}, err
		}
	}
	return empty{}, a.outside(ctx, a.Engine.Leave(ctx, user, roomID, req.Reason), roomID, user)
}

// forgetRoom: client-server-api/#post_matrixclientv3roomsroomidforget
func (a *Rooms) forgetRoom(ctx context.Context, r *http.Request, _ httpx.None) (empty, error) {
	roomID, user := r.PathValue("roomId"), httpx.Who(ctx).User
	m, err := a.Engine.Membership(ctx, roomID, user)
	if err != nil {
		return empty{}, err
	}
	if m == store.None {
		return empty{}, notInRoom(user)
	}
	return empty{}, a.Engine.Forget(ctx, user, roomID)
}
