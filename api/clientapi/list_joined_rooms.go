package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/base/store"
)

func (a *Rooms) listJoinedRoomsRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /joined_rooms",
		Auth:    httpx.User,
		Handler: httpx.JSON(a.getJoinedRooms),
		Spec:    "getJoinedRooms",
	}}
}

type joinedRooms struct {
	Rooms []string `json:"joined_rooms"`
}

// getJoinedRooms: client-server-api/#get_matrixclientv3joined_rooms
func (a *Rooms) getJoinedRooms(ctx context.Context, _ *http.Request, _ httpx.None) (joinedRooms, error) {
	out := joinedRooms{Rooms: []string{}}
	members, err := a.Engine.RoomsOf(ctx, httpx.Who(ctx).User)
	if err != nil {
		return out, err
	}
	for _, m := range members {
		if m.Membership != store.Join {
			continue
		}
		r, err := a.Engine.RoomByNID(ctx, m.Room)
		if err != nil {
			return out, err
		}
		out.Rooms = append(out.Rooms, r.ID)
	}
	return out, nil
}
