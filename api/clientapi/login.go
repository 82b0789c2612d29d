package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
)

func (a *Accounts) loginRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /login",
		Handler: httpx.JSON(a.getLoginFlows),
		Spec:    "getLoginFlows",
	}, {
		Pattern: "POST /login",
		Limit:   "login",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.login),
		Spec:    "login",
	}}
}

type loginFlow struct {
	Type          string `json:"type"`
	GetLoginToken bool   `json:"get_login_token,omitempty"`
}

type loginFlowsRes struct {
	Flows []loginFlow `json:"flows"`
}

// getLoginFlows: client-server-api/#get_matrixclientv3login
func (a *Accounts) getLoginFlows(context.Context, *http.Request, httpx.None) (loginFlowsRes, error) {
	flows := []loginFlow{{Type: "m.login.password"}, {"m.login.token", true}}
	if a.Services.Any() {
		flows = append(flows, loginFlow{Type: serviceLogin})
	}
	return loginFlowsRes{flows}, nil
}

type loginReq struct {
	Type                     string              `json:"type"`
	Identifier               *account.Identifier `json:"identifier"`
	User                     string              `json:"user"`   // before identifier
	Medium                   string              `json:"medium"` // likewise, with address
	Address                  string              `json:"address"`
	Password                 *string             `json:"password"`
	Token                    string              `json:"token"`
	DeviceID                 string              `json:"device_id"`
	InitialDeviceDisplayName string              `json:"initial_device_display_name"`
	RefreshToken             bool                `json:"refresh_token"`
}

// login: client-server-api/#post_matrixclientv3login
func (a *Accounts) login(ctx context.Context, r *http.Request, req loginReq) (grantRes, error) {
	switch {
	case req.Type == "":
		return grantRes{}, missing("type")
	case req.Type == serviceLogin:
		return a.loginForService(ctx, r, req)
	case req.Type == "m.login.token":
		if req.Token == "" {
			return grantRes{}, missing("token")
		}
		g, err := a.Engine.LoginWithToken(ctx, req.Token, req.DeviceID, req.InitialDeviceDisplayName, req.RefreshToken)
		return grantOf(g), err
	case req.Type != "m.login.password":
		e := mxerr.New(mxerr.Unknown, "This server does not know the login type %.64q", req.Type)
		e.Status = http.StatusBadRequest
		return grantRes{}, e
	case req.Password == nil:
		return grantRes{}, missing("password")
	}
	who, err := req.identifier()
	if err != nil {
		return grantRes{}, err
	}
	g, err := a.Engine.Login(ctx, account.LoginRequest{
		Identifier: who, Password: *req.Password, Device: req.DeviceID, DeviceName: req.InitialDeviceDisplayName,
		Refresh: req.RefreshToken, Addr: httpx.Addr(ctx),
	})
	return grantOf(g), err
}

// serviceLogin is how application services register and log in
// (client-server-api/#appservice-login).
const serviceLogin = "m.login.application_service"

func (a *Accounts) loginForService(ctx context.Context, r *http.Request, req loginReq) (grantRes, error) {
	s, err := a.service(r)
	if err != nil {
		return grantRes{}, err
	}
	if s.Devices { // MSC4190
		return grantRes{}, errServiceLogin()
	}
	who, err := req.identifier()
	if err != nil {
		return grantRes{}, err
	}
	name, err := s.Localpart(who.User)
	if err != nil {
		return grantRes{}, err
	}
	u, err := a.Engine.User(ctx, name)
	if err != nil || u.Deactivated {
		return grantRes{}, mxerr.New(mxerr.Forbidden, "The application service has not registered %s", who.User)
	}
	g, err := a.Engine.LoginAs(ctx, u.ID, req.DeviceID, req.InitialDeviceDisplayName, req.RefreshToken)
	return grantOf(g), err
}

func errServiceLogin() error {
	return mxerr.New("M_APPSERVICE_LOGIN_UNSUPPORTED", "This application service makes devices by itself").WithStatus(http.StatusBadRequest)
}

func (r loginReq) identifier() (account.Identifier, error) {
	switch {
	case r.Identifier != nil:
		return *r.Identifier, nil
	case r.User != "":
		return account.Identifier{Type: "m.id.user", User: r.User}, nil
	case r.Medium != "" && r.Address != "":
		return account.Identifier{Type: "m.id.thirdparty", Medium: r.Medium, Address: r.Address}, nil
	}
	return account.Identifier{}, missing("identifier")
}
