package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// unstableProfile is MSC4133's, from before custom fields were in the
// specification.
const unstableProfile = " /_matrix/client/unstable/uk.tcpip.msc4133/profile/{userId}"

func (a *Accounts) profileRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /profile/{userId}",
		Also:    []string{"GET" + unstableProfile},
		Limit:   "profile_lookup",
		Handler: httpx.JSON(a.getUserProfile),
		Spec:    "getUserProfile",
	}, {
		Pattern: "GET /profile/{userId}/{keyName}",
		Also:    []string{"GET" + unstableProfile + "/{keyName}"},
		Limit:   "profile_lookup",
		Handler: httpx.JSON(a.getProfileField),
		Spec:    "getProfileField",
	}, {
		Pattern: "PUT /profile/{userId}/{keyName}",
		Also:    []string{"PUT" + unstableProfile + "/{keyName}"},
		Auth:    httpx.Guest,
		Limit:   "profile",
		MaxBody: 128 << 10,
		Handler: httpx.JSON(a.setProfileField),
		Spec:    "setProfileField",
	}, {
		Pattern: "DELETE /profile/{userId}/{keyName}",
		Also:    []string{"DELETE" + unstableProfile + "/{keyName}"},
		Auth:    httpx.Guest,
		Limit:   "profile",
		Handler: httpx.JSON(a.deleteProfileField),
		Spec:    "deleteProfileField",
	}}
}

// getUserProfile: client-server-api/#get_matrixclientv3profileuserid
func (a *Accounts) getUserProfile(ctx context.Context, r *http.Request, _ httpx.None) (map[string]json.RawMessage, error) {
	user, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return nil, err
	}
	a.Services.WantUser(ctx, httpx.Service(ctx), string(user))
	return a.Engine.Profile(ctx, user)
}

// getProfileField: client-server-api/#get_matrixclientv3profileuseridkeyname
func (a *Accounts) getProfileField(ctx context.Context, r *http.Request, _ httpx.None) (map[string]json.RawMessage, error) {
	user, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return nil, err
	}
	a.Services.WantUser(ctx, httpx.Service(ctx), string(user))
	field := r.PathValue("keyName")
	value, err := a.Engine.ProfileField(ctx, user, field)
	return map[string]json.RawMessage{field: value}, err
}

// setProfileField: client-server-api/#put_matrixclientv3profileuseridkeyname
func (a *Accounts) setProfileField(ctx context.Context, r *http.Request, req map[string]json.RawMessage) (httpx.None, error) {
	user, field, err := a.ownField(ctx, r)
	if err != nil {
		return httpx.None{}, err
	}
	value, ok := req[field]
	if !ok {
		return httpx.None{}, missing(field)
	}
	return httpx.None{}, a.Engine.SetProfileField(ctx, user, field, value)
}

// deleteProfileField: client-server-api/#delete_matrixclientv3profileuseridkeyname
func (a *Accounts) deleteProfileField(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	user, field, err := a.ownField(ctx, r)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.None{}, a.Engine.DeleteProfileField(ctx, user, field)
}

// ownField checks that the caller may change the field that the path names:
// one of their own, or anybody's for a server admin. Guests have no more than
// a display name (client-server-api/#guest-access).
func (a *Accounts) ownField(ctx context.Context, r *http.Request) (mxid.UserID, string, error) {
	user, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return "", "", err
	}
	who, field := httpx.Who(ctx), r.PathValue("keyName")
	if string(user) != who.User && !who.Admin {
		return "", "", mxerr.New(mxerr.Forbidden, "You cannot change the profile of somebody else")
	}
	if who.Guest && field != "displayname" {
		return "", "", mxerr.New(mxerr.GuestAccessForbidden, "Guests may change their display name only")
	}
	return user, field, nil
}
