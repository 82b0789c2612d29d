package clientapi

import (
	"context"
	"net/http"
	"unicode/utf8"

	"hearth/api/httpx"
	"hearth/homeserver/presence"
	"hearth/matrix/mxerr"
)

func (p *Personal) presenceRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "PUT /presence/{userId}/status",
		Auth:    httpx.User,
		Limit:   "presence",
		Handler: httpx.JSON(p.setPresence),
		Spec:    "setPresence",
	}, {
		Pattern: "GET /presence/{userId}/status",
		Auth:    httpx.User,
		Handler: httpx.JSON(p.getPresence),
		Spec:    "getPresence",
	}}
}

type setPresenceReq struct {
	Presence string  `json:"presence"`
	Status   *string `json:"status_msg"`
}

// setPresence: client-server-api/#put_matrixclientv3presenceuseridstatus
// A message that is left out takes the old one away, as in Synapse.
func (p *Personal) setPresence(ctx context.Context, r *http.Request, req setPresenceReq) (empty, error) {
	user, err := self(ctx, r, "presence")
	if err != nil {
		return empty{}, err
	}
	if req.Presence == "" {
		return empty{}, missing("presence")
	}
	if req.Status == nil {
		req.Status = new(string)
	}
	return empty{}, p.Presence.Set(ctx, user, req.Presence, req.Status)
}

// getPresence: client-server-api/#get_matrixclientv3presenceuseridstatus
func (p *Personal) getPresence(ctx context.Context, r *http.Request, _ httpx.None) (presence.Content, error) {
	id := r.PathValue("userId")
	if !utf8.ValidString(id) {
		return presence.Content{}, mxerr.New(mxerr.InvalidParam, "A user id is UTF-8")
	}
	ev, err := p.Presence.Get(ctx, httpx.Who(ctx).User, id)
	return ev.Content(), err
}
