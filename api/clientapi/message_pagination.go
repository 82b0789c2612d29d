package clientapi

import (
	"context"
	"encoding/json"
	"math"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/feed"
	"hearth/homeserver/personal"
	"hearth/homeserver/relation"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

func (a *Rooms) messagePaginationRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /rooms/{roomId}/messages",
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getRoomEvents),
		Spec:    "getRoomEvents",
	}}
}

// Bounds of one request for history.
const (
	defaultPage = 10
	maxPage     = 1000
	maxScan     = 2000 // events looked at to find those that pass
)

// getRoomEvents: client-server-api/#get_matrixclientv3roomsroomidmessages
func (a *Rooms) getRoomEvents(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	p, err := a.historyOf(ctx, r)
	if err != nil {
		return nil, err
	}
	w, err := p.window(r)
	if err != nil {
		return nil, err
	}
	events, at, more, err := p.scan(ctx, w.from, w.end, w.backward, p.limit)
	if err != nil {
		return nil, err
	}
	enc := a.encoder(ctx).Bundling(p.ignored)
	out := append(make([]byte, 0, 256+768*len(events)), `{"chunk":`...)
	if out, err = enc.AppendArray(ctx, out, p.sight.Room, p.sight.Viewer, events); err != nil {
		return nil, err
	}
	out = append(out, `,"start":`...)
	out = canonjson.Quote(out, w.start(events))
	if more {
		out = append(out, `,"end":`...)
		out = canonjson.Quote(out, feed.PlaceToken(at))
	}
	if p.filter != nil && p.filter.LazyLoadMembers {
		senders, err := a.senders(ctx, p.sight.Room, events)
		if err != nil {
			return nil, err
		}
		out = append(out, `,"state":`...)
		if out, err = enc.AppendState(ctx, out, p.sight.Room, senders); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// history is what a request sees of a room's past.
type history struct {
	engine  *room.Engine
	sight   *room.Sight
	filter  *personal.EventFilter // nil for none
	ignored map[string]bool       // whose messages the user does not want
	limit   int
}

// historyOf reads what the operations on history have in common: the room, the
// filter and the limit.
func (a *Rooms) historyOf(ctx context.Context, r *http.Request) (*history, error) {
	filter, err := eventFilter(r.URL.Query().Get("filter"))
	if err != nil {
		return nil, err
	}
	limit, err := httpx.IntQuery(r, "limit", filter.LimitOr(defaultPage, maxPage), maxPage)
	if err != nil {
		return nil, err
	}
	user := httpx.Who(ctx).User
	s, err := a.Engine.Sight(ctx, r.PathValue("roomId"), user)
	if err != nil {
		return nil, err
	}
	h := &history{engine: a.Engine, sight: s, filter: filter, limit: limit}
	if a.Personal != nil {
		h.ignored, err = a.Personal.Ignored(ctx, user)
	}
	return h, err
}

// eventFilter reads a RoomEventFilter in a query parameter.
func eventFilter(text string) (*personal.EventFilter, error) {
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

// window is the part of a timeline that a request asks for.
type window struct {
	token     string // as the client gave it
	from, end int64  // places, as scan wants them
	backward  bool
}

func (h *history) window(r *http.Request) (*window, error) {
	q := r.URL.Query()
	w := &window{token: q.Get("from")}
	switch q.Get("dir") {
	case "b":
		w.backward, w.from, w.end = true, h.sight.Room.LastPos(), math.MinInt64
	case "f":
		w.from, w.end = math.MinInt64, math.MaxInt64
	case "":
		return nil, mxerr.New(mxerr.MissingParam, "dir is missing")
	default:
		return nil, mxerr.New(mxerr.InvalidParam, "dir must be b or f")
	}
	for _, bound := range []struct {
		name string
		to   *int64
	}{{"from", &w.from}, {"to", &w.end}} {
		if s := q.Get(bound.name); s != "" {
			place, err := feed.ParsePlace(s)
			if err != nil {
				return nil, err
			}
			*bound.to = place
		}
	}
	// What happened after the user left is not looked at.
	if w.backward {
		w.from = min(w.from, h.sight.Last)
	} else {
		w.end = min(w.end, h.sight.Last)
	}
	return w, nil
}

// start is the token of the place at which a chunk begins.
func (w *window) start(events []*room.Event) string {
	if w.token != "" {
		return w.token
	}
	if !w.backward && len(events) > 0 {
		return feed.PlaceToken(events[0].Ord - 1)
	}
	return feed.PlaceToken(max(w.from, 0))
}

// scan returns up to limit events that the user may see and wants to see,
// between the places from and end in a direction; where it stopped, and whether
// there are others behind that.
func (h *history) scan(ctx context.Context, from, end int64, backward bool, limit int) (found []*room.Event, at int64, more bool, err error) {
	at = from
	if !h.filter.MatchRoom(h.sight.Room.ID) {
		return nil, at, false, nil
	}
	for seen := 0; seen < maxScan; {
		// One more than asked for tells whether there is more.
		n := limit - len(found) + 1
		if h.filter != nil {
			n = max(n, 101)
		}
		events, err := h.page(ctx, at, end, backward, n)
		if err != nil {
			return nil, at, false, err
		}
		related, err := h.related(ctx, events)
		if err != nil {
			return nil, at, false, err
		}
		for _, ev := range events {
			if len(found) == limit {
				return found, at, true, nil
			}
			h.sight.Carry(ev)
			ok, err := h.shows(ev)
			if err != nil {
				return nil, at, false, err
			}
			if ok && (related == nil || related[ev]) {
				found = append(found, ev)
			}
			at = ev.Ord
			if backward {
				at = ev.Ord - 1
			}
		}
		if len(events) < n {
			// Where a filter left events out, clients are used to find the end of a
			// timeline by an empty page.
			return found, at, h.filter != nil && len(found) > 0, nil
		}
		seen += len(events)
	}
	return found, at, true, nil
}

// page reads events between two places: a place is behind the event with its
// number.
func (h *history) page(ctx context.Context, from, end int64, backward bool, n int) ([]*room.Event, error) {
	if backward {
		return h.engine.Before(ctx, h.sight.Room, behind(from), end, n)
	}
	return h.engine.After(ctx, h.sight.Room, from, behind(end), n)
}

// behind is the bound that includes the event at a place.
func behind(place int64) int64 {
	if place == math.MaxInt64 {
		return place
	}
	return place + 1
}

func (h *history) shows(ev *room.Event) (bool, error) {
	if h.ignored[ev.Sender] && ev.StateKey == nil || !h.wants(ev) {
		return false, nil
	}
	return h.sight.CanSee(ev)
}

// related are those of events that others relate to as the filter wants; nil
// for a filter that does not ask.
func (h *history) related(ctx context.Context, events []*room.Event) (map[*room.Event]bool, error) {
	if !h.filter.AsksRelated() {
		return nil, nil
	}
	x := relation.Reader{Rooms: h.engine, Room: h.sight.Room}
	found, err := x.Related(ctx, events, h.filter.RelatedBySenders, h.filter.RelatedByRelTypes)
	out := make(map[*room.Event]bool, len(found))
	for _, ev := range found {
		out[ev] = true
	}
	return out, err
}

func (h *history) wants(ev *room.Event) bool {
	if h.filter == nil {
		return true
	}
	hasURL := false
	if h.filter.ContainsURL != nil {
		_, hasURL = ev.Get("url")
	}
	if h.filter.AsksRelation() {
		rel, _ := ev.Relation()
		if !h.filter.MatchRelation(rel.RelType) {
			return false
		}
	}
	return h.filter.Match(ev.Type, ev.Sender, hasURL)
}

// senders returns the member events of those who sent events, as they were
// when each is first seen (client-server-api/#lazy-loading-room-members).
func (a *Rooms) senders(ctx context.Context, r *room.Room, events []*room.Event) ([]*room.Event, error) {
	var out []*room.Event
	seen := map[string]bool{}
	for _, ev := range events {
		if seen[ev.Sender] {
			continue
		}
		seen[ev.Sender] = true
		member, err := a.Engine.StateEvent(ctx, r, ev.StateAfter, "m.room.member", ev.Sender)
		if err != nil {
			return nil, err
		}
		if member != nil {
			out = append(out, member)
		}
	}
	return out, nil
}
