package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// threadSubscriptionRoutes are those of MSC4306, under the name they have while
// it is not accepted.
func (p *Personal) threadSubscriptionRoutes() []httpx.Route {
	const path = "/rooms/{roomId}/thread/{eventId}/subscription"
	unstable := []string{"/_matrix/client/unstable/io.element.msc4306"}
	return []httpx.Route{
		{Pattern: "GET " + path, In: unstable, Auth: httpx.User, Handler: httpx.JSON(p.getThreadSubscription)},
		{Pattern: "PUT " + path, In: unstable, Auth: httpx.User, Limit: "personal", Handler: httpx.JSON(p.putThreadSubscription)},
		{Pattern: "DELETE " + path, In: unstable, Auth: httpx.User, Limit: "personal", Handler: httpx.JSON(p.deleteThreadSubscription)},
	}
}

func noThread() error { return mxerr.New(mxerr.NotFound, "There is no such thread") }

// visible returns an event of the room in the path, if the caller can see it. All
// else is M_NOT_FOUND.
func (p *Personal) visible(ctx context.Context, r *http.Request, eventID string) (*room.Room, *room.Event, error) {
	user, roomID := httpx.Who(ctx).User, r.PathValue("roomId")
	if _, err := mxid.ParseRoomID(roomID); err != nil {
		return nil, nil, noThread()
	}
	if _, err := mxid.ParseEventID(eventID); err != nil {
		return nil, nil, noThread()
	}
	m, err := p.Rooms.Membership(ctx, roomID, user)
	if err != nil || m == store.None {
		return nil, nil, orNoThread(err)
	}
	in, err := p.Rooms.Room(ctx, roomID)
	if err != nil {
		return nil, nil, orNoThread(err)
	}
	ev, err := p.Rooms.EventIn(ctx, in, eventID)
	if err != nil || ev == nil {
		return nil, nil, orNoThread(err)
	}
	v, err := p.Rooms.Viewer(ctx, in, user)
	if err != nil {
		return nil, nil, err
	}
	seen, err := v.CanSee(ev)
	if err != nil || !seen {
		return nil, nil, orNoThread(err)
	}
	return in, ev, nil
}

func orNoThread(err error) error {
	if err == nil || mxerr.From(err).HTTPStatus() < 500 {
		return noThread()
	}
	return err
}

type threadSubscription struct {
	Automatic bool `json:"automatic"`
}

func (p *Personal) getThreadSubscription(ctx context.Context, r *http.Request, _ httpx.None) (threadSubscription, error) {
	in, root, err := p.visible(ctx, r, r.PathValue("eventId"))
	if err != nil {
		return threadSubscription{}, err
	}
	subscribed, automatic, err := p.Push.Subscription(ctx, httpx.Who(ctx).User, in.NID, root.ID)
	if err == nil && !subscribed {
		err = mxerr.New(mxerr.NotFound, "You have not subscribed to this thread")
	}
	return threadSubscription{automatic}, err
}

type putThreadSubscriptionReq struct {
	Automatic *string `json:"automatic"` // the event that caused it
}

func (p *Personal) putThreadSubscription(ctx context.Context, r *http.Request, req putThreadSubscriptionReq) (empty, error) {
	in, root, err := p.visible(ctx, r, r.PathValue("eventId"))
	if err != nil {
		return empty{}, err
	}
	var cause *room.Event
	if req.Automatic != nil {
		if _, cause, err = p.visible(ctx, r, *req.Automatic); err != nil {
			return empty{}, err
		}
	}
	return empty{}, p.Push.Subscribe(ctx, in, httpx.Who(ctx).User, root.ID, cause)
}

func (p *Personal) deleteThreadSubscription(ctx context.Context, r *http.Request, _ httpx.None) (empty, error) {
	in, root, err := p.visible(ctx, r, r.PathValue("eventId"))
	if err != nil {
		return empty{}, err
	}
	return empty{}, p.Push.Unsubscribe(ctx, in, httpx.Who(ctx).User, root.ID)
}
