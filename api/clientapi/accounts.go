// Package clientapi is the doors of the client-server API, /_matrix/client: one
// file per file of the specification, with functions named after its operations.
// Doors decode, call an engine and encode. They know no SQL and hold no state.
package clientapi

import (
	"context"
	"errors"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/homeserver/appservice"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Accounts are the doors to accounts, sessions and profiles, and those that
// say what the server can do. It is also the httpx.Authenticator of all doors.
type Accounts struct {
	Engine   *account.Engine
	Services *appservice.Engine
	// Unstable are the features that /versions names besides those of this file.
	Unstable []string
	// WebPush is the public key that browsers subscribe with; "" for no Web Push.
	WebPush string
	// TURN makes relay credentials; nil if this server relays no calls.
	TURN interface {
		TurnCredentials(user mxid.UserID) TurnServer
	}
	TURNGuests bool // whether guests get them
	// DefaultRoomVersion is the version of rooms for which nobody chose one; ""
	// for roomver.Default.
	DefaultRoomVersion string
}

var _ httpx.Authenticator = (*Accounts)(nil)

func client(ctx context.Context) account.Client {
	return account.Client{Addr: httpx.Addr(ctx), Agent: httpx.Agent(ctx)}
}

// Authenticate finds the owner of an access token.
func (a *Accounts) Authenticate(ctx context.Context, token string, as httpx.Identity) (*httpx.Caller, error) {
	if s := a.Services.ByToken(token); s != nil {
		u, err := s.Act(ctx, as.User, as.Device)
		if err == nil && as.Device != "" {
			a.Engine.Saw(u.ID, as.Device, client(ctx))
		}
		return &httpx.Caller{
			User: string(u.ID), Device: as.Device, Admin: u.Admin, Token: token, Service: s.ID, Unlimited: s.Free(string(u.ID)),
			Locked: u.Locked, Suspended: u.Suspended, ShadowBanned: u.ShadowBanned,
		}, err
	}
	s, err := a.Engine.Authenticate(ctx, token, client(ctx))
	if err != nil {
		return nil, err
	}
	who := &httpx.Caller{
		User: string(s.User), Device: s.Device, Guest: s.Guest, Admin: s.Admin,
		Token: token, TokenID: s.TokenID,
		Locked: s.Locked, Suspended: s.Suspended, ShadowBanned: s.ShadowBanned,
		Rate: s.Rate,
	}
	if a.Engine.Owes(s) {
		who.Consent = a.Engine.ConsentURI(s.User)
	}
	return who, nil
}

// Service is httpx.Config's.
func (a *Accounts) Service(token string) (id string, limited bool) {
	if s := a.Services.ByToken(token); s != nil {
		return s.ID, s.Limited
	}
	return "", true
}

// Routes are the routes of all files of Accounts.
func (a *Accounts) Routes() []httpx.Route {
	var all []httpx.Route
	for _, file := range [][]httpx.Route{
		a.versionsRoutes(), a.administrativeContactRoutes(), a.capabilitiesRoutes(), a.registrationRoutes(), a.registrationTokensRoutes(),
		a.loginRoutes(), a.refreshRoutes(), a.logoutRoutes(), a.whoamiRoutes(), a.passwordManagementRoutes(),
		a.accountDeactivationRoutes(), a.deviceManagementRoutes(), a.profileRoutes(), a.voipRoutes(), a.openIDRoutes(),
		a.appservicePingRoutes(), a.thirdPartyLookupRoutes(),
		a.fallbackRoutes(), a.adminRoutes(), a.loginTokenRoutes(), a.oauthServerMetadataRoutes(), a.ssoLoginRedirectRoutes(),
	} {
		all = append(all, file...)
	}
	return all
}

// session is the caller's. Only routes with an access token may ask.
func session(ctx context.Context) *account.Session {
	who := httpx.Who(ctx)
	return &account.Session{
		User: mxid.UserID(who.User), Device: who.Device, Guest: who.Guest, Admin: who.Admin, TokenID: who.TokenID,
		Service: who.Service != "",
	}
}

// interactive is httpx.JSON for operations under user-interactive
// authentication, whose 401 is not an error but a question.
func interactive[Req, Res any](fn func(context.Context, *http.Request, Req) (Res, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req Req
		body, err := httpx.Body(r)
		if err == nil {
			err = httpx.Decode(body, &req)
		}
		if err != nil {
			httpx.Fail(w, r, err)
			return
		}
		res, err := fn(r.Context(), r, req)
		if c, ok := errors.AsType[*account.Challenge](err); ok {
			httpx.Answer(w, r, http.StatusUnauthorized, c)
			return
		}
		if err != nil {
			httpx.Fail(w, r, err)
			return
		}
		httpx.Answer(w, r, http.StatusOK, res)
	})
}

// grantRes is what /login and /register answer.
type grantRes struct {
	UserID       mxid.UserID     `json:"user_id"`
	HomeServer   mxid.ServerName `json:"home_server"` // deprecated, and some bots still want it
	AccessToken  string          `json:"access_token,omitempty"`
	DeviceID     string          `json:"device_id,omitempty"`
	RefreshToken string          `json:"refresh_token,omitempty"`
	ExpiresInMS  int64           `json:"expires_in_ms,omitempty"`
}

func grantOf(g account.Grant) grantRes {
	return grantRes{
		UserID: g.User, HomeServer: g.User.Server(), AccessToken: g.AccessToken, DeviceID: g.Device,
		RefreshToken: g.RefreshToken, ExpiresInMS: g.ExpiresIn.Milliseconds(),
	}
}

// smallBody bounds bodies that strangers may send: passwords and names.
const smallBody = 64 << 10

func missing(field string) error {
	return mxerr.New(mxerr.MissingParam, "The field %q is missing", field)
}
