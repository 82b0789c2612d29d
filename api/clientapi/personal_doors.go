package clientapi

import (
	"context"
	"net/http"
	"slices"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/personal"
	"hearth/homeserver/presence"
	"hearth/homeserver/push"
	"hearth/homeserver/pusher"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/homeserver/typing"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Personal are the doors to what users keep for themselves and tell each other
// beside events. Guests have none of it (client-server-api/#guest-access).
type Personal struct {
	Rooms    *room.Engine
	Typing   *typing.Engine
	Receipts *receipt.Engine
	Data     *personal.Engine
	Presence *presence.Engine
	Push     *push.Counter
	Pushers  *pusher.Engine
}

// Routes are the routes of all files of Personal.
func (p *Personal) Routes() []httpx.Route {
	return slices.Concat(
		p.typingRoutes(), p.receiptsRoutes(), p.readMarkersRoutes(), p.accountDataRoutes(), p.tagsRoutes(),
		p.filterRoutes(), p.presenceRoutes(), p.pushrulesRoutes(),
		p.pusherRoutes(), p.notificationsRoutes(), p.threadSubscriptionRoutes(),
	)
}

// self is the caller, who must be the user in the path. what names what is
// nobody else's.
func self(ctx context.Context, r *http.Request, what string) (string, error) {
	user := httpx.Who(ctx).User
	if r.PathValue("userId") != user {
		return "", mxerr.New(mxerr.Forbidden, "You may not see or change the %s of other users", what)
	}
	return user, nil
}

// roomOf finds the room in the path for somebody who is, or was, in it. Rooms
// that are not there and rooms of others are both M_FORBIDDEN: who is a
// stranger to a room does not learn whether it exists.
func (p *Personal) roomOf(ctx context.Context, r *http.Request, user string) (*room.Room, error) {
	id := r.PathValue("roomId")
	if _, err := mxid.ParseRoomID(id); err != nil {
		return nil, err
	}
	m, err := p.Rooms.Membership(ctx, id, user)
	if err != nil {
		return nil, err
	}
	if m == store.None {
		return nil, notInRoom(user)
	}
	return p.Rooms.Room(ctx, id)
}
