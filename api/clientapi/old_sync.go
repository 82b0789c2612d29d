package clientapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/feed"
	"hearth/homeserver/presence"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

func (a *Rooms) oldSyncRoutes() []httpx.Route {
	return []httpx.Route{
		{Pattern: "GET /initialSync", Auth: httpx.User, Handler: httpx.JSON(a.initialSync), Spec: "initialSync"},
		{Pattern: "GET /events", Auth: httpx.Guest, Handler: httpx.JSON(a.getEvents), Spec: "getEvents"}, // and peekEvents
		{Pattern: "GET /events/{eventId}", Auth: httpx.User, Handler: httpx.JSON(a.getOneEvent), Spec: "getOneEvent"},
	}
}

// initialSync: client-server-api/#get_matrixclientv3initialsync
func (a *Rooms) initialSync(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	limit, err := httpx.IntQuery(r, "limit", defaultPage, 100)
	if err != nil {
		return nil, err
	}
	archived, err := httpx.BoolQuery(r, "archived", false)
	if err != nil {
		return nil, err
	}
	user := httpx.Who(ctx).User
	now := feed.Token{Pos: a.Hub.Pos(), Live: a.Hub.Live()}
	members, err := a.Engine.RoomsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	out := []byte(`{"rooms":[`)
	start := len(out)
	for _, m := range members {
		gone := m.Membership == store.Leave || m.Membership == store.Ban
		if m.Forgotten || gone && !archived {
			continue
		}
		if len(out) > start {
			out = append(out, ',')
		}
		if out, err = a.appendRoomOf(ctx, out, m, limit, now); err != nil {
			return nil, err
		}
	}
	out = append(out, `],"presence":`...)
	if out, err = a.appendPresence(ctx, out, user); err != nil {
		return nil, err
	}
	out = append(out, `,"account_data":`...)
	var data []store.AccountData
	if a.Personal != nil {
		if data, err = a.Personal.In(ctx, user, 0); err != nil {
			return nil, err
		}
	}
	out = appendAccountData(out, data)
	return append(out, `,"end":"`+now.String()+`"}`...), nil
}

// appendPresence appends the presence of those who are there and share a room with
// user.
func (a *Rooms) appendPresence(ctx context.Context, out []byte, user string) ([]byte, error) {
	events := []presence.Event{}
	var failed error
	if a.Presence != nil && a.Presence.Enabled() {
		events = a.Presence.Since(0, func(other string) bool {
			ok, err := a.Presence.Shares(ctx, user, other)
			failed = cmp.Or(failed, err)
			return ok
		})
	}
	if failed != nil {
		return out, failed
	}
	raw, err := json.Marshal(events)
	return append(out, raw...), err
}

// appendRoomOf appends a room of /initialSync: all of it for those who are or
// were members, else the event that says why it is there.
func (a *Rooms) appendRoomOf(ctx context.Context, out []byte, m store.Member, limit int, now feed.Token) ([]byte, error) {
	r, err := a.Engine.RoomByNID(ctx, m.Room)
	if err != nil {
		return nil, err
	}
	s, err := a.Engine.SightOf(ctx, r, m)
	if err == nil && m.Membership != store.Invite && m.Membership != store.Knock {
		return a.appendRoomInfo(ctx, out, &history{engine: a.Engine, sight: s, limit: limit}, now)
	}
	if err != nil && mxerr.From(err).Code != mxerr.Forbidden {
		return nil, err
	}
	out = append(out, `{"room_id":`...)
	out = canonjson.Quote(out, r.ID)
	out = append(out, `,"membership":"`+m.Membership.String()+`"`...)
	events, err := a.Engine.Events(ctx, r.Version, []int64{m.Event})
	if err != nil {
		return nil, err
	}
	if m.Membership == store.Invite && len(events) > 0 {
		out = append(out, `,"invite":`...)
		if out, err = a.encoder(ctx).Append(ctx, out, r, nil, events[0]); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// Bounds of /events.
const (
	maxEventsWait  = 2 * time.Minute
	maxEventsRoom  = 100 // events of one room in one answer
	maxEventsLooks = 500 // at the store, for one answer
)

// getEvents: client-server-api/#get_matrixclientv3events. With a room_id it is
// the preview of a room (client-server-api/#peeking_get_matrixclientv3events).
func (a *Rooms) getEvents(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	timeout, err := httpx.IntQuery(r, "timeout", 0, int(maxEventsWait/time.Millisecond))
	if err != nil {
		return nil, err
	}
	from := a.Hub.Pos()
	if s := r.URL.Query().Get("from"); s != "" {
		if from, err = feed.ParsePlace(s); err != nil {
			return nil, err
		}
	}
	w := &watch{a: a, user: httpx.Who(ctx).User, peek: r.URL.Query().Get("room_id"), start: from, from: from}
	l := a.Hub.Listen(w.user)
	defer l.Close()
	woken, cancel := l.Wait()
	defer cancel()
	timer := time.NewTimer(time.Duration(timeout) * time.Millisecond)
	defer timer.Stop()
	// The tick finds what was committed while the hub did not yet know of the
	// listener.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	over := timeout == 0
	for round := 0; ; round++ {
		more, err := w.look(ctx)
		if err != nil {
			return nil, err
		}
		if len(w.found) > 0 || over && !more || round == maxEventsLooks {
			return w.answer(ctx)
		}
		if more {
			continue
		}
		for _, m := range w.rooms {
			l.Watch(m.Room)
		}
		select {
		case <-woken:
		case <-tick.C:
		case <-timer.C:
			over = true
		case <-a.Stopping:
			over = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// watch is one request to /events.
type watch struct {
	a     *Rooms
	user  string
	peek  string // room id, "" for all rooms of the user
	start int64  // place that the client named
	from  int64  // what comes after it was not looked at yet
	upto  int64  // how far the answer goes
	rooms []store.Member
	found []sighted
}

// sighted is an event with who sees it.
type sighted struct {
	*room.Event
	sight *room.Sight
}

// look finds what has happened since from. If that is nothing for the user, it
// goes on behind it; more says that there are events to look at left.
func (w *watch) look(ctx context.Context) (more bool, err error) {
	now := w.a.Hub.Pos()
	w.upto, w.found = now, nil
	if w.rooms, err = w.list(ctx); err != nil {
		return false, err
	}
	for _, m := range w.rooms {
		if m.LastPos <= w.from {
			continue
		}
		if err := w.lookInto(ctx, m); err != nil {
			return false, err
		}
	}
	// Rooms of which not all was read decide how far the answer goes.
	w.found = slices.DeleteFunc(w.found, func(s sighted) bool { return s.Ord > w.upto })
	slices.SortFunc(w.found, func(a, b sighted) int { return cmp.Compare(a.Ord, b.Ord) })
	if len(w.found) == 0 {
		w.from = max(w.from, w.upto)
	}
	return w.upto < now, nil
}

func (w *watch) list(ctx context.Context) ([]store.Member, error) {
	if w.peek == "" {
		return w.a.Engine.RoomsOf(ctx, w.user)
	}
	s, err := w.a.Engine.Sight(ctx, w.peek, w.user)
	if err != nil {
		return nil, err
	}
	return []store.Member{{User: w.user, Room: s.Room.NID, LastPos: s.Room.LastPos(), Membership: s.Membership()}}, nil
}

func (w *watch) lookInto(ctx context.Context, m store.Member) error {
	r, err := w.a.Engine.RoomByNID(ctx, m.Room)
	if err != nil {
		return err
	}
	s, err := w.a.Engine.Sight(ctx, r.ID, w.user)
	if err != nil {
		if mxerr.From(err).Code == mxerr.Forbidden {
			return nil // invited only, or forgotten
		}
		return err
	}
	events, err := w.a.Engine.After(ctx, r, w.from, w.upto+1, maxEventsRoom)
	if err != nil {
		return err
	}
	if len(events) == maxEventsRoom {
		w.upto = min(w.upto, events[len(events)-1].Ord)
	}
	visible, err := s.Visible(events)
	for _, ev := range visible {
		w.found = append(w.found, sighted{ev, s})
	}
	return err
}

func (w *watch) answer(ctx context.Context) (httpx.Raw, error) {
	out, enc := []byte(`{"chunk":[`), w.a.encoder(ctx)
	var err error
	for i, s := range w.found {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = enc.Append(ctx, out, s.sight.Room, s.sight.Viewer, s.Event); err != nil {
			return nil, err
		}
	}
	start := feed.Token{Pos: w.start}
	end := feed.Token{Pos: max(w.start, w.upto), Live: w.a.Hub.Live()}
	return append(out, `],"start":"`+start.String()+`","end":"`+end.String()+`"}`...), nil
}

// getOneEvent: client-server-api/#get_matrixclientv3eventseventid
func (a *Rooms) getOneEvent(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	id := r.PathValue("eventId")
	ev, err := a.Engine.EventByID(ctx, id)
	if err != nil {
		return nil, err
	}
	rm, err := a.Engine.RoomByNID(ctx, ev.Room)
	if err != nil {
		return nil, err
	}
	s, ev, err := a.visibleEvent(ctx, rm.ID, id)
	if err != nil {
		return nil, err
	}
	return a.encoder(ctx).Append(ctx, nil, s.Room, s.Viewer, ev)
}
