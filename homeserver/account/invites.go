package account

import (
	"context"
	"regexp"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// RegistrationToken lets its holder make an account.
type RegistrationToken struct {
	Token       string
	UsesAllowed *int64     // nil for any number
	Pending     int64      // registrations that have shown it and are not done
	Completed   int64      // accounts made with it
	Expires     *time.Time // nil for never
}

// Valid reports whether one more registration may begin with t.
func (t RegistrationToken) Valid(now time.Time) bool {
	return (t.UsesAllowed == nil || t.Completed+t.Pending < *t.UsesAllowed) && (t.Expires == nil || now.Before(*t.Expires))
}

func tokenOf(t store.RegistrationToken, reserved map[string]int64) RegistrationToken {
	out := RegistrationToken{Token: t.Token, UsesAllowed: t.UsesAllowed, Completed: t.Completed, Pending: reserved[t.Token]}
	if t.Expires != nil {
		at := time.UnixMilli(*t.Expires)
		out.Expires = &at
	}
	return out
}

func rowOf(t RegistrationToken) store.RegistrationToken {
	row := store.RegistrationToken{Token: t.Token, UsesAllowed: t.UsesAllowed}
	if t.Expires != nil {
		ms := t.Expires.UnixMilli()
		row.Expires = &ms
	}
	return row
}

var tokenGrammar = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,64}$`)

// ValidTokenName reports whether s may be a registration token
// (client-server-api/#token-authenticated-registration).
func ValidTokenName(s string) bool { return tokenGrammar.MatchString(s) }

// CreateToken stores a registration token; an empty t.Token means a random one
// of 16 letters. A name that is taken, or against the grammar, is
// M_INVALID_PARAM.
func (e *Engine) CreateToken(ctx context.Context, t RegistrationToken) (RegistrationToken, error) {
	if t.Token == "" {
		t.Token = mxid.RandomString(16)
	}
	if !ValidTokenName(t.Token) {
		return t, mxerr.New(mxerr.InvalidParam, "A registration token has 1 to 64 characters of A-Z, a-z, 0-9 and ._~-")
	}
	row := rowOf(t)
	row.Created = e.nowMS()
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		fresh, err := store.InsertRegistrationToken(tx, row)
		if err == nil && !fresh {
			err = mxerr.New(mxerr.InvalidParam, "Token already exists: %s", t.Token)
		}
		return err
	})
	return tokenOf(row, nil), err
}

// Tokens lists all registration tokens, those that are used up or too old too.
func (e *Engine) Tokens(ctx context.Context) ([]RegistrationToken, error) {
	var rows []store.RegistrationToken
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.RegistrationTokens(tx)
		return err
	})
	reserved := e.uia.reserved(e.Now())
	out := make([]RegistrationToken, len(rows))
	for i, row := range rows {
		out[i] = tokenOf(row, reserved)
	}
	return out, err
}

// Token returns a registration token, or M_NOT_FOUND.
func (e *Engine) Token(ctx context.Context, name string) (RegistrationToken, error) {
	if !ValidTokenName(name) {
		return RegistrationToken{}, errNoToken(name)
	}
	var row store.RegistrationToken
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		row, err = store.RegistrationTokenByName(tx, name)
		return err
	})
	if err == db.ErrNoRow {
		return RegistrationToken{}, errNoToken(name)
	}
	return tokenOf(row, e.uia.reserved(e.Now())), err
}

// UpdateToken lets change alter how often and until when a token may be used.
func (e *Engine) UpdateToken(ctx context.Context, name string, change func(*RegistrationToken)) (RegistrationToken, error) {
	if !ValidTokenName(name) {
		return RegistrationToken{}, errNoToken(name)
	}
	var t RegistrationToken
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		row, err := store.RegistrationTokenByName(tx, name)
		if err == db.ErrNoRow {
			return errNoToken(name)
		}
		if err != nil {
			return err
		}
		t = tokenOf(row, e.uia.reserved(e.Now()))
		change(&t)
		return store.UpdateRegistrationToken(tx, rowOf(t))
	})
	return t, err
}

// RevokeToken removes a registration token; an unknown one is M_NOT_FOUND.
func (e *Engine) RevokeToken(ctx context.Context, name string) error {
	if !ValidTokenName(name) {
		return errNoToken(name)
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		found, err := store.DeleteRegistrationToken(tx, name)
		if err == nil && !found {
			err = errNoToken(name)
		}
		return err
	})
}

// TokenValid reports whether a registration may begin with the token. It is
// M_FORBIDDEN if nobody can register anyway.
func (e *Engine) TokenValid(ctx context.Context, name string) (bool, error) {
	if e.Mode == Closed {
		return false, mxerr.New(mxerr.Forbidden, "Registration is disabled on this server")
	}
	t, err := e.Token(ctx, name)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil && t.Valid(e.Now()), err
}

// tokenStage takes a registration token in reserve.
func (e *Engine) tokenStage(ctx context.Context, s *interaction, name string) error {
	if name == "" {
		return mxerr.New(mxerr.MissingParam, "The registration token is missing")
	}
	t, err := e.Token(ctx, name)
	if isNotFound(err) || err == nil && !t.Valid(e.Now()) {
		return errToken()
	}
	if err == nil {
		s.token = name
	}
	return err
}

func errToken() error { return mxerr.New(mxerr.Unauthorized, "Invalid registration token") }

func errNoToken(name string) error {
	return mxerr.New(mxerr.NotFound, "No such registration token: %.64q", name)
}
