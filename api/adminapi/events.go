package adminapi

import (
	"context"
	"encoding/json"
	"math"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/feed"
	"hearth/homeserver/personal"
	"hearth/homeserver/room"
	"hearth/homeserver/steward"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) eventRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /rooms/{roomId}/messages", httpx.JSON(a.getMessages)),
		admin(v1, "GET /rooms/{roomId}/context/{eventId}", httpx.JSON(a.getContext)),
		admin(v1, "GET /fetch_event/{eventId}", httpx.JSON(a.fetchEvent)),
		admin(v1, "POST /user/{userId}/redact", httpx.JSON(a.redactUser)),
		admin(v1, "GET /user/redact_status/{redactId}", httpx.JSON(a.redactStatus)),
	}
}

// maxScan bounds the events that a page of a room's history looks at to find some
// that its filter lets through.
const maxScan = 2000

// getMessages is a page of a room's history, whoever may see it. As with Synapse
// it begins with the oldest, unless dir says otherwise.
func (a *API) getMessages(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	rm, err := a.room(ctx, r)
	if err != nil {
		return nil, err
	}
	limit, err := httpx.IntQuery(r, "limit", 10, 1000)
	if err != nil {
		return nil, err
	}
	filter, err := roomEventFilter(r.URL.Query().Get("filter"))
	if err != nil {
		return nil, err
	}
	backward := false
	if err := direction(r, &backward); err != nil {
		return nil, err
	}
	at := int64(math.MinInt64)
	if backward {
		at = rm.LastPos()
	}
	start := r.URL.Query().Get("from")
	if start != "" {
		if at, err = feed.ParsePlace(start); err != nil {
			return nil, err
		}
	}
	from := at
	var wanted []*room.Event
	more := limit > 0
	for seen := 0; more && len(wanted) < limit && seen < maxScan; {
		n := limit - len(wanted)
		var events []*room.Event
		if backward {
			events, err = a.Rooms.Before(ctx, rm, at+1, math.MinInt64, n)
		} else {
			events, err = a.Rooms.After(ctx, rm, at, math.MaxInt64, n)
		}
		if err != nil {
			return nil, err
		}
		for _, ev := range events {
			if filter == nil || filter.Match(ev.Type, ev.Sender, hasURL(ev)) {
				wanted = append(wanted, ev)
			}
			at = ev.Ord
			if backward {
				at--
			}
		}
		more = len(events) == n
		seen += len(events)
	}
	if start == "" {
		start = feed.PlaceToken(max(from, 0))
	}
	out, err := a.encoder().AppendArray(ctx, []byte(`{"chunk":`), rm, nil, wanted)
	out = canonjson.Quote(append(out, `,"start":`...), start)
	if more {
		out = canonjson.Quote(append(out, `,"end":`...), feed.PlaceToken(at))
	}
	return append(out, '}'), err
}

func hasURL(ev *room.Event) bool {
	_, ok := ev.Get("url")
	return ok
}

// roomEventFilter reads a RoomEventFilter in a query parameter.
func roomEventFilter(text string) (*personal.EventFilter, error) {
	if text == "" {
		return nil, nil
	}
	if !json.Valid([]byte(text)) {
		return nil, mxerr.New(mxerr.NotJSON, "The filter is not JSON")
	}
	f, err := personal.ParseFilter([]byte(`{"room":{"timeline":` + text + `}}`))
	if err != nil {
		return nil, err
	}
	return f.Room.Timeline, nil
}

// getContext is what was said around an event.
func (a *API) getContext(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	rm, err := a.room(ctx, r)
	if err != nil {
		return nil, err
	}
	limit, err := httpx.IntQuery(r, "limit", 10, 1000)
	if err != nil {
		return nil, err
	}
	ev, err := a.Rooms.EventByID(ctx, r.PathValue("eventId"))
	if err != nil || ev.Room != rm.NID || ev.Ord == 0 {
		return nil, mxerr.New(mxerr.NotFound, "Event not found.")
	}
	before, err := a.Rooms.Before(ctx, rm, ev.Ord, math.MinInt64, limit/2)
	if err != nil {
		return nil, err
	}
	after, err := a.Rooms.After(ctx, rm, ev.Ord, math.MaxInt64, limit-limit/2)
	if err != nil {
		return nil, err
	}
	first, last := ev, ev
	if len(before) > 0 {
		first = before[len(before)-1]
	}
	if len(after) > 0 {
		last = after[len(after)-1]
	}
	state, err := a.Rooms.State(ctx, rm, last.StateAfter, nil)
	if err != nil {
		return nil, err
	}
	enc := a.encoder()
	out, err := enc.Append(ctx, []byte(`{"event":`), rm, nil, ev)
	if err != nil {
		return nil, err
	}
	if out, err = enc.AppendArray(ctx, append(out, `,"events_before":`...), rm, nil, before); err != nil {
		return nil, err
	}
	if out, err = enc.AppendArray(ctx, append(out, `,"events_after":`...), rm, nil, after); err != nil {
		return nil, err
	}
	if out, err = enc.AppendState(ctx, append(out, `,"state":`...), rm, state); err != nil {
		return nil, err
	}
	out = canonjson.Quote(append(out, `,"start":`...), feed.PlaceToken(first.Ord-1))
	out = canonjson.Quote(append(out, `,"end":`...), feed.PlaceToken(last.Ord))
	return append(out, '}'), nil
}

// fetchEvent is any event by its id, with what only servers see of it.
func (a *API) fetchEvent(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	ev, err := a.Rooms.EventByID(ctx, r.PathValue("eventId"))
	if err != nil {
		return nil, mxerr.New(mxerr.NotFound, "Event not found")
	}
	rm, err := a.Rooms.RoomByNID(ctx, ev.Room)
	if err != nil {
		return nil, err
	}
	out, err := a.encoder().Append(ctx, nil, rm, nil, ev)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"auth_events", "depth", "hashes", "prev_events", "signatures"} {
		if val, ok := canonjson.Get(ev.JSON, key); ok {
			out = canonjson.With(nil, out, key, val)
		}
	}
	return append(append([]byte(`{"event":`), out...), '}'), nil
}

type redactIDRes struct {
	RedactID string `json:"redact_id"`
}

// redactUser takes back what a user said. The administrator redacts it where
// use_admin asks for that.
func (a *API) redactUser(ctx context.Context, r *http.Request, f fields) (redactIDRes, error) {
	user, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return redactIDRes{}, err
	}
	var req steward.RedactRequest
	useAdmin := false
	if !f.has("rooms") {
		return redactIDRes{}, mxerr.New(mxerr.MissingParam, "rooms is missing; an empty list means all rooms that the user is in")
	}
	for name, to := range map[string]any{
		"rooms": &req.Rooms, "reason": &req.Reason, "limit": &req.Limit, "use_admin": &useAdmin, "after_ts": &req.After, "before_ts": &req.Before,
	} {
		if !f.read(name, to) {
			return redactIDRes{}, mxerr.New(mxerr.BadJSON, "Param '%s' is of the wrong type", name)
		}
	}
	if req.Limit < 0 || f.has("limit") && req.Limit == 0 {
		return redactIDRes{}, mxerr.New(mxerr.InvalidParam, "limit must be greater than 0")
	}
	if useAdmin || user.Server() != a.Engine.ServerName {
		req.UseAdmin = httpx.Who(ctx).User
	}
	id, err := a.Steward.Redact(ctx, string(user), req)
	return redactIDRes{id}, err
}

type redactStatusRes struct {
	Status string            `json:"status"`
	Failed map[string]string `json:"failed_redactions"`
	Error  string            `json:"error,omitempty"`
}

func (a *API) redactStatus(ctx context.Context, r *http.Request, _ httpx.None) (redactStatusRes, error) {
	j, err := a.Steward.Job(ctx, r.PathValue("redactId"))
	if err != nil {
		return redactStatusRes{}, err
	}
	res := redactStatusRes{Status: j.Status, Failed: map[string]string{}}
	return res, json.Unmarshal(j.Result, &res)
}
