package account

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync/atomic"

	"hearth/base/db"
	"hearth/base/limit"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Session is what an access token stands for.
type Session struct {
	User    mxid.UserID
	Device  string
	Guest   bool
	Admin   bool
	TokenID int64
	Service bool // an application service, which has no password to be asked for

	Suspended    bool
	Locked       bool
	ShadowBanned bool
	Consent      string // version of the terms that the user agreed to

	Rate *limit.Rate // instead of what others may do, nil for that

	expires int64        // ms, 0 for never
	ends    int64        // ms, of the account; 0 for never
	noted   atomic.Int64 // ms; when use of the device was last noted
}

// Authenticate finds the session of an access token and notes that its device
// is active, from IP address addr ("" if unknown). The error is
// M_UNKNOWN_TOKEN, with soft_logout if the token has only run out
// (client-server-api/#soft-logout).
func (e *Engine) Authenticate(ctx context.Context, token string, from Client) (*Session, error) {
	key := hash(token)
	s, age := e.sessions.get(key)
	if s == nil {
		var err error
		if s, err = e.load(ctx, key); err != nil {
			return nil, err
		}
		e.sessions.add(key, s, age)
	}
	now := e.nowMS()
	if s.expires != 0 && s.expires <= now {
		err := mxerr.New(mxerr.UnknownToken, "Access token has expired")
		err.Fields = map[string]any{"soft_logout": true}
		return nil, err
	}
	if s.ends != 0 && s.ends <= now {
		return nil, errExpired()
	}
	if last := s.noted.Load(); now-last > noteEvery.Milliseconds() && s.noted.CompareAndSwap(last, now) {
		e.seen.note(string(s.User), s.Device, from, now)
	}
	return s, nil
}

// errExpired is what Synapse answers, and clients know.
func errExpired() error {
	return &mxerr.Error{Code: "ORG_MATRIX_EXPIRED_ACCOUNT", Text: "User account has expired", Status: http.StatusForbidden}
}

// load reads a session. The first use of a token that came from a refresh ends
// the life of what it replaced.
func (e *Engine) load(ctx context.Context, key tokenHash) (*Session, error) {
	var t store.TokenOwner
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = store.OwnerOfToken(tx, key[:])
		return err
	})
	if err == db.ErrNoRow || err == nil && t.Deactivated {
		err := mxerr.New(mxerr.UnknownToken, "Unrecognised access token")
		err.Fields = map[string]any{"soft_logout": false}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if t.Refresh != 0 && !t.Used {
		err := e.db.Write(ctx, func(tx *db.Tx) error {
			e.forget(tx, t.User, t.Device)
			return store.UseSuccessor(tx, t.User, t.Device, t.Refresh)
		})
		if err != nil {
			return nil, err
		}
	}
	return &Session{
		User: mxid.UserID(t.User), Device: t.Device, Guest: t.Guest, Admin: t.Admin,
		TokenID: t.ID, expires: t.Expires,
		Suspended: t.Suspended, Locked: t.Locked, ShadowBanned: t.ShadowBanned, Consent: t.Consent,
		ends: t.AccountEnds,
		Rate: rateOf(t.Rate, t.Burst),
	}, nil
}

// forget drops cached sessions when tx commits: all of a user if device is "".
func (e *Engine) forget(tx *db.Tx, user, device string) {
	tx.AfterCommit(func() { e.sessions.drop(mxid.UserID(user), device) })
}

type tokenHash [sha256.Size]byte

func hash(token string) tokenHash { return sha256.Sum256([]byte(token)) }
