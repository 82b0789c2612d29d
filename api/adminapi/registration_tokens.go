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

func (a *API) registrationTokenRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /registration_tokens", httpx.JSON(a.listTokens)),
		admin(v1, "POST /registration_tokens/new", httpx.JSON(a.newToken)),
		admin(v1, "GET /registration_tokens/{token}", httpx.JSON(a.getToken)),
		admin(v1, "PUT /registration_tokens/{token}", httpx.JSON(a.updateToken)),
		admin(v1, "DELETE /registration_tokens/{token}", httpx.JSON(a.deleteToken)),
	}
}

type registrationToken struct {
	Token       string `json:"token"`
	UsesAllowed *int64 `json:"uses_allowed"`
	Pending     int64  `json:"pending"`
	Completed   int64  `json:"completed"`
	ExpiryTime  *int64 `json:"expiry_time"` // ms
}

func tokenOf(t account.RegistrationToken) registrationToken {
	out := registrationToken{Token: t.Token, UsesAllowed: t.UsesAllowed, Pending: t.Pending, Completed: t.Completed}
	if t.Expires != nil {
		ms := t.Expires.UnixMilli()
		out.ExpiryTime = &ms
	}
	return out
}

type tokensRes struct {
	RegistrationTokens []registrationToken `json:"registration_tokens"`
}

func (a *API) listTokens(ctx context.Context, r *http.Request, _ httpx.None) (tokensRes, error) {
	all := !r.URL.Query().Has("valid")
	valid, err := httpx.BoolQuery(r, "valid", false)
	if err != nil {
		return tokensRes{}, err
	}
	tokens, err := a.Engine.Tokens(ctx)
	res := tokensRes{[]registrationToken{}}
	for _, t := range tokens {
		if all || t.Valid(a.Engine.Now()) == valid {
			res.RegistrationTokens = append(res.RegistrationTokens, tokenOf(t))
		}
	}
	return res, err
}

func (a *API) newToken(ctx context.Context, _ *http.Request, f fields) (registrationToken, error) {
	var t account.RegistrationToken
	if _, named := f["token"]; named {
		if !f.has("token") || !f.read("token", &t.Token) {
			return registrationToken{}, mxerr.New(mxerr.InvalidParam, "token must be a string")
		}
		if t.Token == "" || len([]rune(t.Token)) > 64 {
			return registrationToken{}, mxerr.New(mxerr.InvalidParam, "token must not be empty and must not be longer than 64 characters")
		}
		if !account.ValidTokenName(t.Token) {
			return registrationToken{}, mxerr.New(mxerr.InvalidParam, "token must consist only of characters matched by the regex [A-Za-z0-9-_]")
		}
	} else {
		length := 16
		if !f.read("length", &length) {
			return registrationToken{}, mxerr.New(mxerr.InvalidParam, "length must be an integer")
		}
		if length < 1 || length > 64 {
			return registrationToken{}, mxerr.New(mxerr.InvalidParam, "length must be greater than zero and not greater than 64")
		}
		t.Token = mxid.RandomString(length)
	}
	if err := a.readTerms(f, &t); err != nil {
		return registrationToken{}, err
	}
	t, err := a.Engine.CreateToken(ctx, t)
	return tokenOf(t), err
}

// readTerms reads how often and until when a token may be used. A field that is
// null lifts the limit; one that is absent leaves it.
func (a *API) readTerms(f fields, t *account.RegistrationToken) error {
	if _, there := f["uses_allowed"]; there {
		t.UsesAllowed = nil
		if !f.read("uses_allowed", &t.UsesAllowed) || t.UsesAllowed != nil && *t.UsesAllowed < 0 {
			return mxerr.New(mxerr.InvalidParam, "uses_allowed must be a non-negative integer or null")
		}
	}
	if _, there := f["expiry_time"]; there {
		var ms *int64
		if !f.read("expiry_time", &ms) {
			return mxerr.New(mxerr.InvalidParam, "expiry_time must be an integer or null")
		}
		t.Expires = nil
		if ms != nil {
			at := time.UnixMilli(*ms)
			if at.Before(a.Engine.Now()) {
				return mxerr.New(mxerr.InvalidParam, "expiry_time must not be in the past")
			}
			t.Expires = &at
		}
	}
	return nil
}

func (a *API) getToken(ctx context.Context, r *http.Request, _ httpx.None) (registrationToken, error) {
	t, err := a.Engine.Token(ctx, r.PathValue("token"))
	return tokenOf(t), err
}

func (a *API) updateToken(ctx context.Context, r *http.Request, f fields) (registrationToken, error) {
	var terms account.RegistrationToken
	if err := a.readTerms(f, &terms); err != nil {
		return registrationToken{}, err
	}
	t, err := a.Engine.UpdateToken(ctx, r.PathValue("token"), func(t *account.RegistrationToken) {
		if _, there := f["uses_allowed"]; there {
			t.UsesAllowed = terms.UsesAllowed
		}
		if _, there := f["expiry_time"]; there {
			t.Expires = terms.Expires
		}
	})
	return tokenOf(t), err
}

func (a *API) deleteToken(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, a.Engine.RevokeToken(ctx, r.PathValue("token"))
}
