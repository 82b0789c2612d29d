package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// getWhoIs is in package adminapi, beside its older twin.
func (a *Accounts) adminRoutes() []httpx.Route {
	suspend := []string{"/_matrix/client/unstable/uk.timedout.msc4323"}
	return []httpx.Route{{
		Pattern: "GET /admin/suspend/{userId}",
		In:      append(suspend, httpx.ClientV1...),
		Auth:    httpx.Admin,
		Handler: httpx.JSON(a.getAdminSuspendUser),
		Spec:    "getAdminSuspendUser",
	}, {
		Pattern: "PUT /admin/suspend/{userId}",
		In:      append(suspend, httpx.ClientV1...),
		Auth:    httpx.Admin,
		Handler: httpx.JSON(a.setAdminSuspendUser),
		Spec:    "setAdminSuspendUser",
	}, {
		Pattern: "GET /admin/lock/{userId}",
		In:      append(suspend, httpx.ClientV1...),
		Auth:    httpx.Admin,
		Handler: httpx.JSON(a.getAdminLockUser),
		Spec:    "getAdminLockUser",
	}, {
		Pattern: "PUT /admin/lock/{userId}",
		In:      append(suspend, httpx.ClientV1...),
		Auth:    httpx.Admin,
		Handler: httpx.JSON(a.setAdminLockUser),
		Spec:    "setAdminLockUser",
	}}
}

// moderated finds the user of the path, over whom a server administrator may
// decide.
func (a *Accounts) moderated(ctx context.Context, r *http.Request) (account.User, error) {
	id, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return account.User{}, err
	}
	if id.Server() != a.Engine.ServerName {
		return account.User{}, mxerr.New(mxerr.InvalidParam, "User does not belong to the local server")
	}
	u, err := a.Engine.User(ctx, string(id))
	switch {
	case err != nil:
		return u, err
	case u.Deactivated:
		return u, mxerr.New(mxerr.NotFound, "User not found")
	case u.Admin:
		return u, mxerr.New(mxerr.Forbidden, "You may not restrict yourself or another administrator")
	}
	return u, nil
}

type suspended struct {
	Suspended *bool `json:"suspended"`
}

type locked struct {
	Locked *bool `json:"locked"`
}

// getAdminSuspendUser: client-server-api/#get_matrixclientv1adminsuspenduserid
func (a *Accounts) getAdminSuspendUser(ctx context.Context, r *http.Request, _ httpx.None) (suspended, error) {
	u, err := a.moderated(ctx, r)
	return suspended{&u.Suspended}, err
}

// setAdminSuspendUser: client-server-api/#put_matrixclientv1adminsuspenduserid
func (a *Accounts) setAdminSuspendUser(ctx context.Context, r *http.Request, req suspended) (suspended, error) {
	u, err := a.moderated(ctx, r)
	if err == nil && req.Suspended == nil {
		err = missing("suspended")
	}
	if err == nil {
		err = a.Engine.Change(ctx, string(u.ID), account.Change{Suspended: req.Suspended})
	}
	return req, err
}

// getAdminLockUser: client-server-api/#get_matrixclientv1adminlockuserid
func (a *Accounts) getAdminLockUser(ctx context.Context, r *http.Request, _ httpx.None) (locked, error) {
	u, err := a.moderated(ctx, r)
	return locked{&u.Locked}, err
}

// setAdminLockUser: client-server-api/#put_matrixclientv1adminlockuserid
func (a *Accounts) setAdminLockUser(ctx context.Context, r *http.Request, req locked) (locked, error) {
	u, err := a.moderated(ctx, r)
	if err == nil && req.Locked == nil {
		err = missing("locked")
	}
	if err == nil {
		err = a.Engine.Change(ctx, string(u.ID), account.Change{Locked: req.Locked})
	}
	return req, err
}
