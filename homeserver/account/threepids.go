package account

import (
	"context"
	"net/mail"
	"strings"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Threepid is a mail address or phone number that belongs to a user
// (client-server-api/#adding-account-administrative-contact-information).
type Threepid struct {
	Medium    string // "email" or "msisdn"
	Address   string // as CleanAddress writes it
	Validated time.Time
	Added     time.Time
}

// ExternalID is who a user is to an identity provider.
type ExternalID struct{ Provider, ID string }

// maxThreepids bounds the addresses of one user.
const maxThreepids = 50

// CleanAddress checks an address and writes it as it is compared: mail in lower
// case, phone numbers as digits.
func CleanAddress(medium, address string) (string, error) {
	switch medium {
	case "email":
		a, err := mail.ParseAddress(address)
		if err != nil || a.Name != "" || a.Address != strings.TrimSpace(address) || len(address) > 254 || !storable(address) || !strings.Contains(address, "@") {
			return "", mxerr.New(mxerr.InvalidParam, "This is not a mail address")
		}
		return strings.ToLower(a.Address), nil
	case "msisdn":
		digits := strings.TrimPrefix(address, "+")
		if len(digits) < 3 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
			return "", mxerr.New(mxerr.InvalidParam, "This is not a phone number with its country code")
		}
		return digits, nil
	}
	return "", mxerr.New(mxerr.InvalidParam, "The medium must be email or msisdn")
}

// Threepids lists the addresses of a user.
func (e *Engine) Threepids(ctx context.Context, user mxid.UserID) ([]Threepid, error) {
	var rows []store.Threepid
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.Threepids(tx, string(user))
		return err
	})
	out := make([]Threepid, len(rows))
	for i, r := range rows {
		out[i] = Threepid{r.Medium, r.Address, time.UnixMilli(r.Validated), time.UnixMilli(r.Added)}
	}
	return out, err
}

// ByThreepid finds whose an address is, or M_NOT_FOUND.
func (e *Engine) ByThreepid(ctx context.Context, medium, address string) (mxid.UserID, error) {
	address, err := CleanAddress(medium, address)
	if err != nil {
		return "", errNoUser()
	}
	var t store.Threepid
	err = e.db.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = store.ThreepidByAddress(tx, medium, address)
		return err
	})
	if err == db.ErrNoRow {
		err = errNoUser()
	}
	return mxid.UserID(t.User), err
}

// addThreepidTx gives a proved address to a user. Another's is M_THREEPID_IN_USE.
func (e *Engine) addThreepidTx(tx *db.Tx, user, medium, address string, validated int64) error {
	have, err := store.Threepids(tx, user)
	if err != nil {
		return err
	}
	if len(have) >= maxThreepids {
		return mxerr.New(mxerr.Forbidden, "You have too many addresses already")
	}
	ok, err := store.AddThreepid(tx, store.Threepid{Medium: medium, Address: address, User: user, Validated: validated, Added: e.nowMS()})
	if err == nil && !ok {
		err = errThreepidInUse()
	}
	return err
}

func errThreepidInUse() error {
	return mxerr.New(mxerr.ThreepidInUse, "This address belongs to another account")
}

// SetThreepids makes these the addresses of a user, for an operator who vouches
// for them.
func (e *Engine) SetThreepids(ctx context.Context, user mxid.UserID, want []Threepid) error {
	if len(want) > maxThreepids {
		return mxerr.New(mxerr.InvalidParam, "At most %d addresses", maxThreepids)
	}
	rows := make([]store.Threepid, len(want))
	for i, t := range want {
		address, err := CleanAddress(t.Medium, t.Address)
		if err != nil {
			return err
		}
		rows[i] = store.Threepid{Medium: t.Medium, Address: address}
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		have, err := store.Threepids(tx, string(user))
		if err != nil {
			return err
		}
		if err := store.DeleteThreepids(tx, string(user)); err != nil {
			return err
		}
		for _, row := range rows {
			row.User, row.Validated, row.Added = string(user), e.nowMS(), e.nowMS()
			for _, old := range have {
				if old.Medium == row.Medium && old.Address == row.Address {
					row = old
				}
			}
			ok, err := store.AddThreepid(tx, row)
			if err == nil && !ok {
				err = errThreepidInUse()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteThreepid takes an address from a user. One that is not there does not
// matter.
func (e *Engine) DeleteThreepid(ctx context.Context, user mxid.UserID, medium, address string) error {
	address, err := CleanAddress(medium, address)
	if err != nil {
		return err
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		_, err := store.DeleteThreepid(tx, string(user), medium, address)
		return err
	})
}

// ExternalIDs lists who a user is to identity providers.
func (e *Engine) ExternalIDs(ctx context.Context, user mxid.UserID) (ids []ExternalID, err error) {
	err = e.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := store.ExternalIDs(tx, string(user))
		ids = make([]ExternalID, len(rows))
		for i, r := range rows {
			ids[i] = ExternalID{r.Provider, r.ID}
		}
		return err
	})
	return ids, err
}

// ByExternalID finds whom a provider knows by an id, or M_NOT_FOUND.
func (e *Engine) ByExternalID(ctx context.Context, provider, id string) (user mxid.UserID, err error) {
	if !storable(provider) || !storable(id) {
		return "", errNoUser()
	}
	err = e.db.Read(ctx, func(tx *db.Tx) error {
		u, err := store.ExternalUser(tx, provider, id)
		user = mxid.UserID(u)
		return err
	})
	if err == db.ErrNoRow {
		err = errNoUser()
	}
	return user, err
}

// SetExternalIDs makes these the ids of a user at identity providers. One that is
// another's is an error with status 409.
func (e *Engine) SetExternalIDs(ctx context.Context, user mxid.UserID, ids []ExternalID) error {
	if len(ids) > maxThreepids {
		return mxerr.New(mxerr.InvalidParam, "At most %d external ids", maxThreepids)
	}
	for _, x := range ids {
		if short("auth_provider", x.Provider) != nil || short("external_id", x.ID) != nil {
			return mxerr.New(mxerr.InvalidParam, "An external id is too long")
		}
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		if err := store.DeleteExternalIDs(tx, string(user)); err != nil {
			return err
		}
		for _, x := range ids {
			ok, err := store.AddExternalID(tx, store.ExternalID{Provider: x.Provider, ID: x.ID, User: string(user)})
			if err == nil && !ok {
				err = mxerr.New(mxerr.Unknown, "External id is already in use.").WithStatus(409)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
