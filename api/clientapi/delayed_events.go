package clientapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/delayed"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// msc4140 is where clients look for delayed events now, and where they will.
var msc4140 = []string{"/_matrix/client/unstable/org.matrix.msc4140", "/_matrix/client/v1"}

func (a *Rooms) delayedEventRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "PUT /rooms/{roomId}/delayed_event/{eventType}/{txnId}",
		In:      []string{"/_matrix/client/unstable/org.matrix.msc4140", "/_matrix/client/v3"},
		Auth:    httpx.Guest,
		Limit:   "send",
		Handler: httpx.JSON(a.scheduleEvent),
	}, {
		Pattern: "GET /delayed_events",
		In:      msc4140,
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getDelayedEvents),
	}, {
		Pattern: "GET /delayed_events/{delayId}",
		In:      msc4140,
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getDelayedEvent),
	}, {
		// The id is the key: a server that watches calls acts for clients that are
		// gone, and has no token of theirs.
		Pattern: "POST /delayed_events/{delayId}/{action}",
		In:      msc4140,
		Auth:    httpx.Anyone,
		Limit:   "delayed",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.updateDelayedEvent),
	}, {
		// As it was at first, with the action in the body.
		Pattern: "POST /delayed_events/{delayId}",
		In:      msc4140,
		Auth:    httpx.Anyone,
		Limit:   "delayed",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.updateDelayedEvent),
	}}
}

type delayIDRes struct {
	DelayID string `json:"delay_id"`
}

// delayOf reads the delay of a request to send or to set state, 0 for none.
func delayOf(r *http.Request) (time.Duration, error) {
	const name = "org.matrix.msc4140.delay"
	q := r.URL.Query()
	if !q.Has(name) {
		return 0, nil
	}
	ms, err := strconv.ParseInt(q.Get(name), 10, 64)
	if err != nil || ms <= 0 {
		return 0, mxerr.New(mxerr.InvalidParam, "The delay must be a number of milliseconds, more than 0")
	}
	return time.Duration(min(ms, delayed.MaxDelay.Milliseconds()+1)) * time.Millisecond, nil
}

// later schedules what a request would send now.
func (a *Rooms) later(ctx context.Context, r *http.Request, delay time.Duration, stateKey *string, content json.RawMessage) (httpx.Raw, error) {
	who := httpx.Who(ctx)
	draft := room.Draft{Sender: who.User, Type: r.PathValue("eventType"), StateKey: stateKey, Content: content}
	if silent, err := a.mayHear(ctx, r.PathValue("roomId"), draft); silent || err != nil {
		if err != nil {
			return nil, err
		}
		return json.Marshal(delayIDRes{mxid.RandomString(20)})
	}
	sticky, err := stickyFor(r)
	if err != nil {
		return nil, err
	}
	ts, err := givenTime(r)
	if err != nil {
		return nil, err
	}
	txn := r.PathValue("txnId")
	if txn != "" {
		txn = r.PathValue("roomId") + " " + r.PathValue("eventType") + " " + txn
	}
	id, err := a.Delayed.Schedule(ctx, delayed.Request{
		User: who.User, Device: who.Device, TxnID: txn, RoomID: r.PathValue("roomId"), Type: r.PathValue("eventType"),
		StateKey: stateKey, Content: content, Sticky: sticky, Timestamp: ts, Delay: delay,
	})
	if err != nil {
		return nil, a.outside(ctx, err, r.PathValue("roomId"), who.User)
	}
	return json.Marshal(delayIDRes{id})
}

type scheduleReq struct {
	DelayMS  *int64          `json:"delay_ms"`
	Delay    *int64          `json:"delay"` // as it was called
	StateKey *string         `json:"state_key"`
	Content  json.RawMessage `json:"content"`
}

// scheduleEvent: MSC4140, "Scheduling a delayed event"
func (a *Rooms) scheduleEvent(ctx context.Context, r *http.Request, req scheduleReq) (httpx.Raw, error) {
	if req.DelayMS == nil {
		req.DelayMS = req.Delay
	}
	if req.DelayMS == nil {
		return nil, missing("delay_ms")
	}
	if len(req.Content) == 0 {
		return nil, missing("content")
	}
	if *req.DelayMS > delayed.MaxDelay.Milliseconds() {
		return nil, mxerr.New(mxerr.Forbidden, "An event can be delayed by %d milliseconds at most", delayed.MaxDelay.Milliseconds())
	}
	return a.later(ctx, r, time.Duration(max(*req.DelayMS, 0))*time.Millisecond, req.StateKey, req.Content)
}

type delayedEvent struct {
	DelayID   string          `json:"delay_id"`
	RoomID    string          `json:"room_id"`
	Type      string          `json:"type"`
	StateKey  *string         `json:"state_key,omitempty"`
	DelayMS   int64           `json:"delay_ms"`
	Delay     int64           `json:"delay"`         // as clients know it now
	Scheduled int64           `json:"scheduled_at"`  // ms
	Running   int64           `json:"running_since"` // as clients know it now
	Content   json.RawMessage `json:"content"`
	EventID   string          `json:"event_id,omitempty"`
	Finalised int64           `json:"finalised_ts,omitempty"` // ms
	Error     json.RawMessage `json:"error,omitempty"`
}

func delayedEventOf(ev store.DelayedEvent) delayedEvent {
	return delayedEvent{
		DelayID: ev.ID, RoomID: ev.RoomID, Type: ev.Type, StateKey: ev.StateKey, DelayMS: ev.Delay, Delay: ev.Delay,
		Scheduled: ev.Scheduled, Running: ev.Scheduled, Content: ev.Content, EventID: ev.EventID, Finalised: ev.Done, Error: ev.Error,
	}
}

type delayedEventsRes struct {
	Events    []delayedEvent      `json:"delayed_events"`
	Scheduled []delayedEvent      `json:"scheduled,omitempty"` // for matrix-js-sdk
	Finalised []endedDelayedEvent `json:"finalised,omitempty"`
}

// endedDelayedEvent is what matrix-js-sdk takes for an event that waits no more.
type endedDelayedEvent struct {
	Event   delayedEvent    `json:"delayed_event"`
	Outcome string          `json:"outcome"` // "send" or "cancel"
	Reason  string          `json:"reason"`  // "error", "action" or "delay"
	Error   json.RawMessage `json:"error,omitempty"`
	EventID string          `json:"event_id,omitempty"`
	TS      int64           `json:"origin_server_ts,omitempty"`
}

func endedOf(ev store.DelayedEvent) endedDelayedEvent {
	e := endedDelayedEvent{Event: delayedEventOf(ev), Outcome: "cancel", Reason: "action", Error: ev.Error, EventID: ev.EventID}
	if ev.EventID != "" {
		e.Outcome, e.TS = "send", ev.Done
	}
	switch {
	case len(ev.Error) > 0:
		e.Reason = "error"
	case ev.EventID != "" && ev.Done >= ev.RunAt:
		e.Reason = "delay"
	}
	return e
}

// getDelayedEvents: MSC4140, "Getting a list of delayed events". Clients of an
// earlier state of it ask for those by status, and for some by their ids.
func (a *Rooms) getDelayedEvents(ctx context.Context, r *http.Request, _ httpx.None) (res delayedEventsRes, err error) {
	user, q := httpx.Who(ctx).User, r.URL.Query()
	wanted := func(id string) bool { return !q.Has("delay_id") || slices.Contains(q["delay_id"], id) }
	res.Events = []delayedEvent{}
	var waiting, ended []store.DelayedEvent
	if q.Get("status") != "finalised" {
		if waiting, err = a.Delayed.List(ctx, user); err != nil {
			return res, err
		}
	}
	if q.Get("status") == "finalised" || q.Has("delay_id") {
		if ended, err = a.Delayed.Ended(ctx, user); err != nil {
			return res, err
		}
	}
	for _, ev := range waiting {
		if wanted(ev.ID) {
			res.Events = append(res.Events, delayedEventOf(ev))
		}
	}
	for _, ev := range ended {
		if wanted(ev.ID) {
			res.Finalised = append(res.Finalised, endedOf(ev))
		}
	}
	res.Scheduled = res.Events
	return res, nil
}

// getDelayedEvent: MSC4140, "Getting a single delayed event"
func (a *Rooms) getDelayedEvent(ctx context.Context, r *http.Request, _ httpx.None) (delayedEvent, error) {
	ev, err := a.Delayed.Get(ctx, httpx.Who(ctx).User, r.PathValue("delayId"))
	return delayedEventOf(ev), err
}

type delayedActionReq struct {
	Action string `json:"action"`
}

// updateDelayedEvent: MSC4140, "Managing scheduled delayed events"
func (a *Rooms) updateDelayedEvent(ctx context.Context, r *http.Request, req delayedActionReq) (empty, error) {
	action := r.PathValue("action")
	if action == "" {
		action = req.Action
	}
	switch action {
	case delayed.Send, delayed.Cancel, delayed.Restart:
		return empty{}, a.Delayed.Act(ctx, r.PathValue("delayId"), action)
	case "":
		return empty{}, missing("action")
	}
	return empty{}, mxerr.New(mxerr.Unrecognized, "A delayed event can be sent, cancelled or restarted")
}
