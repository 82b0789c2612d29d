package clientapi

import (
	"context"
	"math"
	"net/http"
	"slices"

	"hearth/api/httpx"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

func (a *Rooms) threadsListRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /rooms/{roomId}/threads",
		In:      httpx.ClientV1,
		Also:    []string{"GET /_matrix/client/unstable/org.matrix.msc3856/rooms/{roomId}/threads"},
		Auth:    httpx.User,
		Handler: httpx.JSON(a.getThreadRoots),
		Spec:    "getThreadRoots",
	}}
}

// getThreadRoots: client-server-api/#get_matrixclientv1roomsroomidthreads
func (a *Rooms) getThreadRoots(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	include := r.URL.Query().Get("include")
	if include != "" && include != "all" && include != "participated" {
		return nil, mxerr.New(mxerr.InvalidParam, "include must be all or participated")
	}
	limit, err := pageLimit(r)
	if err != nil {
		return nil, err
	}
	before := int64(math.MaxInt64)
	if from := r.URL.Query().Get("from"); from != "" {
		if before, err = feed.ParsePlace(from); err != nil {
			return nil, err
		}
		before = behind(before)
	}
	s, err := a.Engine.Sight(ctx, r.PathValue("roomId"), httpx.Who(ctx).User)
	if err != nil {
		return nil, err
	}
	x, err := a.relations(ctx, s)
	if err != nil {
		return nil, err
	}
	roots, next, err := x.Threads(ctx, before, limit, include == "participated")
	if err != nil {
		return nil, err
	}
	if roots, err = hideIgnored(roots, x.Ignored); err != nil {
		return nil, err
	}
	out, err := a.encoder(ctx).Bundling(x.Ignored).AppendArray(ctx, []byte(`{"chunk":`), s.Room, s.Viewer, roots)
	if err != nil {
		return nil, err
	}
	if next != 0 {
		out = append(out, `,"next_batch":"`+feed.PlaceToken(next-1)+`"`...)
	}
	return append(out, '}'), nil
}

// hideIgnored redacts the roots that ignored people have sent: the threads are
// there for others.
func hideIgnored(roots []*room.Event, ignored map[string]bool) ([]*room.Event, error) {
	out := slices.Clone(roots)
	for i, ev := range roots {
		if !ignored[ev.Sender] {
			continue
		}
		var err error
		if out[i], err = ev.Redacted(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
