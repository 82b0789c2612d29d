package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

func (a *Accounts) voipRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /voip/turnServer",
		Auth:    httpx.Guest,
		Limit:   "turn",
		Handler: httpx.JSON(a.getTurnServer),
		Spec:    "getTurnServer",
	}}
}

// TurnServer is what a client needs to be relayed.
type TurnServer struct {
	Username string   `json:"username"`
	Password string   `json:"password"`
	URIs     []string `json:"uris"` // "turn:call.example.org:3478?transport=udp"
	TTL      int64    `json:"ttl"`  // seconds
}

// getTurnServer: client-server-api/#get_matrixclientv3voipturnserver. Without a
// relay the answer is an empty object: clients then go without one, and show an
// error for anything else.
func (a *Accounts) getTurnServer(ctx context.Context, _ *http.Request, _ httpx.None) (any, error) {
	s := session(ctx)
	if a.TURN == nil {
		return httpx.None{}, nil
	}
	if s.Guest && !a.TURNGuests {
		return nil, mxerr.New(mxerr.GuestAccessForbidden, "Guests may not use the relay for calls")
	}
	return a.TURN.TurnCredentials(s.User), nil
}
