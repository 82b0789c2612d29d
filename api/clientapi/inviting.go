package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *Rooms) invitingRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /rooms/{roomId}/invite",
		Auth:    httpx.User,
		Limit:   "invite",
		Handler: httpx.JSON(a.inviteUser),
		Spec:    "inviteUser", // and inviteBy3PID
	}}
}

type inviteReq struct {
	targetReq
	IDServer string `json:"id_server"`
	Medium   string `json:"medium"`
	Address  string `json:"address"`
}

// inviteUser: client-server-api/#post_matrixclientv3roomsroomidinvite
func (a *Rooms) inviteUser(ctx context.Context, r *http.Request, req inviteReq) (empty, error) {
	roomID, user := r.PathValue("roomId"), httpx.Who(ctx).User
	if req.UserID == "" && (req.Medium != "" || req.Address != "" || req.IDServer != "") {
		return empty{}, a.inviteBy3PID(ctx, roomID, req)
	}
	if err := req.check(); err != nil {
		return empty{}, err
	}
	if _, err := mxid.ParseUserID(req.UserID); err != nil {
		return empty{}, err
	}
	if httpx.Who(ctx).ShadowBanned {
		return empty{}, nil
	}
	err := a.mayInvite(ctx, req.UserID)
	if err == nil {
		err = a.open(ctx, roomID)
	}
	if err == nil {
		err = a.Engine.Invite(ctx, user, roomID, req.UserID, req.Reason)
	}
	return empty{}, a.outside(ctx, err, roomID, user)
}

// inviteBy3PID: client-server-api/#thirdparty_post_matrixclientv3roomsroomidinvite.
// It needs an identity server, and Hearth talks to none: it would tell them
// who knows whom.
func (a *Rooms) inviteBy3PID(ctx context.Context, roomID string, req inviteReq) error {
	if req.Medium == "" || req.Address == "" {
		return mxerr.New(mxerr.MissingParam, "medium and address must be given together")
	}
	err := mxerr.New(mxerr.Forbidden, "This server cannot invite by e-mail or phone. Invite by user id")
	return a.outside(ctx, err, roomID, httpx.Who(ctx).User)
}
