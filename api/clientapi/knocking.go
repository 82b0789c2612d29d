package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *Rooms) knockingRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /knock/{roomIdOrAlias}",
		Also:    []string{"POST /_matrix/client/unstable/xyz.amorgan.knock/knock/{roomIdOrAlias}"},
		Auth:    httpx.User,
		Limit:   "join",
		Handler: httpx.JSON(a.knockRoom),
		Spec:    "knockRoom",
	}}
}

// knockRoom: client-server-api/#post_matrixclientv3knockroomidoralias
func (a *Rooms) knockRoom(ctx context.Context, r *http.Request, req reasonReq) (roomIDAnswer, error) {
	if err := checkVia(r); err != nil {
		return roomIDAnswer{}, err
	}
	id, err := a.resolve(ctx, r.PathValue("roomIdOrAlias"))
	if err != nil {
		return roomIDAnswer{}, err
	}
	if err := a.open(ctx, id); err != nil {
		return roomIDAnswer{}, err
	}
	return roomIDAnswer{RoomID: id}, a.Engine.Knock(ctx, httpx.Who(ctx).User, id, req.Reason)
}
