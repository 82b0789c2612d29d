package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *Rooms) joiningRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /rooms/{roomId}/join",
		Auth:    httpx.Guest,
		Limit:   "join",
		Handler: httpx.JSON(a.joinRoomByID),
		Spec:    "joinRoomById",
	}, {
		Pattern: "POST /join/{roomIdOrAlias}",
		Auth:    httpx.Guest, // clients of guests join by alias, too
		Limit:   "join",
		Handler: httpx.JSON(a.joinRoom),
		Spec:    "joinRoom",
	}}
}

type joinReq struct {
	Reason           string
	ThirdPartySigned json.RawMessage
	Content          map[string]any // further fields of the member event
}

// notContent are fields that a client cannot set in its member event: they are
// parameters of the request, or the server vouches for them.
var notContent = []string{"membership", "reason", "third_party_signed", "third_party_invite", "join_authorised_via_users_server"}

// UnmarshalJSON keeps what it does not know as content of the event: clients
// tell a room more about a member that way.
func (req *joinReq) UnmarshalJSON(b []byte) error {
	var known struct {
		Reason           string          `json:"reason"`
		ThirdPartySigned json.RawMessage `json:"third_party_signed"`
	}
	if err := json.Unmarshal(b, &known); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for _, name := range notContent {
		delete(all, name)
	}
	*req = joinReq{Reason: known.Reason, ThirdPartySigned: known.ThirdPartySigned, Content: map[string]any{}}
	for name, value := range all {
		req.Content[name] = value
	}
	return nil
}

// joinRoomByID: client-server-api/#post_matrixclientv3roomsroomidjoin
func (a *Rooms) joinRoomByID(ctx context.Context, r *http.Request, req joinReq) (roomIDAnswer, error) {
	return a.join(ctx, r.PathValue("roomId"), req)
}

// joinRoom: client-server-api/#post_matrixclientv3joinroomidoralias
func (a *Rooms) joinRoom(ctx context.Context, r *http.Request, req joinReq) (roomIDAnswer, error) {
	if err := checkVia(r); err != nil {
		return roomIDAnswer{}, err
	}
	id, err := a.resolve(ctx, r.PathValue("roomIdOrAlias"))
	if err != nil {
		return roomIDAnswer{}, err
	}
	return a.join(ctx, id, req)
}

func (a *Rooms) join(ctx context.Context, roomID string, req joinReq) (roomIDAnswer, error) {
	signed := req.ThirdPartySigned
	if string(signed) == "null" {
		signed = nil
	}
	if len(signed) > 0 && signed[0] != '{' {
		return roomIDAnswer{}, mxerr.New(mxerr.BadJSON, "third_party_signed must be an object")
	}
	who := httpx.Who(ctx)
	if err := a.open(ctx, roomID); err != nil {
		return roomIDAnswer{}, err
	}
	err := a.Engine.Join(ctx, who.User, roomID, room.JoinRequest{Reason: req.Reason, ThirdPartySigned: signed, Guest: who.Guest, Content: req.Content})
	if err == nil {
		a.joined(ctx, who.User, roomID)
	}
	return roomIDAnswer{RoomID: roomID}, err
}

// open is an error for rooms that the operator has closed: nobody gets in, or is
// asked in. Who is in stays.
func (a *Rooms) open(ctx context.Context, roomID string) error {
	if a.Steward == nil {
		return nil
	}
	by, err := a.Steward.BlockedBy(ctx, roomID)
	if err == nil && by != "" {
		err = mxerr.New(mxerr.Forbidden, "This room has been blocked on this server")
	}
	return err
}

// checkVia looks at the servers that a client proposes to enter a room
// through. Both names of the parameter are in use.
func checkVia(r *http.Request) error {
	q := r.URL.Query()
	for _, name := range []string{"via", "server_name"} {
		for _, s := range q[name] {
			if _, err := mxid.ParseServerName(s); err != nil {
				return mxerr.New(mxerr.InvalidParam, "%q is not the name of a server", s)
			}
		}
	}
	return nil
}
