package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

func (a *Rooms) roomsRoutes() []httpx.Route {
	state := httpx.JSON(a.getRoomStateWithKey)
	return []httpx.Route{
		{Pattern: "GET /rooms/{roomId}/event/{eventId}", Auth: httpx.Guest, Handler: httpx.JSON(a.getOneRoomEvent), Spec: "getOneRoomEvent"},
		{Pattern: "GET /rooms/{roomId}/state/{eventType}/{stateKey}", Auth: httpx.Guest, Handler: state, Spec: "getRoomStateWithKey"},
		{Pattern: "GET /rooms/{roomId}/state/{eventType}/{$}", Auth: httpx.Guest, Handler: state, Spec: "getRoomStateWithKey"},
		{Pattern: "GET /rooms/{roomId}/state/{eventType}", Auth: httpx.Guest, Handler: state, Spec: "getRoomStateWithKey"},
		{Pattern: "GET /rooms/{roomId}/state", Auth: httpx.Guest, Handler: httpx.JSON(a.getRoomState), Spec: "getRoomState"},
		{Pattern: "GET /rooms/{roomId}/members", Auth: httpx.Guest, Handler: httpx.JSON(a.getMembersByRoom), Spec: "getMembersByRoom"},
		{Pattern: "GET /rooms/{roomId}/joined_members", Auth: httpx.User, Handler: httpx.JSON(a.getJoinedMembersByRoom), Spec: "getJoinedMembersByRoom"},
	}
}

// getOneRoomEvent: client-server-api/#get_matrixclientv3roomsroomideventeventid
func (a *Rooms) getOneRoomEvent(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	s, ev, err := a.visibleEvent(ctx, r.PathValue("roomId"), r.PathValue("eventId"))
	if err != nil {
		return nil, err
	}
	ignored, err := a.ignored(ctx)
	if err != nil {
		return nil, err
	}
	return a.encoder(ctx).Bundling(ignored).Append(ctx, nil, s.Room, s.Viewer, ev)
}

// visibleEvent returns an event of a room, M_NOT_FOUND if the caller may not
// see it or it is not there.
func (a *Rooms) visibleEvent(ctx context.Context, roomID, eventID string) (*room.Sight, *room.Event, error) {
	gone := mxerr.New(mxerr.NotFound, "There is no such event, or you may not see it")
	s, err := a.Engine.Sight(ctx, roomID, httpx.Who(ctx).User)
	if err != nil {
		if mxerr.From(err).Code == mxerr.Forbidden {
			err = gone
		}
		return nil, nil, err
	}
	ev, err := a.Engine.EventByID(ctx, eventID)
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			err = gone
		}
		return nil, nil, err
	}
	ok := false
	if ev.Room == s.Room.NID {
		if ok, err = s.CanSee(ev); err != nil {
			return nil, nil, err
		}
	}
	if !ok {
		return nil, nil, gone
	}
	return s, ev, nil
}

// getRoomStateWithKey: client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey
func (a *Rooms) getRoomStateWithKey(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	format := r.URL.Query().Get("format")
	if format != "" && format != "content" && format != "event" {
		return nil, mxerr.New(mxerr.InvalidParam, "format must be content or event")
	}
	s, err := a.Engine.Sight(ctx, r.PathValue("roomId"), httpx.Who(ctx).User)
	if err != nil {
		return nil, err
	}
	ev, err := a.Engine.StateEvent(ctx, s.Room, s.State, r.PathValue("eventType"), r.PathValue("stateKey"))
	if err != nil {
		return nil, err
	}
	if ev == nil {
		return nil, mxerr.New(mxerr.NotFound, "The room has no such state")
	}
	if format != "event" {
		return httpx.Raw(ev.Content), nil
	}
	return a.encoder(ctx).Append(ctx, nil, s.Room, s.Viewer, ev)
}

// getRoomState: client-server-api/#get_matrixclientv3roomsroomidstate
func (a *Rooms) getRoomState(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	s, err := a.Engine.Sight(ctx, r.PathValue("roomId"), httpx.Who(ctx).User)
	if err != nil {
		return nil, err
	}
	events, err := a.Engine.State(ctx, s.Room, s.State, nil)
	if err != nil {
		return nil, err
	}
	return a.encoder(ctx).AppendState(ctx, nil, s.Room, events)
}

// getMembersByRoom: client-server-api/#get_matrixclientv3roomsroomidmembers
func (a *Rooms) getMembersByRoom(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	q := r.URL.Query()
	want, err := memberFilter(q.Get("membership"), q.Get("not_membership"))
	if err != nil {
		return nil, err
	}
	s, err := a.Engine.Sight(ctx, r.PathValue("roomId"), httpx.Who(ctx).User)
	if err != nil {
		return nil, err
	}
	root := s.State
	if at := q.Get("at"); at != "" {
		place, err := feed.ParsePlace(at)
		if err != nil {
			return nil, err
		}
		if root, err = s.StateAt(ctx, place); err != nil {
			return nil, err
		}
	}
	all, err := a.Engine.State(ctx, s.Room, root, func(k room.Key) bool { return k.Type == "m.room.member" })
	if err != nil {
		return nil, err
	}
	events := all[:0]
	for _, ev := range all {
		if want(ev.Membership()) {
			events = append(events, ev)
		}
	}
	out, err := a.encoder(ctx).AppendState(ctx, []byte(`{"chunk":`), s.Room, events)
	return append(out, '}'), err
}

// memberFilter makes a test of two parameters that are joined by "or".
func memberFilter(is, isNot string) (func(string) bool, error) {
	for _, m := range []string{is, isNot} {
		if m != "" && store.ParseMembership(m) == store.None {
			return nil, mxerr.New(mxerr.InvalidParam, "There is no membership %q", m)
		}
	}
	return func(m string) bool {
		return is == "" && isNot == "" || is != "" && m == is || isNot != "" && m != isNot
	}, nil
}

// getJoinedMembersByRoom: client-server-api/#get_matrixclientv3roomsroomidjoined_members
func (a *Rooms) getJoinedMembersByRoom(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	roomID, user := r.PathValue("roomId"), httpx.Who(ctx).User
	m, err := a.Engine.Membership(ctx, roomID, user)
	if err != nil {
		return nil, err
	}
	if m != store.Join {
		return nil, notInRoom(user)
	}
	rm, err := a.Engine.Room(ctx, roomID)
	if err != nil {
		return nil, err
	}
	members, err := a.Engine.Members(ctx, rm, store.Join)
	if err != nil {
		return nil, err
	}
	nids := make([]int64, len(members))
	for i, m := range members {
		nids[i] = m.Event
	}
	events, err := a.Engine.Events(ctx, rm.Version, nids)
	if err != nil {
		return nil, err
	}
	out := httpx.Raw(`{"joined":{`)
	for i, ev := range events {
		if i > 0 {
			out = append(out, ',')
		}
		out = canonjson.Quote(out, *ev.StateKey)
		out = append(out, ':', '{')
		start := len(out)
		for _, f := range []struct{ in, out string }{{"avatar_url", "avatar_url"}, {"displayname", "display_name"}} {
			raw, ok := ev.Get(f.in)
			if !ok || !canonjson.IsString(raw) {
				raw = []byte("null") // clients and bots rely on both being there
			}
			out = canonjson.AppendMember(out, start, []byte(f.out), raw)
		}
		out = append(out, '}')
	}
	return append(out, `}}`...), nil
}
