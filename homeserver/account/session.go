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
	s, err := e.session(ctx, hash(token))
	if err != nil {
		return nil, err
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

func (e *Engine) session(ctx context.Context, key tokenHash) (*Session, error) {
	s, age := e.sessions.get(key)
	if s != nil {
		return s, nil
	}
	s, err := e.load(ctx, key)
	if err == nil {
		e.sessions.add(key, s, age)
	}
	return s, err
}

// Watch returns a function that tells whether the session of a token goes on: nil,
// or what its owner is to be told. It is for requests that last long, and costs
// next to nothing while nobody's session ends. OnSessionsEnd says when to call it.
func (e *Engine) Watch(token string) func(ctx context.Context) error {
	key, known, age := hash(token), false, uint64(0)
	return func(ctx context.Context) error {
		now := e.sessions.age.Load()
		if known && now == age {
			return nil
		}
		s, err := e.session(ctx, key)
		if err == nil && s.Locked {
			err = ErrLocked()
		}
		known, age = err == nil, now
		return err
	}
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
	tx.AfterCommit(func() {
		e.sessions.drop(mxid.UserID(user), device)
		e.OnSessionsEnd(user)
	})
}

type tokenHash [sha256.Size]byte

func hash(token string) tokenHash { return sha256.Sum256([]byte(token)) }
