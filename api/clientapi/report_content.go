package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/account"
	"hearth/homeserver/notice"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Reports are the doors by which users tell the operator of something.
type Reports struct {
	Notices  *notice.Engine
	Rooms    *Rooms
	Accounts *account.Engine
}

// Routes are the routes of Reports.
func (a *Reports) Routes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /rooms/{roomId}/report",
		Auth:    httpx.User,
		Limit:   "report",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.reportRoom),
		Spec:    "reportRoom",
	}, {
		Pattern: "POST /rooms/{roomId}/report/{eventId}",
		Auth:    httpx.User,
		Limit:   "report",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.reportEvent),
		Spec:    "reportEvent",
	}, {
		Pattern: "POST /users/{userId}/report",
		Auth:    httpx.User,
		Limit:   "report",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.reportUser),
		Spec:    "reportUser",
	}}
}

type reportReq struct {
	Reason string `json:"reason"`
	Score  *int64 `json:"score"` // -100 (very bad) to 0
}

// reportRoom: client-server-api/#post_matrixclientv3roomsroomidreport. That a room
// is not here is no secret: whoever reports need not be in it.
func (a *Reports) reportRoom(ctx context.Context, r *http.Request, req reportReq) (empty, error) {
	id := r.PathValue("roomId")
	if _, err := mxid.ParseRoomID(id); err != nil {
		return empty{}, err
	}
	if _, err := a.Rooms.Engine.Room(ctx, id); err != nil {
		return empty{}, err
	}
	return empty{}, a.Notices.Report(ctx, store.Report{Kind: "room", Reporter: httpx.Who(ctx).User, RoomID: id, Reason: req.Reason})
}

// reportEvent: client-server-api/#post_matrixclientv3roomsroomidreporteventid
func (a *Reports) reportEvent(ctx context.Context, r *http.Request, req reportReq) (empty, error) {
	if req.Score != nil && (*req.Score < -100 || *req.Score > 0) {
		return empty{}, mxerr.New(mxerr.InvalidParam, "score must be from -100 to 0")
	}
	s, ev, err := a.Rooms.visibleEvent(ctx, r.PathValue("roomId"), r.PathValue("eventId"))
	if err != nil {
		// Who may not see the event does not learn whether it is there.
		if mxerr.From(err).HTTPStatus() < http.StatusInternalServerError {
			err = mxerr.New(mxerr.NotFound, "The event was not found, or you are not joined to the room")
		}
		return empty{}, err
	}
	return empty{}, a.Notices.Report(ctx, store.Report{
		Kind: "event", Reporter: httpx.Who(ctx).User, RoomID: s.Room.ID, EventID: ev.ID, Target: ev.Sender, Reason: req.Reason, Score: req.Score,
	})
}

// reportUser: client-server-api/#post_matrixclientv3usersuseridreport. The answer
// is the same for users who do not exist, so that nobody learns who does.
func (a *Reports) reportUser(ctx context.Context, r *http.Request, req reportReq) (empty, error) {
	user, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return empty{}, err
	}
	if _, err := a.Accounts.User(ctx, string(user)); err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			err = nil
		}
		return empty{}, err
	}
	return empty{}, a.Notices.Report(ctx, store.Report{Kind: "user", Reporter: httpx.Who(ctx).User, Target: string(user), Reason: req.Reason})
}
