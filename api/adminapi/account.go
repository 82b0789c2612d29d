package adminapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
)

func (a *API) accountRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "POST /deactivate/{userId}", httpx.JSON(a.deactivate)),
		admin(v1, "POST /reset_password/{userId}", httpx.JSON(a.resetPassword)),
		admin(v1, "GET /users/{userId}/admin", httpx.JSON(a.getAdmin)),
		admin(v1, "PUT /users/{userId}/admin", httpx.JSON(a.setAdmin)),
		admin(v1, "GET /username_available", httpx.JSON(a.usernameAvailable)),
	}
}

type deactivateRes struct {
	IDServerUnbindResult string `json:"id_server_unbind_result"`
}

func (a *API) deactivate(ctx context.Context, r *http.Request, f fields) (deactivateRes, error) {
	id, err := a.localUser(r, "Can only deactivate local users")
	if err != nil {
		return deactivateRes{}, err
	}
	if _, err := a.Engine.User(ctx, string(id)); err != nil {
		return deactivateRes{}, err
	}
	var erase bool
	if !f.read("erase", &erase) {
		return deactivateRes{}, mxerr.New(mxerr.BadJSON, "Param 'erase' must be a boolean, if given")
	}
	return deactivateRes{"success"}, a.Engine.Deactivate(ctx, string(id), erase)
}

func (a *API) resetPassword(ctx context.Context, r *http.Request, f fields) (httpx.None, error) {
	id, err := a.localUser(r, "Can only reset the password of local users")
	if err != nil {
		return httpx.None{}, err
	}
	password, logout := "", true
	if !f.has("new_password") {
		return httpx.None{}, mxerr.New(mxerr.MissingParam, "Missing params: ['new_password']")
	}
	if !f.read("new_password", &password) || !f.read("logout_devices", &logout) {
		return httpx.None{}, bad("Invalid password")
	}
	return httpx.None{}, a.Engine.SetPassword(ctx, string(id), password, logout)
}

type adminBody struct {
	Admin *bool `json:"admin"`
}

const onlyLocalAdmins = "Only local users can be admins of this homeserver"

func (a *API) getAdmin(ctx context.Context, r *http.Request, _ httpx.None) (adminBody, error) {
	id, err := a.localUser(r, onlyLocalAdmins)
	if err != nil {
		return adminBody{}, err
	}
	u, err := a.Engine.User(ctx, string(id))
	return adminBody{&u.Admin}, err
}

func (a *API) setAdmin(ctx context.Context, r *http.Request, req adminBody) (httpx.None, error) {
	id, err := a.localUser(r, onlyLocalAdmins)
	if err != nil {
		return httpx.None{}, err
	}
	if req.Admin == nil {
		return httpx.None{}, mxerr.New(mxerr.MissingParam, "Missing params: ['admin']")
	}
	if httpx.Who(ctx).User == string(id) && !*req.Admin {
		return httpx.None{}, bad("You may not demote yourself.")
	}
	return httpx.None{}, a.Engine.Change(ctx, string(id), account.Change{Admin: req.Admin})
}

type availableRes struct {
	Available bool `json:"available"`
}

func (a *API) usernameAvailable(ctx context.Context, r *http.Request, _ httpx.None) (availableRes, error) {
	err := a.Engine.Available(ctx, r.URL.Query().Get("username"))
	return availableRes{err == nil}, err
}
