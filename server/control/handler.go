package control

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

// maxBody bounds a request: a password and a name.
const maxBody = 64 << 10

// maxUsers bounds one page of users.
const maxUsers = 1000

type addUserReq struct {
	Localpart   string `json:"localpart"`
	Password    string `json:"password"`
	Admin       bool   `json:"admin"`
	DisplayName string `json:"displayname"`
}

type addUserRes struct {
	UserID string `json:"user_id"`
}

type usersRes struct {
	Users []User `json:"users"`
}

type passwordReq struct {
	Password      string `json:"password"`
	LogoutDevices bool   `json:"logout_devices"`
}

type deactivateReq struct {
	Erase bool `json:"erase"`
}

type tokensRes struct {
	Tokens []RegistrationToken `json:"registration_tokens"`
}

// Handler serves a on the control socket. It must never be reachable from a
// network.
func Handler(a Admin) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /users", door(func(ctx context.Context, r *http.Request, req addUserReq) (addUserRes, error) {
		id, err := a.AddUser(ctx, req.Localpart, req.Password, req.Admin, req.DisplayName)
		return addUserRes{id}, err
	}))
	mux.Handle("GET /users", door(func(ctx context.Context, r *http.Request, _ httpx.None) (usersRes, error) {
		limit, err := strconv.Atoi(r.FormValue("limit"))
		if err != nil || limit < 1 || limit > maxUsers {
			return usersRes{}, mxerr.New(mxerr.InvalidParam, "limit must be from 1 to %d", maxUsers)
		}
		users, err := a.Users(ctx, r.FormValue("from"), limit)
		return usersRes{users}, err
	}))
	mux.Handle("POST /users/{user}/password", door(func(ctx context.Context, r *http.Request, req passwordReq) (httpx.None, error) {
		return httpx.None{}, a.SetPassword(ctx, r.PathValue("user"), req.Password, req.LogoutDevices)
	}))
	mux.Handle("POST /users/{user}/deactivate", door(func(ctx context.Context, r *http.Request, req deactivateReq) (httpx.None, error) {
		return httpx.None{}, a.Deactivate(ctx, r.PathValue("user"), req.Erase)
	}))
	mux.Handle("POST /tokens", door(func(ctx context.Context, r *http.Request, req RegistrationToken) (RegistrationToken, error) {
		return a.CreateToken(ctx, req)
	}))
	mux.Handle("GET /tokens", door(func(ctx context.Context, r *http.Request, _ httpx.None) (tokensRes, error) {
		tokens, err := a.Tokens(ctx)
		return tokensRes{tokens}, err
	}))
	mux.Handle("DELETE /tokens/{token}", door(func(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
		return httpx.None{}, a.RevokeToken(ctx, r.PathValue("token"))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = httpx.Bounded(w, r, maxBody)
		mux.ServeHTTP(w, r)
	})
}

// door is httpx.JSON, but it tells failures of the server in full: whoever can
// open the socket can read the log as well.
func door[Req, Res any](fn func(context.Context, *http.Request, Req) (Res, error)) http.Handler {
	return httpx.JSON(func(ctx context.Context, r *http.Request, req Req) (Res, error) {
		res, err := fn(ctx, r, req)
		if _, ours := errors.AsType[*mxerr.Error](err); err != nil && !ours {
			err = &mxerr.Error{Code: mxerr.Unknown, Text: err.Error(), Cause: err}
		}
		return res, err
	})
}
