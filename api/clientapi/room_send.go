package clientapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"hearth/api/httpx"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/pdu"
)

func (a *Rooms) roomSendRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "PUT /rooms/{roomId}/send/{eventType}/{txnId}",
		Auth:    httpx.Guest,
		Limit:   "send",
		Handler: rawBody(a.sendMessage),
		Spec:    "sendMessage",
	}, {
		// Without a transaction id, as scripts made from old guides send.
		Pattern: "POST /rooms/{roomId}/send/{eventType}",
		Auth:    httpx.Guest,
		Limit:   "send",
		Handler: rawBody(a.sendMessage),
	}}
}

// sendMessage: client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid
func (a *Rooms) sendMessage(ctx context.Context, r *http.Request, body json.RawMessage) (httpx.Raw, error) {
	if delay, err := delayOf(r); delay != 0 || err != nil {
		if err != nil {
			return nil, err
		}
		return a.later(ctx, r, delay, nil, body)
	}
	who := httpx.Who(ctx)
	d := room.Draft{
		Sender: who.User, Type: r.PathValue("eventType"), Content: body,
		Device: who.Device, TxnID: r.PathValue("txnId"),
	}
	var err error
	if d.Timestamp, err = givenTime(r); err != nil {
		return nil, err
	}
	if d.Sticky, err = stickyFor(r); err != nil {
		return nil, err
	}
	if d.Type == "m.room.redaction" {
		if err := d.TakeRedacts(); err != nil {
			return nil, err
		}
	}
	return a.send(ctx, r.PathValue("roomId"), d)
}

// givenTime is the time that an application service gives an event, in ms, or 0
// (application-service-api/#timestamp-massaging).
func givenTime(r *http.Request) (int64, error) {
	s := r.URL.Query().Get("ts")
	if s == "" || httpx.Who(r.Context()).Service == "" {
		return 0, nil
	}
	ts, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ts < 0 || ts > canonjson.MaxInt {
		return 0, mxerr.New(mxerr.InvalidParam, "ts must be a number of milliseconds")
	}
	return ts, nil
}

// stickyFor is for how long a request wants its event to be sticky, in ms, 0 for
// not at all (MSC4354).
func stickyFor(r *http.Request) (int64, error) {
	s := r.URL.Query().Get("org.matrix.msc4354.sticky_duration_ms")
	if s == "" {
		return 0, nil
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms < 0 {
		return 0, mxerr.New(mxerr.InvalidParam, "The duration must be a number of milliseconds from 0 to %d", pdu.MaxSticky)
	}
	return min(ms, pdu.MaxSticky), nil
}

func (a *Rooms) send(ctx context.Context, roomID string, d room.Draft) (httpx.Raw, error) {
	if silent, err := a.mayHear(ctx, roomID, d); silent || err != nil {
		return nothing(), err
	}
	ev, err := a.Engine.Send(ctx, roomID, d)
	if err != nil {
		return nil, a.outside(ctx, err, roomID, d.Sender)
	}
	return eventIDAnswer(ev.ID), nil
}
