package account

import (
	"context"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// loginTokenLife is how long one may take to bring a login token to the other
// client (client-server-api/#post_matrixclientv1loginget_token).
const loginTokenLife = 2 * time.Minute

const loginPrefix = "hlt_"

// LoginToken makes a token with which another client can log in once as the owner
// of a session, who authenticates for each. The error may be *Challenge.
func (e *Engine) LoginToken(ctx context.Context, s *Session, auth *Auth, addr string) (token string, life time.Duration, err error) {
	if err := e.confirm(ctx, s, "login token", auth, addr); err != nil {
		return "", 0, err
	}
	token = loginPrefix + mxid.RandomString(40)
	now := e.Now()
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		return store.AddLoginToken(tx, sum(token), string(s.User), now.Add(loginTokenLife).UnixMilli(), now.UnixMilli())
	})
	return token, loginTokenLife, err
}

// LoginWithToken trades a login token for a device. The error is M_FORBIDDEN for
// one that is unknown, used or too old.
func (e *Engine) LoginWithToken(ctx context.Context, token, device, deviceName string, refresh bool) (g Grant, err error) {
	if err := checkDevice(device, deviceName); err != nil {
		return Grant{}, err
	}
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		user, err := store.TakeLoginToken(tx, sum(token), e.nowMS())
		if err == db.ErrNoRow {
			return mxerr.New(mxerr.Forbidden, "Invalid login token")
		}
		if err != nil {
			return err
		}
		g = e.grant(mxid.UserID(user), device, refresh)
		return e.loginTx(tx, g, deviceName)
	})
	return g, err
}
