package account

import (
	"cmp"
	"context"
	"errors"
	"time"

	"hearth/auth/password"
	"hearth/base/db"
	"hearth/base/limit"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Identifier says who logs in (client-server-api/#identifier-types).
type Identifier struct {
	Type    string `json:"type"` // "m.id.user", "m.id.thirdparty" or "m.id.phone"
	User    string `json:"user"`
	Medium  string `json:"medium"`
	Address string `json:"address"`
	Country string `json:"country"`
	Phone   string `json:"phone"`
	Number  string `json:"number"` // as old clients call it
}

// LoginRequest is a login with a password.
type LoginRequest struct {
	Identifier Identifier
	Password   string
	Device     string // "" for a new one
	DeviceName string // of a new one
	Refresh    bool   // whether the client can refresh tokens
	Addr       string // IP address of the client
}

// Login checks a password and opens a device. The error is M_FORBIDDEN for a
// wrong password and for an unknown user alike, M_USER_DEACTIVATED, or
// M_LIMIT_EXCEEDED.
func (e *Engine) Login(ctx context.Context, r LoginRequest) (Grant, error) {
	name := ""
	if r.Identifier.Type == "m.id.phone" {
		number, err := cleanPhone(r.Identifier.Country, cmp.Or(r.Identifier.Phone, r.Identifier.Number))
		if err != nil {
			return Grant{}, errLogin()
		}
		r.Identifier = Identifier{Type: "m.id.thirdparty", Medium: "msisdn", Address: number}
	}
	switch r.Identifier.Type {
	case "m.id.user":
		name = r.Identifier.User
	case "m.id.thirdparty":
		// An unknown address is as wrong as an unknown user, and takes as long.
		name = r.Identifier.Medium + " " + r.Identifier.Address
		if user, err := e.ByThreepid(ctx, r.Identifier.Medium, r.Identifier.Address); err == nil {
			name = string(user)
		} else if !isNotFound(err) {
			return Grant{}, err
		}
	default:
		return Grant{}, mxerr.New(mxerr.InvalidParam, "Unknown kind of login identifier")
	}
	if name == "" {
		return Grant{}, mxerr.New(mxerr.InvalidParam, "The user name is missing")
	}
	if err := checkDevice(r.Device, r.DeviceName); err != nil {
		return Grant{}, err
	}
	u, err := e.find(ctx, name)
	if err != nil && !isNotFound(err) {
		return Grant{}, err
	}
	ok, err := e.checkPassword(ctx, u, name, r.Password, r.Addr)
	if err != nil {
		return Grant{}, err
	}
	if !ok && !u.Deactivated {
		return Grant{}, errLogin()
	}
	if err := mayLogIn(u); err != nil {
		return Grant{}, err
	}
	return e.LoginAs(ctx, mxid.UserID(u.ID), r.Device, r.DeviceName, r.Refresh)
}

// LoginAs opens a device of a user who has been authenticated.
func (e *Engine) LoginAs(ctx context.Context, user mxid.UserID, device, deviceName string, refresh bool) (Grant, error) {
	g := e.grant(user, device, refresh)
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		// The account may have been deactivated while its password was checked.
		return e.loginTx(tx, g, deviceName)
	})
	return g, err
}

func (e *Engine) loginTx(tx *db.Tx, g Grant, deviceName string) error {
	u, err := store.UserByID(tx, string(g.User))
	if err == nil {
		err = mayLogIn(u)
	}
	if err != nil {
		return err
	}
	return e.openDevice(tx, g, deviceName)
}

func mayLogIn(u store.User) error {
	switch {
	case u.Deactivated:
		return mxerr.New(mxerr.UserDeactivated, "This account has been deactivated")
	case u.Locked:
		return ErrLocked()
	}
	return nil
}

// ErrLocked: client-server-api/#account-locking
func ErrLocked() error {
	err := mxerr.New(mxerr.UserLocked, "This account has been locked")
	err.Fields = map[string]any{"soft_logout": true}
	return err
}

// LoginAsAdmin returns an access token with which an administrator acts as a
// user, until a time that may be zero for ever. It belongs to a device that is in
// no list, so that nobody takes it for one of the user's own.
func (e *Engine) LoginAsAdmin(ctx context.Context, user mxid.UserID, until time.Time) (token string, err error) {
	t := store.AccessToken{ID: randomID(), User: string(user), Device: "ADMIN." + mxid.RandomString(10), Created: e.nowMS(), Used: true}
	if !until.IsZero() {
		t.Expires = until.UnixMilli()
	}
	token = accessPrefix + mxid.RandomString(40)
	t.Hash = sum(token)
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		u, err := e.findTx(tx, string(user))
		if err != nil {
			return err
		}
		if u.Deactivated {
			return mxerr.New(mxerr.UserDeactivated, "This account has been deactivated")
		}
		return store.InsertAccessToken(tx, t)
	})
	return token, err
}

// checkPassword reports whether password is u's. It takes equally long for a
// user who does not exist, which is the zero u, and counts failures against
// name and addr.
func (e *Engine) checkPassword(ctx context.Context, u store.User, name, pass, addr string) (bool, error) {
	if u.ID != "" {
		name = u.ID
	}
	const byAccount, byAddr = "login_failed_account", "login_failed_address"
	if retry, ok := e.Limits.Allow(byAddr, addr); !ok {
		return false, limit.Error(retry)
	}
	if retry, ok := e.Limits.Allow(byAccount, name); !ok {
		e.Limits.Refund(byAddr, addr)
		return false, limit.Error(retry)
	}
	if len(pass) > password.MaxLen {
		return false, nil
	}
	ok, outdated, err := e.Hasher.Verify(ctx, u.Password, pass)
	if err != nil || !ok {
		return false, err
	}
	e.Limits.Refund(byAddr, addr)
	e.Limits.Refund(byAccount, name)
	if outdated {
		e.rehash(ctx, u, pass)
	}
	return true, nil
}

// rehash replaces an imported or cheaper hash while the password is at hand. If
// that fails the old one is good until next time.
func (e *Engine) rehash(ctx context.Context, u store.User, pass string) {
	fresh, err := e.Hasher.Hash(ctx, pass)
	if err == nil {
		err = e.db.Write(ctx, func(tx *db.Tx) error {
			return store.RehashPassword(tx, u.ID, u.Password, fresh)
		})
	}
	if err != nil {
		e.Log.Warn("a password hash of an older kind was not replaced", "user", u.ID, "err", err)
	}
}

func errLogin() error { return mxerr.New(mxerr.Forbidden, "Invalid username or password") }

func isNotFound(err error) bool {
	e, ok := errors.AsType[*mxerr.Error](err)
	return ok && e.Code == mxerr.NotFound
}

func checkDevice(id, name string) error {
	if err := short("device_id", id); err != nil {
		return err
	}
	return short("initial_device_display_name", name)
}
