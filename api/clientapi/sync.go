package clientapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"hearth/api/httpx"
	"hearth/homeserver/feed"
	"hearth/homeserver/personal"
	"hearth/homeserver/presence"
	"hearth/matrix/mxerr"
)

// Sync are the doors to what is new: /sync and simplified sliding sync.
type Sync struct {
	// Watch is account.Engine's: what tells whether the session of a token goes on.
	// nil if sessions never end.
	Watch   func(token string) func(ctx context.Context) error
	Feed    *feed.Feed
	Filters *personal.Engine
	// Presence is told that a user's client is there.
	Presence *presence.Engine
}

// Routes are the routes of Sync.
func (a *Sync) Routes() []httpx.Route {
	return append(a.syncRoutes(), a.slidingSyncRoutes()...)
}

func (a *Sync) syncRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /sync",
		Auth:    httpx.Guest,
		Handler: httpx.Patient(a.sync),
		Spec:    "sync",
	}}
}

// sync: client-server-api/#get_matrixclientv3sync
func (a *Sync) sync(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, httpx.Later, error) {
	q := httpx.Query(r)
	who := httpx.Who(ctx)
	timeout, err := httpx.IntQuery(r, "timeout", 0, 1<<31)
	if err != nil {
		return nil, nil, err
	}
	full, err := httpx.BoolQuery(r, "full_state", false)
	if err != nil {
		return nil, nil, err
	}
	filter, err := a.filter(ctx, who.User, q.Get("filter"))
	if err != nil {
		return nil, nil, err
	}
	req := feed.SyncRequest{
		User: who.User, Device: who.Device, Since: q.Get("since"), Filter: filter,
		FullState: full, Timeout: time.Duration(timeout) * time.Millisecond,
	}
	if req.StateAfter, err = stateAfter(r); err != nil {
		return nil, nil, err
	}
	state := q.Get("set_presence")
	if !slices.Contains([]string{"", presence.Online, presence.Unavailable, presence.Offline}, state) {
		return nil, nil, mxerr.New(mxerr.InvalidParam, "set_presence must be online, unavailable or offline")
	}
	left := a.Presence.Syncing(ctx, who.User, state)
	res, pending, err := a.Feed.BeginSync(ctx, req)
	return a.wait(who, left, res, pending, err)
}

// wait is the rest of a request, after which the client has left.
func (a *Sync) wait(who *httpx.Caller, left func(), res []byte, pending *feed.Pending, err error) (httpx.Raw, httpx.Later, error) {
	if pending == nil {
		left()
		return res, nil, err
	}
	if a.Watch != nil && who.Service == "" { // the users of bridges have no sessions
		pending.While(a.Watch(who.Token))
	}
	return nil, func(ctx context.Context) (httpx.Raw, error) {
		defer left()
		return pending.Wait(ctx)
	}, nil
}

// filter reads the query parameter: a filter as JSON, or the id of a stored one.
func (a *Sync) filter(ctx context.Context, user, text string) (*personal.Filter, error) {
	switch {
	case text == "":
		return new(personal.Filter), nil
	case text[0] == '{':
		return personal.ParseFilter([]byte(text))
	}
	return a.Filters.Filter(ctx, user, text)
}

// stateAfter tells under which name the client wants the state at the end of
// the timeline (MSC4222), "" if not at all.
func stateAfter(r *http.Request) (string, error) {
	for _, name := range []struct{ query, field string }{
		{"use_state_after", "state_after"},
		{"org.matrix.msc4222.use_state_after", "org.matrix.msc4222.state_after"},
	} {
		on, err := httpx.BoolQuery(r, name.query, false)
		if err != nil || on {
			return name.field, err
		}
	}
	return "", nil
}
