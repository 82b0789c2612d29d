package clientapi

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

func (a *Rooms) roomSendRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "PUT /rooms/{roomId}/send/{eventType}/{txnId}",
		Auth:    httpx.Guest,
		Limit:   "send",
		Handler: rawBody(a.sendMessage),
		Spec:    "sendMessage",
	}}
}

// sendMessage: client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid
func (a *Rooms) sendMessage(ctx context.Context, r *http.Request, body json.RawMessage) (httpx.Raw, error) {
	who := httpx.Who(ctx)
	d := room.Draft{
		Sender: who.User, Type: r.PathValue("eventType"), Content: body,
		Device: who.Device, TxnID: r.PathValue("txnId"),
	}
	if d.Type == "m.room.redaction" {
		var err error
		if d.Redacts, d.Content, err = takeRedacts(body); err != nil {
			return nil, err
		}
	}
	roomID := r.PathValue("roomId")
	if err := a.checkAnnotation(ctx, roomID, d); err != nil {
		return nil, a.outside(ctx, err, roomID, who.User)
	}
	return a.send(ctx, roomID, d)
}

func (a *Rooms) send(ctx context.Context, roomID string, d room.Draft) (httpx.Raw, error) {
	ev, err := a.Engine.Send(ctx, roomID, d)
	if err != nil {
		return nil, a.outside(ctx, err, roomID, d.Sender)
	}
	return eventIDAnswer(ev.ID), nil
}

// takeRedacts takes the target of a redaction out of its content. The engine
// puts it where the room's version wants it.
func takeRedacts(body json.RawMessage) (target string, content json.RawMessage, err error) {
	content, err = canonjson.Canonical(nil, body, canonjson.Options{Numbers: canonjson.Loose})
	if err != nil {
		return "", nil, &mxerr.Error{Code: mxerr.BadJSON, Text: "Event content: " + err.Error(), Cause: err}
	}
	target, ok := canonjson.GetString(content, "redacts")
	if !ok || target == "" {
		return "", nil, mxerr.New(mxerr.MissingParam, "redacts must name the event to redact")
	}
	return target, canonjson.Without(nil, content, "redacts"), nil
}

// maxAnnotationScan bounds how many events after the target are searched for an
// equal annotation. Equal ones further away pass: clients drop them.
const maxAnnotationScan = 500

// checkAnnotation refuses to annotate an event twice in the same way
// (client-server-api/#avoiding-duplicate-annotations).
func (a *Rooms) checkAnnotation(ctx context.Context, roomID string, d room.Draft) error {
	if !bytes.Contains(d.Content, []byte("m.annotation")) {
		return nil
	}
	rel := annotationIn(d.Content)
	if rel == nil {
		return nil
	}
	r, err := a.Engine.Room(ctx, roomID)
	if err != nil {
		return err
	}
	target, err := a.Engine.EventByID(ctx, rel.EventID)
	if err != nil || target.Room != r.NID {
		if err != nil && mxerr.From(err).Code != mxerr.NotFound {
			return err
		}
		return nil // what is not here cannot be annotated twice
	}
	later, err := a.Engine.After(ctx, r, target.Ord, math.MaxInt64, maxAnnotationScan)
	if err != nil {
		return err
	}
	for _, ev := range later {
		if ev.Sender != d.Sender || ev.Type != d.Type || ev.TxnDevice == d.Device && ev.TxnID == d.TxnID {
			continue // of somebody else, or this very request
		}
		if same := annotationIn(ev.Content); same != nil && *same == *rel {
			return mxerr.New(mxerr.DuplicateAnnotation, "You have annotated this event so already")
		}
	}
	return nil
}

// annotation is what an event says of another.
type annotation struct {
	RelType string `json:"rel_type"`
	EventID string `json:"event_id"`
	Key     string `json:"key"`
}

// annotationIn returns the annotation of a content, nil if it is none.
func annotationIn(content json.RawMessage) *annotation {
	var c struct {
		Relates annotation `json:"m.relates_to"`
	}
	if err := json.Unmarshal(content, &c); err != nil || c.Relates.RelType != "m.annotation" || c.Relates.EventID == "" {
		return nil // a wrong shape relates to nothing
	}
	return &c.Relates
}
