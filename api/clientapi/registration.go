package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/homeserver/appservice"
	"hearth/matrix/mxerr"
)

func (a *Accounts) registrationRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /register",
		Limit:   "register",
		MaxBody: smallBody,
		Handler: interactive(a.register),
		Spec:    "register",
	}, {
		Pattern: "GET /register/available",
		Limit:   "register",
		Handler: httpx.JSON(a.checkUsernameAvailability),
		Spec:    "checkUsernameAvailability",
	}, {
		Pattern: "POST /register/email/requestToken",
		Limit:   "register",
		Handler: httpx.JSON(a.requestTokenFor(account.ToRegister)),
		Spec:    "requestTokenToRegisterEmail",
	}, {
		Pattern: "POST /register/msisdn/requestToken",
		Limit:   "register",
		Handler: httpx.JSON(a.requestCodeFor(account.ToRegister)),
		Spec:    "requestTokenToRegisterMSISDN",
	}}
}

type registerReq struct {
	Auth                     *account.Auth `json:"auth"`
	Type                     string        `json:"type"` // m.login.application_service
	Username                 string        `json:"username"`
	Password                 string        `json:"password"`
	DeviceID                 string        `json:"device_id"`
	InitialDeviceDisplayName string        `json:"initial_device_display_name"`
	InhibitLogin             bool          `json:"inhibit_login"`
	RefreshToken             bool          `json:"refresh_token"`
	GuestAccessToken         string        `json:"guest_access_token"`
}

// register: client-server-api/#post_matrixclientv3register
func (a *Accounts) register(ctx context.Context, r *http.Request, req registerReq) (grantRes, error) {
	switch kind := r.URL.Query().Get("kind"); kind {
	case "", "user":
	case "guest":
		g, err := a.Engine.RegisterGuest(ctx, req.InitialDeviceDisplayName)
		return grantOf(g), err
	default:
		return grantRes{}, mxerr.New(mxerr.InvalidParam, "The kind of account must be user or guest")
	}
	if req.Type == serviceLogin {
		return a.registerForService(ctx, r, req)
	}
	g, err := a.Engine.Register(ctx, account.Registration{
		Username: req.Username, Password: req.Password,
		Device: req.DeviceID, DeviceName: req.InitialDeviceDisplayName,
		InhibitLogin: req.InhibitLogin, Refresh: req.RefreshToken, GuestToken: req.GuestAccessToken,
	}, req.Auth, httpx.Addr(ctx))
	return grantOf(g), err
}

// registerForService: application-service-api/#server-admin-style-permissions
func (a *Accounts) registerForService(ctx context.Context, r *http.Request, req registerReq) (grantRes, error) {
	s, err := a.service(r)
	if err != nil {
		return grantRes{}, err
	}
	if req.Username == "" {
		return grantRes{}, missing("username")
	}
	name, err := s.NewLocalpart(req.Username)
	if err != nil {
		return grantRes{}, err
	}
	n := account.NewUser{Localpart: name, Service: true}
	if s.Devices && !req.InhibitLogin { // MSC4190
		return grantRes{}, errServiceLogin()
	}
	if req.InhibitLogin {
		user, err := a.Engine.Create(ctx, n)
		return grantRes{UserID: user, HomeServer: user.Server()}, err
	}
	g, err := a.Engine.CreateAndLogin(ctx, n, req.DeviceID, req.InitialDeviceDisplayName, req.RefreshToken)
	return grantOf(g), err
}

// service returns the application service that makes a request to an endpoint
// which people use without a token.
func (a *Accounts) service(r *http.Request) (*appservice.Service, error) {
	token := httpx.AccessToken(r)
	if token == "" {
		return nil, mxerr.New(mxerr.MissingToken, "An application service shows its as_token")
	}
	s := a.Services.ByToken(token)
	if s == nil {
		return nil, mxerr.New(mxerr.UnknownToken, "No application service has this as_token")
	}
	return s, nil
}

type availableRes struct {
	Available bool `json:"available"`
}

// checkUsernameAvailability: client-server-api/#get_matrixclientv3registeravailable
func (a *Accounts) checkUsernameAvailability(ctx context.Context, r *http.Request, _ httpx.None) (availableRes, error) {
	if !r.URL.Query().Has("username") {
		return availableRes{}, missing("username")
	}
	err := a.Engine.Available(ctx, r.URL.Query().Get("username"))
	return availableRes{Available: err == nil}, err
}
