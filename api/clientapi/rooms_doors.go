package clientapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"hearth/api/httpx"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/homeserver/appservice"
	"hearth/homeserver/delayed"
	"hearth/homeserver/directory"
	"hearth/homeserver/feed"
	"hearth/homeserver/notice"
	"hearth/homeserver/people"
	"hearth/homeserver/personal"
	"hearth/homeserver/presence"
	"hearth/homeserver/room"
	"hearth/homeserver/search"
	"hearth/homeserver/spaces"
	"hearth/homeserver/steward"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// Rooms are the doors to rooms: making, entering and leaving them, what is said
// in them, and how they are found.
type Rooms struct {
	// Joined is told who has come into a room by their own will; may be nil.
	Joined func(ctx context.Context, user, roomID string)

	Engine    *room.Engine
	Directory *directory.Directory
	Hub       *notify.Hub
	Search    *search.Engine
	People    *people.Directory
	Presence  *presence.Engine // nil for none
	Notices   *notice.Engine   // nil for none
	Delayed   *delayed.Engine
	Services  *appservice.Engine
	Spaces    *spaces.Engine
	Personal  *personal.Engine // account data and whom people ignore; nil for none
	Steward   *steward.Steward // knows which rooms are closed; nil for none
	// Stopping is closed when the server stops, so that nobody waits any more;
	// nil for never.
	Stopping <-chan struct{}
}

// Routes are the routes of all files of Rooms.
func (a *Rooms) Routes() []httpx.Route {
	var all []httpx.Route
	for _, file := range [][]httpx.Route{
		a.createRoomRoutes(), a.joiningRoutes(), a.invitingRoutes(), a.leavingRoutes(), a.kickingRoutes(), a.banningRoutes(),
		a.knockingRoutes(), a.roomStateRoutes(), a.roomSendRoutes(), a.redactionRoutes(), a.eventContextRoutes(),
		a.messagePaginationRoutes(), a.roomsRoutes(), a.directoryRoutes(), a.listPublicRoomsRoutes(), a.roomUpgradesRoutes(),
		a.listJoinedRoomsRoutes(), a.roomInitialSyncRoutes(), a.oldSyncRoutes(), a.usersRoutes(), a.delayedEventRoutes(), a.appserviceRoomDirectoryRoutes(),
		a.relationsRoutes(), a.threadsListRoutes(), a.searchRoutes(), a.roomEventByTimestampRoutes(),
		a.roomSummaryRoutes(), a.spaceHierarchyRoutes(), a.mutualRoomsRoutes(),
	} {
		all = append(all, file...)
	}
	return all
}

// empty is the answer of operations that only do.
type empty = struct{}

// roomIDAnswer is the answer of operations that end in a room.
type roomIDAnswer struct {
	RoomID string `json:"room_id"`
}

// notInRoom is what strangers are told of every room, there or not.
func notInRoom(user string) error {
	return mxerr.New(mxerr.Forbidden, "%s is not in this room", user)
}

// outside hides why something failed from users who have no business with a
// room: it must not be told whether the room is there.
func (a *Rooms) outside(ctx context.Context, err error, roomID, user string) error {
	if err == nil {
		return nil
	}
	if mxerr.From(err).HTTPStatus() >= http.StatusInternalServerError {
		return err
	}
	m, merr := a.Engine.Membership(ctx, roomID, user)
	if merr != nil {
		return merr
	}
	if m == store.None {
		return notInRoom(user)
	}
	return err
}

// resolve returns the room id that a path part means, be it an alias.
func (a *Rooms) resolve(ctx context.Context, idOrAlias string) (string, error) {
	if strings.HasPrefix(idOrAlias, "#") {
		return a.roomOf(ctx, idOrAlias)
	}
	if !strings.HasPrefix(idOrAlias, "!") {
		return "", mxerr.New(mxerr.InvalidParam, "%q is neither a room id nor an alias", idOrAlias)
	}
	return idOrAlias, nil
}

// mayInvite refuses invites that are not wanted
// (client-server-api/#invite-permission).
func (a *Rooms) mayInvite(ctx context.Context, target string) error {
	a.Services.WantUser(ctx, httpx.Service(ctx), target)
	if a.Personal == nil {
		return nil
	}
	config, err := a.Personal.Get(ctx, target, 0, "m.invite_permission_config")
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			return nil
		}
		return err
	}
	if action, _ := canonjson.GetString(config, "default_action"); action == "block" {
		return mxerr.New(mxerr.InviteBlocked, "%s does not want to be invited", target)
	}
	return nil
}

// rawBody makes a handler of a function that wants its JSON unread, and answers
// JSON that is ready.
func rawBody(fn func(ctx context.Context, r *http.Request, body json.RawMessage) (httpx.Raw, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := httpx.Body(r)
		var res httpx.Raw
		if err == nil {
			res, err = fn(r.Context(), r, body)
		}
		if err != nil {
			httpx.Fail(w, r, err)
			return
		}
		httpx.Answer(w, r, http.StatusOK, res)
	})
}

// eventIDAnswer is the answer of operations that sent an event.
func eventIDAnswer(id string) httpx.Raw {
	b := append(make(httpx.Raw, 0, len(id)+16), `{"event_id":`...)
	return append(canonjson.Quote(b, id), '}')
}

// encoder writes events for the caller.
func (a *Rooms) encoder(ctx context.Context) *feed.Encoder {
	who := httpx.Who(ctx)
	return feed.NewEncoder(a.Engine, who.User, who.Device)
}

// targetReq is the body of operations on another user.
type targetReq struct {
	UserID string `json:"user_id"`
	Reason string `json:"reason"`
}

func (req *targetReq) check() error {
	if req.UserID == "" {
		return mxerr.New(mxerr.MissingParam, "user_id is missing")
	}
	return nil
}
