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
	Type string `json:"type"`
}

type loginFlowsRes struct {
	Flows []loginFlow `json:"flows"`
}

// getLoginFlows: client-server-api/#get_matrixclientv3login
func (a *Accounts) getLoginFlows(context.Context, *http.Request, httpx.None) (loginFlowsRes, error) {
	return loginFlowsRes{[]loginFlow{{"m.login.password"}}}, nil
}

type loginReq struct {
	Type                     string              `json:"type"`
	Identifier               *account.Identifier `json:"identifier"`
	User                     string              `json:"user"`   // before identifier
	Medium                   string              `json:"medium"` // likewise, with address
	Address                  string              `json:"address"`
	Password                 *string             `json:"password"`
	DeviceID                 string              `json:"device_id"`
	InitialDeviceDisplayName string              `json:"initial_device_display_name"`
	RefreshToken             bool                `json:"refresh_token"`
}

// login: client-server-api/#post_matrixclientv3login
func (a *Accounts) login(ctx context.Context, _ *http.Request, req loginReq) (grantRes, error) {
	switch {
	case req.Type == "":
		return grantRes{}, missing("type")
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
