package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/spaces"
)

func (a *Rooms) roomSummaryRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /room_summary/{roomIdOrAlias}",
		In:      httpx.ClientV1,
		Also: []string{
			"GET /_matrix/client/unstable/im.nheko.summary/summary/{roomIdOrAlias}",
			"GET /_matrix/client/unstable/im.nheko.summary/rooms/{roomIdOrAlias}/summary",
		},
		Auth:    httpx.Optional,
		Limit:   "search",
		Handler: httpx.JSON(a.getRoomSummary),
		Spec:    "getRoomSummary",
	}}
}

type roomSummaryAnswer struct {
	*spaces.Summary
	Membership string `json:"membership,omitempty"`
	// The names of two fields before they were specified (MSC3266).
	OldVersion    string `json:"im.nheko.summary.room_version"`
	OldEncryption string `json:"im.nheko.summary.encryption,omitempty"`
}

// getRoomSummary: client-server-api/#get_matrixclientv1room_summaryroomidoralias
func (a *Rooms) getRoomSummary(ctx context.Context, r *http.Request, _ httpx.None) (roomSummaryAnswer, error) {
	id, err := a.resolve(ctx, r.PathValue("roomIdOrAlias"))
	if err != nil {
		return roomSummaryAnswer{}, err
	}
	user := ""
	if who := httpx.Who(ctx); who != nil {
		user = who.User
	}
	s, m, err := a.Spaces.Summary(ctx, id, user)
	if err != nil {
		return roomSummaryAnswer{}, err
	}
	out := roomSummaryAnswer{Summary: s, OldVersion: s.Version, OldEncryption: s.Encryption}
	if user != "" {
		out.Membership = m.String()
	}
	return out, nil
}
