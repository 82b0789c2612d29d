package clientapi

import (
	"context"
	"net/http"
	"strings"

	"hearth/api/httpx"
	"hearth/homeserver/directory"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *Rooms) listPublicRoomsRoutes() []httpx.Route {
	return []httpx.Route{
		{Pattern: "GET /directory/list/room/{roomId}", Auth: httpx.Anyone, Handler: httpx.JSON(a.getRoomVisibilityOnDirectory), Spec: "getRoomVisibilityOnDirectory"},
		{Pattern: "PUT /directory/list/room/{roomId}", Auth: httpx.User, Limit: "directory", Handler: httpx.JSON(a.setRoomVisibilityOnDirectory), Spec: "setRoomVisibilityOnDirectory"},
		{Pattern: "GET /publicRooms", Auth: httpx.Anyone, Handler: httpx.JSON(a.getPublicRooms), Spec: "getPublicRooms"},
		{Pattern: "POST /publicRooms", Auth: httpx.Guest, Handler: httpx.JSON(a.queryPublicRooms), Spec: "queryPublicRooms"},
	}
}

type directoryVisibility struct {
	Visibility string `json:"visibility"`
}

// getRoomVisibilityOnDirectory: client-server-api/#get_matrixclientv3directorylistroomroomid
func (a *Rooms) getRoomVisibilityOnDirectory(ctx context.Context, r *http.Request, _ httpx.None) (directoryVisibility, error) {
	listed, err := a.Directory.Listed(ctx, r.PathValue("roomId"))
	if listed {
		return directoryVisibility{"public"}, err
	}
	return directoryVisibility{"private"}, err
}

// setRoomVisibilityOnDirectory: client-server-api/#put_matrixclientv3directorylistroomroomid
func (a *Rooms) setRoomVisibilityOnDirectory(ctx context.Context, r *http.Request, req directoryVisibility) (empty, error) {
	switch req.Visibility {
	case "", "public", "private":
	default:
		return empty{}, mxerr.New(mxerr.InvalidParam, "visibility must be public or private")
	}
	return empty{}, a.Directory.SetListed(ctx, directoryWho(ctx), r.PathValue("roomId"), req.Visibility != "private")
}

// getPublicRooms: client-server-api/#get_matrixclientv3publicrooms
func (a *Rooms) getPublicRooms(ctx context.Context, r *http.Request, _ httpx.None) (*directory.Page, error) {
	limit, err := httpx.IntQuery(r, "limit", 0, directory.MaxPage)
	if err != nil {
		return nil, err
	}
	if err := a.ownDirectory(r); err != nil {
		return nil, err
	}
	return a.Directory.Search(ctx, directory.Query{Limit: limit, Since: r.URL.Query().Get("since")})
}

type publicRoomsReq struct {
	Limit  *int   `json:"limit"`
	Since  string `json:"since"`
	Filter struct {
		Term  string    `json:"generic_search_term"`
		Types []*string `json:"room_types"`
	} `json:"filter"`
	AllNetworks bool   `json:"include_all_networks"`
	Network     string `json:"third_party_instance_id"`
}

// queryPublicRooms: client-server-api/#post_matrixclientv3publicrooms
func (a *Rooms) queryPublicRooms(ctx context.Context, r *http.Request, req publicRoomsReq) (*directory.Page, error) {
	q := directory.Query{Term: req.Filter.Term, Types: req.Filter.Types, Since: req.Since}
	if req.Limit != nil {
		if *req.Limit < 0 {
			return nil, mxerr.New(mxerr.InvalidParam, "limit must be a whole number, 0 or more")
		}
		q.Limit = *req.Limit
	}
	if err := a.ownDirectory(r); err != nil {
		return nil, err
	}
	if req.Network != "" {
		if req.AllNetworks {
			return nil, mxerr.New(mxerr.InvalidParam, "third_party_instance_id and include_all_networks exclude each other")
		}
		service, network, _ := strings.Cut(req.Network, "|")
		q.Network = &directory.Network{Service: service, ID: network}
	}
	if req.AllNetworks {
		q.Network = &directory.Network{}
	}
	return a.Directory.Search(ctx, q)
}

// ownDirectory refuses to show the directory of another server.
func (a *Rooms) ownDirectory(r *http.Request) error {
	s := r.URL.Query().Get("server")
	if s == "" || s == string(a.Engine.Server) {
		return nil
	}
	if _, err := mxid.ParseServerName(s); err != nil {
		return mxerr.New(mxerr.InvalidParam, "%q is not the name of a server", s)
	}
	return mxerr.New(mxerr.NotFound, "This server does not talk to other servers, so the rooms of %s cannot be listed", s)
}
