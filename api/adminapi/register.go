package adminapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) registerRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /register",
		In:      v1,
		Limit:   "admin_register",
		Handler: httpx.JSON(a.getNonce),
	}, {
		Pattern: "POST /register",
		In:      v1,
		Limit:   "admin_register",
		MaxBody: 64 << 10,
		Handler: httpx.JSON(a.register),
	}}
}

type nonceRes struct {
	Nonce string `json:"nonce"`
}

func (a *API) getNonce(context.Context, *http.Request, httpx.None) (nonceRes, error) {
	return nonceRes{a.Engine.Nonce()}, nil
}

type registerRes struct {
	AccessToken  string          `json:"access_token,omitempty"`
	UserID       mxid.UserID     `json:"user_id"`
	HomeServer   mxid.ServerName `json:"home_server"`
	DeviceID     string          `json:"device_id,omitempty"`
	RefreshToken string          `json:"refresh_token,omitempty"`
	ExpiresInMS  int64           `json:"expires_in_ms,omitempty"`
}

// register makes an account for somebody who knows the shared secret, with any
// rights they like. The nonce is used up even if the rest is wrong.
func (a *API) register(ctx context.Context, _ *http.Request, f fields) (registerRes, error) {
	if a.Engine.SharedSecret == "" {
		return registerRes{}, bad("Shared secret registration is not enabled")
	}
	s, err := a.readSigned(f)
	if err != nil {
		return registerRes{}, err
	}
	if !hmac.Equal([]byte(s.sign(a.Engine.SharedSecret)), []byte(s.mac)) {
		return registerRes{}, &mxerr.Error{Code: mxerr.Unknown, Text: "HMAC incorrect", Status: http.StatusForbidden}
	}
	var refresh, inhibit bool
	if !f.read("refresh_token", &refresh) {
		return registerRes{}, bad("refresh_token must be a boolean")
	}
	if !f.read("inhibit_login", &inhibit) {
		return registerRes{}, bad("inhibit_login must be a boolean")
	}
	n := account.NewUser{Localpart: strings.ToLower(s.username), Password: s.password, Admin: s.admin, Kind: s.kind}
	if f.has("displayname") && !f.read("displayname", &n.DisplayName) {
		return registerRes{}, bad("displayname must be a string")
	}
	if inhibit {
		user, err := a.Engine.Create(ctx, n)
		return registerRes{UserID: user, HomeServer: user.Server()}, err
	}
	g, err := a.Engine.CreateAndLogin(ctx, n, "", "", refresh)
	return registerRes{
		AccessToken: g.AccessToken, UserID: g.User, HomeServer: g.User.Server(), DeviceID: g.Device,
		RefreshToken: g.RefreshToken, ExpiresInMS: g.ExpiresIn.Milliseconds(),
	}, err
}

// signed is what the MAC covers, and the MAC.
type signed struct {
	nonce, username, password, kind, mac string
	admin                                bool
}

func (a *API) readSigned(f fields) (signed, error) {
	var s signed
	required := func(name string, to *string, wrong string) error {
		if !f.has(name) {
			return mxerr.New(mxerr.BadJSON, "%s must be specified", name)
		}
		if !f.read(name, to) || len([]rune(*to)) > 512 || strings.IndexByte(*to, 0) >= 0 {
			return bad(wrong)
		}
		return nil
	}
	if err := required("nonce", &s.nonce, "unrecognised nonce"); err != nil {
		return s, err
	}
	if !a.Engine.TakeNonce(s.nonce) {
		return s, bad("unrecognised nonce")
	}
	if err := required("username", &s.username, "Invalid username"); err != nil {
		return s, err
	}
	if err := required("password", &s.password, "Invalid password"); err != nil {
		return s, err
	}
	if !f.read("user_type", &s.kind) || !validKind(s.kind) {
		return s, bad("Invalid user type")
	}
	if !f.read("admin", &s.admin) {
		return s, bad("admin must be a boolean")
	}
	return s, required("mac", &s.mac, "HMAC incorrect")
}

func (s signed) sign(secret string) string {
	parts := []string{s.nonce, s.username, s.password, "notadmin"}
	if s.admin {
		parts[3] = "admin"
	}
	if s.kind != "" {
		parts = append(parts, s.kind)
	}
	m := hmac.New(sha1.New, []byte(secret))
	m.Write([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(m.Sum(nil))
}

func validKind(kind string) bool { return slices.Contains(account.Kinds, kind) }
