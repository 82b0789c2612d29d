package clientapi

import (
	"context"
	"net/http"
	"strconv"

	"hearth/api/httpx"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

func (a *Rooms) roomEventByTimestampRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /rooms/{roomId}/timestamp_to_event",
		In:      httpx.ClientV1,
		Also:    []string{"GET /_matrix/client/unstable/org.matrix.msc3030/rooms/{roomId}/timestamp_to_event"},
		Auth:    httpx.User,
		Limit:   "search",
		Handler: httpx.JSON(a.getEventByTimestamp),
		Spec:    "getEventByTimestamp",
	}}
}

type eventAtAnswer struct {
	EventID string `json:"event_id"`
	TS      int64  `json:"origin_server_ts"`
}

// getEventByTimestamp: client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event
func (a *Rooms) getEventByTimestamp(ctx context.Context, r *http.Request, _ httpx.None) (eventAtAnswer, error) {
	s, err := a.Engine.Sight(ctx, r.PathValue("roomId"), httpx.Who(ctx).User)
	if err != nil {
		return eventAtAnswer{}, err
	}
	q := r.URL.Query()
	at, err := strconv.ParseInt(q.Get("ts"), 10, 64)
	switch {
	case q.Get("ts") == "":
		return eventAtAnswer{}, mxerr.New(mxerr.MissingParam, "ts is missing")
	case err != nil:
		return eventAtAnswer{}, mxerr.New(mxerr.InvalidParam, "ts must be a whole number of milliseconds")
	case q.Get("dir") == "":
		return eventAtAnswer{}, mxerr.New(mxerr.MissingParam, "dir is missing")
	case q.Get("dir") != "f" && q.Get("dir") != "b":
		return eventAtAnswer{}, mxerr.New(mxerr.InvalidParam, "dir must be f or b")
	}
	if err := a.Search.CatchUp(ctx); err != nil {
		return eventAtAnswer{}, err
	}
	ev, err := a.eventNear(ctx, s, at, q.Get("dir") == "b")
	if err != nil {
		return eventAtAnswer{}, err
	}
	if ev == nil {
		return eventAtAnswer{}, mxerr.New(mxerr.NotFound, "There is no event from that time on in this direction")
	}
	return eventAtAnswer{ev.ID, ev.OriginServerTS}, nil
}

// eventNear is the event nearest to a time that the user may see, nil if there
// is none within reach.
func (a *Rooms) eventNear(ctx context.Context, s *room.Sight, at int64, backward bool) (*room.Event, error) {
	for skip := 0; skip < maxScan; {
		nids, err := a.Search.Near(ctx, s.Room.NID, at, backward, skip)
		if err != nil || len(nids) == 0 {
			return nil, err
		}
		events, err := a.Engine.Events(ctx, s.Room.Version, nids)
		if err != nil {
			return nil, err
		}
		for _, ev := range events {
			if ok, err := s.CanSee(ev); err != nil || ok && ev.Ord <= s.Last {
				return ev, err
			}
		}
		skip += len(nids)
	}
	return nil, nil
}
