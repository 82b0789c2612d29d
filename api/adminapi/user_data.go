package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) userDataRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /users/{userId}/joined_rooms", httpx.JSON(a.joinedRooms)),
		admin(v1, "GET /users/{userId}/memberships", httpx.JSON(a.memberships)),
		admin(v1, "GET /users/{userId}/accountdata", httpx.JSON(a.accountData)),
		admin(v1, "POST /users/{userId}/login", httpx.JSON(a.loginAs)),
		admin(v1, "POST /users/{userId}/_allow_cross_signing_replacement_without_uia", httpx.JSON(a.allowReplacement)),
	}
}

// knownUser reads a user id from the path and makes sure that there is such an
// account.
func (a *API) knownUser(ctx context.Context, r *http.Request) (mxid.UserID, error) {
	id, err := a.localUser(r, "Can only look up local users")
	if err != nil {
		return "", err
	}
	u, err := a.Engine.User(ctx, string(id))
	return u.ID, err
}

// roomsOf lists the rooms that a user has to do with, by id.
func (a *API) roomsOf(ctx context.Context, r *http.Request, f func(roomID string, m store.Member)) error {
	user, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return err
	}
	members, err := a.Rooms.RoomsOf(ctx, string(user))
	if err != nil {
		return err
	}
	for _, m := range members {
		rm, err := a.Rooms.RoomByNID(ctx, m.Room)
		if err != nil {
			return err
		}
		f(rm.ID, m)
	}
	return nil
}

type joinedRoomsRes struct {
	Rooms []string `json:"joined_rooms"`
	Total int      `json:"total"`
}

func (a *API) joinedRooms(ctx context.Context, r *http.Request, _ httpx.None) (joinedRoomsRes, error) {
	res := joinedRoomsRes{Rooms: []string{}}
	err := a.roomsOf(ctx, r, func(id string, m store.Member) {
		if m.Membership == store.Join {
			res.Rooms = append(res.Rooms, id)
		}
	})
	res.Total = len(res.Rooms)
	return res, err
}

type membershipsRes struct {
	Memberships map[string]string `json:"memberships"`
}

func (a *API) memberships(ctx context.Context, r *http.Request, _ httpx.None) (membershipsRes, error) {
	res := membershipsRes{map[string]string{}}
	err := a.roomsOf(ctx, r, func(id string, m store.Member) { res.Memberships[id] = m.Membership.String() })
	return res, err
}

type accountDataRes struct {
	Data struct {
		Global map[string]json.RawMessage            `json:"global"`
		Rooms  map[string]map[string]json.RawMessage `json:"rooms"`
	} `json:"account_data"`
}

func (a *API) accountData(ctx context.Context, r *http.Request, _ httpx.None) (res accountDataRes, err error) {
	user, err := a.knownUser(ctx, r)
	if err != nil {
		return res, err
	}
	all, err := a.Personal.All(ctx, string(user), 1<<62)
	if err != nil {
		return res, err
	}
	res.Data.Global, res.Data.Rooms = map[string]json.RawMessage{}, map[string]map[string]json.RawMessage{}
	for _, d := range all {
		if d.Room == 0 {
			res.Data.Global[d.Type] = d.Content
			continue
		}
		rm, err := a.Rooms.RoomByNID(ctx, d.Room)
		if err != nil {
			return res, err
		}
		if res.Data.Rooms[rm.ID] == nil {
			res.Data.Rooms[rm.ID] = map[string]json.RawMessage{}
		}
		res.Data.Rooms[rm.ID][d.Type] = d.Content
	}
	return res, nil
}

type accessTokenRes struct {
	AccessToken string `json:"access_token"`
}

// loginAs gives the administrator a token to act as a user. It belongs to no
// device, so that the user's contacts do not see a new one.
func (a *API) loginAs(ctx context.Context, r *http.Request, f fields) (accessTokenRes, error) {
	user, err := a.knownUser(ctx, r)
	if err != nil {
		return accessTokenRes{}, err
	}
	var until int64
	if !f.read("valid_until_ms", &until) {
		return accessTokenRes{}, mxerr.New(mxerr.BadJSON, "parameter 'valid_until_ms' must be an int")
	}
	if string(user) == httpx.Who(ctx).User {
		return accessTokenRes{}, bad("Cannot use admin API to login as self")
	}
	var end time.Time
	if f.has("valid_until_ms") {
		end = time.UnixMilli(until)
	}
	token, err := a.Engine.LoginAsAdmin(ctx, user, end)
	return accessTokenRes{token}, err
}

type replacementRes struct {
	Until int64 `json:"updatable_without_uia_before_ms"`
}

// allowReplacement lets a user replace cross-signing keys without a password for
// ten minutes.
func (a *API) allowReplacement(ctx context.Context, r *http.Request, _ httpx.None) (replacementRes, error) {
	user, err := a.knownUser(ctx, r)
	if err != nil {
		return replacementRes{}, err
	}
	until, err := a.Keys.AllowReplacement(ctx, string(user), 10*time.Minute)
	return replacementRes{until.UnixMilli()}, err
}
