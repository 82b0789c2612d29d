package clientapi

import (
	"context"
	"math"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

func (a *Rooms) eventContextRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /rooms/{roomId}/context/{eventId}",
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getEventContext),
		Spec:    "getEventContext",
	}}
}

// getEventContext: client-server-api/#get_matrixclientv3roomsroomidcontexteventid
func (a *Rooms) getEventContext(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	h, err := a.historyOf(ctx, r)
	if err != nil {
		return nil, err
	}
	s, ev, err := a.visibleEvent(ctx, r.PathValue("roomId"), r.PathValue("eventId"))
	if err != nil {
		return nil, err
	}
	h.sight = s
	before, start, _, err := h.scan(ctx, ev.Ord-1, math.MinInt64, true, h.limit/2)
	if err != nil {
		return nil, err
	}
	after, end, _, err := h.scan(ctx, ev.Ord, s.Last, false, h.limit-h.limit/2)
	if err != nil {
		return nil, err
	}
	last := ev
	if len(after) > 0 {
		last = after[len(after)-1]
	}
	all := append(append([]*room.Event{ev}, before...), after...)
	state, err := h.stateAround(ctx, last.StateAfter, all)
	if err != nil {
		return nil, err
	}
	enc, out := a.encoder(ctx).Bundling(h.ignored), []byte(`{"event":`)
	if out, err = enc.Append(ctx, out, s.Room, s.Viewer, ev); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name   string
		events []*room.Event
	}{{"events_before", before}, {"events_after", after}} {
		out = append(out, `,"`+part.name+`":`...)
		if out, err = enc.AppendArray(ctx, out, s.Room, s.Viewer, part.events); err != nil {
			return nil, err
		}
	}
	out = append(out, `,"state":`...)
	if out, err = enc.AppendState(ctx, out, s.Room, state); err != nil {
		return nil, err
	}
	out = append(out, `,"start":`...)
	out = canonjson.Quote(out, feed.PlaceToken(start))
	out = append(out, `,"end":`...)
	out = canonjson.Quote(out, feed.PlaceToken(end))
	return append(out, '}'), nil
}

// stateAround is the state at root as far as the filter wants it: with lazy
// members, only those who sent one of events.
func (h *history) stateAround(ctx context.Context, root int64, events []*room.Event) ([]*room.Event, error) {
	senders := map[string]bool{}
	for _, ev := range events {
		senders[ev.Sender] = true
	}
	lazy := h.filter != nil && h.filter.LazyLoadMembers
	all, err := h.engine.State(ctx, h.sight.Room, root, func(k room.Key) bool {
		return h.filter.MatchType(k.Type) && (!lazy || k.Type != "m.room.member" || senders[k.StateKey])
	})
	if err != nil {
		return nil, err
	}
	out := all[:0]
	for _, ev := range all {
		if h.wants(ev) {
			out = append(out, ev)
		}
	}
	return out, nil
}
