package clientapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"hearth/api/httpx"
	"hearth/homeserver/feed"
	"hearth/homeserver/presence"
	"hearth/matrix/mxerr"
)

// SlidingSync is the flag in /versions by which clients find the route below.
const SlidingSync = "org.matrix.simplified_msc3575"

func (a *Sync) slidingSyncRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /_matrix/client/unstable/" + SlidingSync + "/sync",
		In:      httpx.Root,
		Auth:    httpx.Guest,
		Handler: httpx.Patient(a.slidingSync),
	}, {
		Pattern: "GET /thread_subscriptions",
		In:      []string{"/_matrix/client/unstable/io.element.msc4308"},
		Auth:    httpx.User,
		Handler: httpx.JSON(a.getThreadSubscriptions),
	}}
}

// getThreadSubscriptions: MSC4308, "Companion endpoint for backpaginating thread
// subscription changes"
func (a *Sync) getThreadSubscriptions(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	q := httpx.Query(r)
	if q.Get("dir") != "b" {
		return nil, mxerr.New(mxerr.InvalidParam, "dir must be b: there is no other way through thread subscriptions")
	}
	limit, err := httpx.IntQuery(r, "limit", feed.DefaultThreads, feed.MaxThreads)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		return nil, mxerr.New(mxerr.InvalidParam, "limit must be greater than 0")
	}
	after, upto := int64(0), a.Feed.Hub.Pos()
	if s := q.Get("to"); s != "" {
		if after, err = feed.ParsePlace(s); err != nil {
			return nil, err
		}
	}
	if s := q.Get("from"); s != "" {
		if upto, err = feed.ParsePlace(s); err != nil {
			return nil, err
		}
	}
	out, _, err := a.Feed.AppendThreads(ctx, nil, "end", httpx.Who(ctx).User, after, upto, limit)
	return out, err
}

// slidingSync: MSC4186. The unstable endpoint takes some parameters from the
// query, where the MSC has them in the body; either will do.
func (a *Sync) slidingSync(ctx context.Context, r *http.Request, req feed.SlideRequest) (httpx.Raw, httpx.Later, error) {
	q := httpx.Query(r)
	who := httpx.Who(ctx)
	timeout, err := httpx.IntQuery(r, "timeout", int(min(max(req.Timeout, -1), 1<<31)), 1<<31)
	if err != nil {
		return nil, nil, err
	}
	req.User, req.Device, req.Timeout = who.User, who.Device, int64(timeout)
	req.Pos = cmp.Or(q.Get("pos"), req.Pos)
	state := cmp.Or(q.Get("set_presence"), req.SetPresence)
	if !slices.Contains([]string{"", presence.Online, presence.Unavailable, presence.Offline}, state) {
		return nil, nil, mxerr.New(mxerr.InvalidParam, "set_presence must be online, unavailable or offline")
	}
	left := a.Presence.Syncing(ctx, who.User, state)
	res, pending, err := a.Feed.BeginSlide(ctx, req)
	return a.wait(who, left, res, pending, err)
}
