package account

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strings"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Grant is what somebody gets who has logged in.
type Grant struct {
	User         mxid.UserID
	Device       string
	AccessToken  string
	RefreshToken string        // "" if not asked for
	ExpiresIn    time.Duration // of the access token; 0 for never
}

// The prefixes tell secret scanners, and people who read a leaked file, what
// they have found.
const (
	accessPrefix  = "hat_"
	refreshPrefix = "hrt_"
)

// grant makes new tokens for a device, which gets an id if it has none. They
// are worth nothing before they are stored.
func (e *Engine) grant(user mxid.UserID, device string, refresh bool) Grant {
	if device == "" {
		device = strings.ToUpper(mxid.RandomString(10))
	}
	g := Grant{User: user, Device: device, AccessToken: accessPrefix + mxid.RandomString(40)}
	if refresh {
		g.RefreshToken = refreshPrefix + mxid.RandomString(40)
		g.ExpiresIn = e.TokenLife
	}
	return g
}

// openDevice stores a grant for a device that is new or logs in again. In the
// latter case its older tokens end (client-server-api/#relationship-between-access-tokens-and-devices).
func (e *Engine) openDevice(tx *db.Tx, g Grant, name string) error {
	fresh, err := store.AddDevice(tx, store.Device{
		User: string(g.User), ID: g.Device, Name: name, Created: e.nowMS(),
	})
	if err != nil {
		return err
	}
	if !fresh {
		if err := store.DeleteTokens(tx, string(g.User), g.Device); err != nil {
			return err
		}
		e.forget(tx, string(g.User), g.Device)
	}
	_, err = e.storeGrant(tx, g, true)
	return err
}

// storeGrant returns the id of the refresh token, or 0. used says that the
// grant has no predecessor which must stay alive until this one is seen in use.
func (e *Engine) storeGrant(tx *db.Tx, g Grant, used bool) (refresh int64, err error) {
	now := e.nowMS()
	access := store.AccessToken{ID: randomID(), Hash: sum(g.AccessToken), User: string(g.User), Device: g.Device, Created: now, Used: used}
	if g.RefreshToken != "" {
		access.Refresh = randomID()
		access.Expires = now + g.ExpiresIn.Milliseconds()
		err := store.InsertRefreshToken(tx, store.RefreshToken{
			ID: access.Refresh, Hash: sum(g.RefreshToken), User: string(g.User), Device: g.Device, Created: now,
		})
		if err != nil {
			return 0, err
		}
	}
	return access.Refresh, store.InsertAccessToken(tx, access)
}

// Refresh trades a refresh token for new tokens. The old one stays good until
// one of the new ones is used: the answer may have been lost on its way
// (client-server-api/#refreshing-access-tokens). Until then it may be traded
// again, which voids what the first trade gave.
func (e *Engine) Refresh(ctx context.Context, token string) (Grant, error) {
	var g Grant
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		old, err := store.RefreshTokenByHash(tx, sum(token))
		if err == db.ErrNoRow {
			err := mxerr.New(mxerr.UnknownToken, "Refresh token is not valid any more")
			err.Fields = map[string]any{"soft_logout": true}
			return err
		}
		if err != nil {
			return err
		}
		if old.Successor != 0 {
			if err := store.DropRefreshToken(tx, old.User, old.Device, old.Successor); err != nil {
				return err
			}
		} else if err := store.UseSuccessor(tx, old.User, old.Device, old.ID); err != nil {
			return err
		}
		g = e.grant(mxid.UserID(old.User), old.Device, true)
		next, err := e.storeGrant(tx, g, false)
		if err != nil {
			return err
		}
		e.forget(tx, old.User, old.Device)
		return store.SetSuccessor(tx, old.ID, next)
	})
	return g, err
}

func sum(token string) []byte {
	h := hash(token)
	return h[:]
}

func randomID() int64 {
	var b [8]byte
	rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:])>>1 | 1)
}
