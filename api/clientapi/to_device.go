package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/e2ee"
)

func (a *Encryption) toDeviceRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "PUT /sendToDevice/{eventType}/{txnId}",
		Also:    []string{"PUT /_matrix/client/unstable/sendToDevice/{eventType}/{txnId}"},
		Auth:    httpx.Guest,
		Limit:   "to_device",
		MaxBody: bigBody,
		Handler: httpx.JSON(a.sendToDevice),
		Spec:    "sendToDevice",
	}}
}

type sendToDeviceReq struct {
	Messages map[string]map[string]json.RawMessage `json:"messages"`
}

// sendToDevice: client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid
func (a *Encryption) sendToDevice(ctx context.Context, r *http.Request, req sendToDeviceReq) (empty, error) {
	if req.Messages == nil {
		return empty{}, missing("messages")
	}
	who := httpx.Who(ctx)
	return empty{}, a.Keys.Send(ctx, e2ee.Mail{
		Sender: who.User, Device: who.Device, Type: r.PathValue("eventType"), TxnID: r.PathValue("txnId"), Messages: req.Messages,
	})
}
