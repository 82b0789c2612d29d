package clientapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"hearth/api/httpx"
	"hearth/homeserver/directory"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *Rooms) directoryRoutes() []httpx.Route {
	return []httpx.Route{
		{Pattern: "PUT /directory/room/{roomAlias}", Auth: httpx.User, Limit: "directory", Handler: httpx.JSON(a.setRoomAlias), Spec: "setRoomAlias"},
		{Pattern: "GET /directory/room/{roomAlias}", Auth: httpx.Anyone, Handler: httpx.JSON(a.getRoomIDByAlias), Spec: "getRoomIdByAlias"},
		{Pattern: "DELETE /directory/room/{roomAlias}", Auth: httpx.User, Limit: "directory", Handler: httpx.JSON(a.deleteRoomAlias), Spec: "deleteRoomAlias"},
		{
			Pattern: "GET /rooms/{roomId}/aliases", Auth: httpx.User, Handler: httpx.JSON(a.getLocalAliases), Spec: "getLocalAliases",
			Also: []string{"GET /_matrix/client/unstable/org.matrix.msc2432/rooms/{roomId}/aliases"},
		},
	}
}

func directoryWho(ctx context.Context) directory.Who {
	who := httpx.Who(ctx)
	return directory.Who{User: who.User, Admin: who.Admin}
}

// aliasWho is the caller as somebody who gives aliases and takes them away. An
// application service may do that with those in its namespaces, and with no others;
// people may not with those that a service has for itself
// (application-service-api/#server-admin-style-permissions).
func (a *Rooms) aliasWho(ctx context.Context, alias string) (directory.Who, error) {
	who, service := directoryWho(ctx), httpx.Service(ctx)
	who.Admin = who.Admin || service != ""
	return who, a.Services.MayName(service, alias)
}

// setRoomAlias: client-server-api/#put_matrixclientv3directoryroomroomalias
func (a *Rooms) setRoomAlias(ctx context.Context, r *http.Request, req roomIDAnswer) (empty, error) {
	if req.RoomID == "" {
		return empty{}, mxerr.New(mxerr.MissingParam, "room_id is missing")
	}
	if _, err := mxid.ParseRoomID(req.RoomID); err != nil {
		return empty{}, err
	}
	who, err := a.aliasWho(ctx, r.PathValue("roomAlias"))
	if err != nil {
		return empty{}, err
	}
	return empty{}, a.Directory.Add(ctx, who, r.PathValue("roomAlias"), req.RoomID)
}

type aliasAnswer struct {
	RoomID  string   `json:"room_id"`
	Servers []string `json:"servers"`
}

// getRoomIDByAlias: client-server-api/#get_matrixclientv3directoryroomroomalias
func (a *Rooms) getRoomIDByAlias(ctx context.Context, r *http.Request, _ httpx.None) (aliasAnswer, error) {
	id, err := a.roomOf(ctx, r.PathValue("roomAlias"))
	return aliasAnswer{RoomID: id, Servers: []string{string(a.Engine.Server)}}, err
}

// roomOf returns the room of an alias, which an application service may make for
// the occasion.
func (a *Rooms) roomOf(ctx context.Context, alias string) (roomID string, err error) {
	roomID, err = a.Directory.Resolve(ctx, alias)
	if err != nil && mxerr.From(err).Code == mxerr.NotFound && a.Services.WantAlias(ctx, httpx.Service(ctx), alias) {
		roomID, err = a.Directory.Resolve(ctx, alias)
	}
	return roomID, err
}

// deleteRoomAlias: client-server-api/#delete_matrixclientv3directoryroomroomalias
func (a *Rooms) deleteRoomAlias(ctx context.Context, r *http.Request, _ httpx.None) (empty, error) {
	alias := r.PathValue("roomAlias")
	who, err := a.aliasWho(ctx, alias)
	if err != nil {
		return empty{}, err
	}
	roomID, err := a.Directory.Remove(ctx, who, alias)
	if err != nil {
		return empty{}, err
	}
	return empty{}, a.dropCanonicalAlias(ctx, roomID, alias)
}

// dropCanonicalAlias takes an alias that is gone out of the room's
// m.room.canonical_alias, if the caller may change that.
func (a *Rooms) dropCanonicalAlias(ctx context.Context, roomID, alias string) error {
	r, err := a.Engine.Room(ctx, roomID)
	if err != nil {
		return err
	}
	key := ""
	ev, err := a.Engine.StateEvent(ctx, r, r.Current().State, "m.room.canonical_alias", key)
	if err != nil || ev == nil {
		return err
	}
	content, changed := withoutAlias(ev.Content, alias)
	if !changed {
		return nil
	}
	_, err = a.Engine.Send(ctx, roomID, room.Draft{Sender: httpx.Who(ctx).User, Type: ev.Type, StateKey: &key, Content: content})
	if err != nil && mxerr.From(err).Code == mxerr.Forbidden {
		return nil
	}
	return err
}

func withoutAlias(content json.RawMessage, alias string) (json.RawMessage, bool) {
	changed := false
	if main, _ := canonjson.GetString(content, "alias"); main == alias {
		content, changed = canonjson.Without(nil, content, "alias"), true
	}
	var c canonicalAlias
	if err := json.Unmarshal(content, &c); err != nil || !slices.Contains(c.Alt, alias) {
		return content, changed
	}
	alt, err := json.Marshal(slices.DeleteFunc(c.Alt, func(s string) bool { return s == alias }))
	if err != nil {
		return content, changed
	}
	return canonjson.With(nil, content, "alt_aliases", alt), true
}

type aliasesAnswer struct {
	Aliases []string `json:"aliases"`
}

// getLocalAliases: client-server-api/#get_matrixclientv3roomsroomidaliases.
// Administrators see those of any room, which their tools show people by.
func (a *Rooms) getLocalAliases(ctx context.Context, r *http.Request, _ httpx.None) (aliasesAnswer, error) {
	rm, err := a.aliasesRoom(ctx, r.PathValue("roomId"))
	if err != nil {
		return aliasesAnswer{}, err
	}
	aliases, err := a.Directory.Aliases(ctx, rm)
	return aliasesAnswer{Aliases: aliases}, err
}

func (a *Rooms) aliasesRoom(ctx context.Context, id string) (*room.Room, error) {
	who := httpx.Who(ctx)
	if who.Admin {
		return a.Engine.Room(ctx, id)
	}
	s, err := a.Engine.Sight(ctx, id, who.User)
	if err != nil {
		return nil, err
	}
	if !s.Now() {
		return nil, notInRoom(who.User)
	}
	return s.Room, nil
}
