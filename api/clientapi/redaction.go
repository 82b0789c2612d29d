package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/room"
)

func (a *Rooms) redactionRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "PUT /rooms/{roomId}/redact/{eventId}/{txnId}",
		Auth:    httpx.User,
		Limit:   "send",
		Handler: httpx.JSON(a.redactEvent),
		Spec:    "redactEvent",
	}, {
		Pattern: "POST /rooms/{roomId}/redact/{eventId}", // as scripts do
		Auth:    httpx.User,
		Limit:   "send",
		Handler: httpx.JSON(a.redactEvent),
	}}
}

// redactEvent: client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid
func (a *Rooms) redactEvent(ctx context.Context, r *http.Request, req reasonReq) (httpx.Raw, error) {
	content := map[string]string{}
	if req.Reason != "" {
		content["reason"] = req.Reason
	}
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	who := httpx.Who(ctx)
	return a.send(ctx, r.PathValue("roomId"), room.Draft{
		Sender: who.User, Type: "m.room.redaction", Content: body, Redacts: r.PathValue("eventId"),
		Device: who.Device, TxnID: r.PathValue("txnId"),
	})
}
