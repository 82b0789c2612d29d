package adminapi

import (
	"context"
	"net/http"
	"time"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) standingRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "PUT /suspend/{userId}", httpx.JSON(a.suspend)),
		admin(v1, "POST /users/{userId}/shadow_ban", httpx.JSON(a.shadowBan)),
		admin(v1, "DELETE /users/{userId}/shadow_ban", httpx.JSON(a.shadowUnban)),
		admin(v1, "POST /account_validity/validity", httpx.JSON(a.renew)),
		admin(v1, "GET /threepid/{medium}/users/{address}", httpx.JSON(a.userByThreepid)),
		admin(v1, "GET /auth_providers/{provider}/users/{externalId}", httpx.JSON(a.userByExternalID)),
	}
}

// suspend is what the specification has as setAdminSuspendUser, in older words.
func (a *API) suspend(ctx context.Context, r *http.Request, f fields) (map[string]bool, error) {
	id, err := a.localUser(r, "Can only suspend local users")
	if err != nil {
		return nil, err
	}
	var suspend *bool
	if !f.read("suspend", &suspend) {
		return nil, mxerr.New(mxerr.BadJSON, "Param 'suspend' must be a boolean")
	}
	if suspend == nil {
		return nil, mxerr.New(mxerr.MissingParam, "Missing params: ['suspend']")
	}
	if err := a.Engine.Change(ctx, string(id), account.Change{Suspended: suspend}); err != nil {
		return nil, err
	}
	return map[string]bool{"user_" + string(id) + "_suspended": *suspend}, nil
}

func (a *API) shadowBan(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, a.setShadowBan(ctx, r, true)
}

func (a *API) shadowUnban(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, a.setShadowBan(ctx, r, false)
}

func (a *API) setShadowBan(ctx context.Context, r *http.Request, banned bool) error {
	id, err := a.localUser(r, "Only local users can be shadow-banned")
	if err != nil {
		return err
	}
	return a.Engine.Change(ctx, string(id), account.Change{ShadowBanned: &banned})
}

type expiry struct {
	ExpirationTS int64 `json:"expiration_ts"` // ms
}

// renew says until when an account works. There is no period after which accounts
// expire by themselves, so the time must be given.
func (a *API) renew(ctx context.Context, _ *http.Request, f fields) (expiry, error) {
	var user string
	var at int64
	switch {
	case !f.read("user_id", &user) || !f.read("expiration_ts", &at) || at < 0:
		return expiry{}, mxerr.New(mxerr.BadJSON, "'user_id' must be a string and 'expiration_ts' a time in milliseconds")
	case user == "":
		return expiry{}, mxerr.New(mxerr.MissingParam, "Missing property 'user_id' in the request body")
	case !f.has("expiration_ts"):
		return expiry{}, mxerr.New(mxerr.MissingParam, "Missing property 'expiration_ts' in the request body: accounts here do not expire by themselves")
	}
	if httpx.Who(ctx).User == user {
		return expiry{}, bad("You may not end your own account")
	}
	ends := time.UnixMilli(at)
	return expiry{at}, a.Engine.Change(ctx, user, account.Change{Expires: &ends})
}

// threepid and external are what others know a user by.
type threepid struct {
	Medium      string `json:"medium"`
	Address     string `json:"address"`
	AddedAt     int64  `json:"added_at"`     // ms
	ValidatedAt int64  `json:"validated_at"` // ms
}

type external struct {
	Provider string `json:"auth_provider"`
	ID       string `json:"external_id"`
}

func (a *API) threepids(ctx context.Context, id mxid.UserID) ([]threepid, error) {
	have, err := a.Engine.Threepids(ctx, id)
	list := make([]threepid, len(have))
	for i, t := range have {
		list[i] = threepid{t.Medium, t.Address, t.Added.UnixMilli(), t.Validated.UnixMilli()}
	}
	return list, err
}

func (a *API) externals(ctx context.Context, id mxid.UserID) ([]external, error) {
	have, err := a.Engine.ExternalIDs(ctx, id)
	list := make([]external, len(have))
	for i, x := range have {
		list[i] = external{x.Provider, x.ID}
	}
	return list, err
}

type foundUser struct {
	UserID mxid.UserID `json:"user_id"`
}

func (a *API) userByThreepid(ctx context.Context, r *http.Request, _ httpx.None) (foundUser, error) {
	id, err := a.Engine.ByThreepid(ctx, r.PathValue("medium"), r.PathValue("address"))
	return foundUser{id}, err
}

func (a *API) userByExternalID(ctx context.Context, r *http.Request, _ httpx.None) (foundUser, error) {
	id, err := a.Engine.ByExternalID(ctx, r.PathValue("provider"), r.PathValue("externalId"))
	return foundUser{id}, err
}
