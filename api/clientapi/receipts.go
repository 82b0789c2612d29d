package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/personal"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

func (p *Personal) receiptsRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /rooms/{roomId}/receipt/{receiptType}/{eventId}",
		Auth:    httpx.User,
		Limit:   "receipts",
		Handler: httpx.JSON(p.postReceipt),
		Spec:    "postReceipt",
	}}
}

type postReceiptReq struct {
	ThreadID json.RawMessage `json:"thread_id"`
}

// postReceipt: client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid
func (p *Personal) postReceipt(ctx context.Context, r *http.Request, req postReceiptReq) (empty, error) {
	user, kind := httpx.Who(ctx).User, r.PathValue("receiptType")
	thread, err := threadID(req.ThreadID)
	if err != nil {
		return empty{}, err
	}
	in, err := p.roomOf(ctx, r, user)
	if err != nil {
		return empty{}, err
	}
	if kind == personal.TypeFullyRead {
		if thread != "" {
			return empty{}, mxerr.New(mxerr.InvalidParam, "m.fully_read belongs to no thread")
		}
		return empty{}, p.fullyRead(ctx, in, user, r.PathValue("eventId"))
	}
	return empty{}, p.Receipts.Set(ctx, in, user, kind, thread, r.PathValue("eventId"))
}

// threadID reads thread_id, "" if it was left out.
func threadID(raw json.RawMessage) (string, error) {
	if raw == nil {
		return "", nil
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil || *s == "" {
		return "", mxerr.New(mxerr.InvalidParam, "thread_id must be a string that is not empty")
	}
	return *s, nil
}

func (p *Personal) fullyRead(ctx context.Context, in *room.Room, user, eventID string) error {
	ev, err := p.Receipts.Event(ctx, in, user, eventID)
	if err != nil {
		return err
	}
	return p.Data.SetFullyRead(ctx, user, in.NID, ev.ID, ev.Ord)
}
