package account

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxid"
)

// AddUser makes an account for the operator. An empty displayName means the
// localpart.
func (e *Engine) AddUser(ctx context.Context, localpart, password string, admin bool, displayName string) (mxid.UserID, error) {
	n := NewUser{Localpart: localpart, Password: password, Admin: admin}
	if displayName != "" {
		n.DisplayName = &displayName
	}
	return e.Create(ctx, n)
}

// UserFilter says which accounts Users lists; see the store.
type UserFilter = store.UserFilter

// Kinds are what a user may be. "" is a person.
var Kinds = []string{"", "bot", "support"}

// Listed is an account with what a list shows of it.
type Listed struct {
	User
	DisplayName string
	AvatarURL   string
	LastSeen    time.Time // zero if never
}

// Users lists a page of the accounts, and says how many match in all.
func (e *Engine) Users(ctx context.Context, f UserFilter) ([]Listed, int64, error) {
	if !storable(f.Name) || !storable(f.ID) || !storable(f.Exactly) || !storable(f.After) {
		return nil, 0, nil // nobody has such a name
	}
	f.NotKinds = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(f.NotKinds))), func(k string) bool {
		return !slices.Contains(Kinds, k) // excludes nobody
	})
	start, known := e.bookmarks.at(f, e.Now())
	var rows []store.UserEntry
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		if !known {
			if start.total, err = store.CountUsers(tx, f); err != nil {
				return err
			}
			start.counted = e.Now()
		}
		page := f
		if start.behind != nil {
			page.From, page.Behind = 0, start.behind
		}
		rows, err = store.ListUsers(tx, page)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	e.bookmarks.put(f, start, rows)
	out := make([]Listed, len(rows))
	for i, row := range rows {
		if out[i], err = listed(row); err != nil {
			return nil, 0, err
		}
	}
	return out, start.total, nil
}

func listed(row store.UserEntry) (Listed, error) {
	l := Listed{User: userOf(row.User)}
	var err error
	if row.DisplayName != "" {
		err = json.Unmarshal([]byte(row.DisplayName), &l.DisplayName)
	}
	if row.AvatarURL != "" && err == nil {
		err = json.Unmarshal([]byte(row.AvatarURL), &l.AvatarURL)
	}
	if row.LastSeen != 0 {
		l.LastSeen = time.UnixMilli(row.LastSeen)
	}
	return l, err
}

// Change is what the operator may change of an account. Nil leaves a value as
// it is.
type Change struct {
	Admin *bool
	Kind  *string

	Suspended    *bool // may read and leave, but not speak
	Locked       *bool // may do nothing but log out
	ShadowBanned *bool // speaks, and nobody hears it

	Expires *time.Time // when the account stops to work; the zero time for never
}

// Change changes an account, given by id or localpart.
func (e *Engine) Change(ctx context.Context, user string, c Change) error {
	return e.db.Write(ctx, func(tx *db.Tx) error {
		u, err := e.findTx(tx, user)
		if err != nil {
			return err
		}
		if c.Admin != nil {
			u.Admin = *c.Admin
		}
		for from, to := range map[*bool]*bool{c.Suspended: &u.Suspended, c.Locked: &u.Locked, c.ShadowBanned: &u.ShadowBanned} {
			if from != nil {
				*to = *from
			}
		}
		if c.Expires != nil {
			u.Expires = 0
			if !c.Expires.IsZero() {
				u.Expires = c.Expires.UnixMilli()
			}
		}
		e.forget(tx, u.ID, "") // cached sessions know all of this
		if c.Kind != nil {
			u.Kind = *c.Kind
		}
		return store.UpdateUser(tx, u)
	})
}

// Reactivate opens a closed account again, with a new password or, if that is
// "", with none. It has lost its devices and rooms.
func (e *Engine) Reactivate(ctx context.Context, user, password string) error {
	hashed, err := e.hashNew(ctx, password)
	if err != nil {
		return err
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		u, err := e.findTx(tx, user)
		if err != nil {
			return err
		}
		u.Password, u.Deactivated, u.Erased, u.Parting = hashed, false, false, false
		tx.AfterCommit(e.erased.changed)
		return store.UpdateUser(tx, u)
	})
}

// Details returns one account with what a list shows of it, or M_NOT_FOUND. The
// id is taken as it is.
func (e *Engine) Details(ctx context.Context, id mxid.UserID) (Listed, error) {
	page, _, err := e.Users(ctx, UserFilter{Exactly: string(id), Limit: 1})
	if err == nil && len(page) == 0 {
		err = errNoUser()
	}
	if err != nil {
		return Listed{}, err
	}
	return page[0], nil
}
