package clientapi

import (
	"context"
	"math"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/feed"
	"hearth/homeserver/relation"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// relationPrefixes: clients of before version 1.3 call the unstable name.
var relationPrefixes = []string{"/_matrix/client/v1", "/_matrix/client/unstable"}

func (a *Rooms) relationsRoutes() []httpx.Route {
	h := httpx.JSON(a.getRelatingEvents)
	return []httpx.Route{
		{Pattern: "GET /rooms/{roomId}/relations/{eventId}", In: relationPrefixes, Auth: httpx.User, Handler: h, Spec: "getRelatingEvents"},
		{Pattern: "GET /rooms/{roomId}/relations/{eventId}/{relType}", In: relationPrefixes, Auth: httpx.User, Handler: h, Spec: "getRelatingEventsWithRelType"},
		{Pattern: "GET /rooms/{roomId}/relations/{eventId}/{relType}/{eventType}", In: relationPrefixes, Auth: httpx.User, Handler: h, Spec: "getRelatingEventsWithRelTypeAndEventType"},
	}
}

// Bounds of a page of relations or threads.
const (
	defaultRelations = 50
	maxRelations     = 500
)

// getRelatingEvents: client-server-api/#get_matrixclientv1roomsroomidrelationseventid,
// and its two longer forms.
func (a *Rooms) getRelatingEvents(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	q, err := relationQuery(r)
	if err != nil {
		return nil, err
	}
	s, parent, err := a.visibleEvent(ctx, r.PathValue("roomId"), r.PathValue("eventId"))
	if err != nil {
		return nil, err
	}
	if q.Backward {
		q.From = min(q.From, behind(s.Last))
	} else {
		q.End = min(q.End, behind(s.Last))
	}
	q.Parent = parent.ID
	x, err := a.relations(ctx, s)
	if err != nil {
		return nil, err
	}
	page, err := x.Children(ctx, q)
	if err != nil {
		return nil, err
	}
	out, err := a.encoder(ctx).Bundling(x.Ignored).AppendArray(ctx, []byte(`{"chunk":`), s.Room, s.Viewer, page.Events)
	if err != nil {
		return nil, err
	}
	if page.More {
		at := page.Next
		if q.Backward {
			at--
		}
		out = append(out, `,"next_batch":"`+feed.PlaceToken(at)+`"`...)
	}
	if from := r.URL.Query().Get("from"); from != "" {
		out = append(out, `,"prev_batch":`...)
		out = canonjson.Quote(out, from)
	}
	if r.URL.Query().Has("recurse") && q.Recurse {
		out = append(out, `,"recursion_depth":3`...)
	} else if r.URL.Query().Has("recurse") {
		out = append(out, `,"recursion_depth":1`...)
	}
	return append(out, '}'), nil
}

func relationQuery(r *http.Request) (q relation.Query, err error) {
	params := r.URL.Query()
	q = relation.Query{RelType: r.PathValue("relType"), Type: r.PathValue("eventType")}
	switch params.Get("dir") {
	case "b", "":
		q.Backward, q.From, q.End = true, math.MaxInt64, math.MinInt64
	case "f":
		q.From, q.End = math.MinInt64, math.MaxInt64
	default:
		return q, mxerr.New(mxerr.InvalidParam, "dir must be b or f")
	}
	if s := params.Get("from"); s != "" {
		if q.From, err = feed.ParsePlace(s); err != nil {
			return q, err
		}
		if q.Backward {
			q.From = behind(q.From)
		}
	}
	if s := params.Get("to"); s != "" {
		if q.End, err = feed.ParsePlace(s); err != nil {
			return q, err
		}
		if !q.Backward {
			q.End = behind(q.End)
		}
	}
	if q.Recurse, err = httpx.BoolQuery(r, "recurse", false); err != nil {
		return q, err
	}
	q.Limit, err = pageLimit(r)
	return q, err
}

// pageLimit is the limit of operations that want it greater than zero.
func pageLimit(r *http.Request) (int, error) {
	limit, err := httpx.IntQuery(r, "limit", defaultRelations, maxRelations)
	if err == nil && limit == 0 {
		err = mxerr.New(mxerr.InvalidParam, "limit must be greater than 0")
	}
	return limit, err
}

// relations reads what events of a room say of each other, as the caller sees it.
func (a *Rooms) relations(ctx context.Context, s *room.Sight) (*relation.Reader, error) {
	user := httpx.Who(ctx).User
	ignored, err := a.ignored(ctx)
	return &relation.Reader{Rooms: a.Engine, Room: s.Room, Viewer: s.Viewer, User: user, Ignored: ignored}, err
}

// ignored lists those whose messages the caller does not want.
func (a *Rooms) ignored(ctx context.Context) (map[string]bool, error) {
	if a.Personal == nil {
		return nil, nil
	}
	return a.Personal.Ignored(ctx, httpx.Who(ctx).User)
}
