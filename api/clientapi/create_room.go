package clientapi

import (
	"context"
	"net/http"
	"slices"

	"hearth/api/httpx"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *Rooms) createRoomRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /createRoom",
		Auth:    httpx.User,
		Limit:   "create",
		Handler: httpx.JSON(a.createRoom),
		Spec:    "createRoom",
	}}
}

// createRoom: client-server-api/#post_matrixclientv3createroom
func (a *Rooms) createRoom(ctx context.Context, _ *http.Request, req room.CreateRequest) (roomIDAnswer, error) {
	user := httpx.Who(ctx).User
	if req.AliasName != "" {
		alias := "#" + req.AliasName + ":" + string(a.Engine.Server)
		if err := a.Services.MayName(httpx.Who(ctx).Service, alias); err != nil {
			return roomIDAnswer{}, err
		}
	}
	for _, target := range req.Invite {
		if _, err := mxid.ParseUserID(target); err != nil {
			return roomIDAnswer{}, err
		}
		if err := a.mayInvite(ctx, target); err != nil {
			return roomIDAnswer{}, err
		}
	}
	r, err := a.Engine.Create(ctx, user, req)
	if err != nil {
		return roomIDAnswer{}, a.createFailure(err, req)
	}
	return roomIDAnswer{RoomID: r.ID}, nil
}

// createFailure: where nobody else is concerned, a refusal means that the first
// events contradict each other, such as power levels that leave the creator
// without the power to name the room. That is a fault of the request.
func (a *Rooms) createFailure(err error, req room.CreateRequest) error {
	e := mxerr.From(err)
	foreign := func(user string) bool { return mxid.ServerOf(user) != a.Engine.Server }
	if e.Code != mxerr.Forbidden || slices.ContainsFunc(req.Invite, foreign) {
		return err
	}
	return mxerr.New(mxerr.InvalidRoomState, "%s", e.Text)
}
