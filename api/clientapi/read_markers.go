package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/receipt"
)

func (p *Personal) readMarkersRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /rooms/{roomId}/read_markers",
		Auth:    httpx.User,
		Limit:   "receipts",
		Handler: httpx.JSON(p.setReadMarker),
		Spec:    "setReadMarker",
	}}
}

type setReadMarkerReq struct {
	FullyRead string `json:"m.fully_read"`
	Read      string `json:"m.read"`
	Private   string `json:"m.read.private"`
}

// setReadMarker: client-server-api/#post_matrixclientv3roomsroomidread_markers
func (p *Personal) setReadMarker(ctx context.Context, r *http.Request, req setReadMarkerReq) (empty, error) {
	user := httpx.Who(ctx).User
	in, err := p.roomOf(ctx, r, user)
	if err != nil {
		return empty{}, err
	}
	if req.FullyRead != "" {
		if err := p.fullyRead(ctx, in, user, req.FullyRead); err != nil {
			return empty{}, err
		}
	}
	for _, rc := range []struct{ kind, event string }{{receipt.Read, req.Read}, {receipt.Private, req.Private}} {
		if rc.event == "" {
			continue
		}
		if err := p.Receipts.Set(ctx, in, user, rc.kind, "", rc.event); err != nil {
			return empty{}, err
		}
	}
	return empty{}, nil
}
