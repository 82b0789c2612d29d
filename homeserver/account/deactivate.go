package account

import (
	"context"
	"errors"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxid"
)

// DeactivateSelf closes the account of a session's owner, after they have typed
// their password: the error may be *Challenge.
func (e *Engine) DeactivateSelf(ctx context.Context, s *Session, erase bool, auth *Auth, addr string) error {
	if err := e.confirm(ctx, s, "deactivate", auth, addr); err != nil {
		return err
	}
	return e.Deactivate(ctx, string(s.User), erase)
}

// Deactivate closes the account of a user, given by id or localpart: password,
// devices and tokens are gone, nobody sees the profile, and the user leaves all
// rooms. The name is never given to anybody else. With erase the profile and the
// account data are gone too, and what the user wrote is hidden from those who join
// later. An unknown user is M_NOT_FOUND.
func (e *Engine) Deactivate(ctx context.Context, user string, erase bool) error {
	var u store.User
	err := e.db.Write(ctx, func(tx *db.Tx) (err error) {
		if u, err = e.findTx(tx, user); err != nil {
			return err
		}
		u.Password, u.Admin, u.Deactivated, u.Parting = "", false, true, true
		u.Erased = u.Erased || erase
		if err := store.UpdateUser(tx, u); err != nil {
			return err
		}
		tx.AfterCommit(e.erased.changed)
		if err := store.DeleteThreepids(tx, u.ID); err != nil {
			return err
		}
		if err := store.DeleteExternalIDs(tx, u.ID); err != nil {
			return err
		}
		e.forget(tx, u.ID, "")
		return e.removeButTx(tx, mxid.UserID(u.ID), "")
	})
	if err != nil {
		return err
	}
	// The account is closed. Should the client go away now, its owner leaves the
	// rooms all the same.
	e.part(context.WithoutCancel(ctx), u.ID)
	return nil
}

// part takes a deactivated user out of all rooms, and then deletes what was to be
// erased: the rooms may have shown the profile until then.
func (e *Engine) part(ctx context.Context, user string) {
	err := e.OnDeactivate(ctx, mxid.UserID(user))
	if err == nil {
		err = e.db.Write(ctx, func(tx *db.Tx) error {
			u, err := store.UserByID(tx, user)
			if err != nil || !u.Deactivated {
				return err // reactivated by the operator meanwhile
			}
			if u.Erased {
				if err := errors.Join(store.DeleteProfile(tx, user), e.OnErase(tx, user)); err != nil {
					return err
				}
			}
			u.Parting = false
			return store.UpdateUser(tx, u)
		})
	}
	if err != nil {
		e.Log.Error("a deactivated user is still in some rooms; the next start tries again", "user", user, "err", err)
	}
}

// finishDeactivations goes on where the server was stopped.
func (e *Engine) finishDeactivations(ctx context.Context) {
	var users []string
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		users, err = store.PartingUsers(tx)
		return err
	})
	if err != nil && ctx.Err() == nil { // else stopped, and read at the next start
		e.Log.Error("unfinished deactivations could not be read", "err", err)
	}
	for _, u := range users {
		if ctx.Err() != nil {
			return
		}
		e.part(ctx, u)
	}
}
