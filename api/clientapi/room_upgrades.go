package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

func (a *Rooms) roomUpgradesRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /rooms/{roomId}/upgrade",
		Auth:    httpx.User,
		Limit:   "create",
		Handler: httpx.JSON(a.upgradeRoom),
		Spec:    "upgradeRoom",
	}}
}

type upgradeReq struct {
	Version            string   `json:"new_version"`
	AdditionalCreators []string `json:"additional_creators"`
}

type upgradeAnswer struct {
	Replacement string `json:"replacement_room"`
}

// maxCreators bounds who may share a room's creation. The create event has to
// fit them.
const maxCreators = 100

// upgradeRoom: client-server-api/#post_matrixclientv3roomsroomidupgrade
func (a *Rooms) upgradeRoom(ctx context.Context, r *http.Request, req upgradeReq) (upgradeAnswer, error) {
	if req.Version == "" {
		return upgradeAnswer{}, mxerr.New(mxerr.MissingParam, "new_version is missing")
	}
	if len(req.AdditionalCreators) > maxCreators {
		return upgradeAnswer{}, mxerr.New(mxerr.InvalidParam, "At most %d additional creators are possible", maxCreators)
	}
	next, err := a.Engine.Upgrade(ctx, httpx.Who(ctx).User, r.PathValue("roomId"), room.UpgradeRequest{
		Version: req.Version, AdditionalCreators: req.AdditionalCreators,
	})
	if err != nil {
		return upgradeAnswer{}, err
	}
	a.joined(ctx, httpx.Who(ctx).User, next.ID)
	return upgradeAnswer{Replacement: next.ID}, nil
}

// joined lets the settings of a user follow them into a room that replaces
// another (client-server-api/#server-behaviour-19).
func (a *Rooms) joined(ctx context.Context, user, roomID string) {
	if a.Joined != nil {
		a.Joined(ctx, user, roomID)
	}
}

// moved is joined for those who were in the next room before the old one said that
// it is: whoever upgrades a room by hand.
func (a *Rooms) moved(ctx context.Context, tombstone json.RawMessage) error {
	next, ok := canonjson.GetString(tombstone, "replacement_room")
	if !ok {
		return nil
	}
	r, err := a.Engine.Room(ctx, next)
	if err != nil {
		return nil // it is not here
	}
	members, err := a.Engine.Members(ctx, r, store.Join)
	if err != nil {
		return err
	}
	for _, m := range members[:min(len(members), maxMoved)] {
		a.joined(ctx, m.User, next)
	}
	return nil
}

// maxMoved bounds for how many a tombstone brings settings along.
const maxMoved = 100
