package account

import (
	"context"
	"errors"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// openIDLife is how long a proof of identity is good.
const openIDLife = time.Hour

// OpenIDToken makes a proof of who a user is, for a service outside that asks
// this server about it (client-server-api/#openid). It opens nothing here.
func (e *Engine) OpenIDToken(ctx context.Context, user string) (token string, life time.Duration, err error) {
	token = mxid.RandomString(40)
	now := e.Now()
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		return store.AddOpenIDToken(tx, sum(token), user, now.Add(openIDLife).UnixMilli(), now.UnixMilli())
	})
	return token, openIDLife, err
}

// OpenIDUser returns who a proof is of, or M_UNKNOWN_TOKEN.
func (e *Engine) OpenIDUser(ctx context.Context, token string) (user string, err error) {
	if token == "" {
		return "", mxerr.New(mxerr.MissingToken, "access_token is missing")
	}
	err = e.db.Read(ctx, func(tx *db.Tx) (err error) {
		user, err = store.OpenIDUser(tx, sum(token), e.nowMS())
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		err = mxerr.New(mxerr.UnknownToken, "Access token unknown or expired")
	}
	return user, err
}
