package account

import (
	"context"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// ChangePassword gives the owner of a session a new password, after they have
// typed the old one: the error may be *Challenge. With logoutDevices all other
// devices are logged out.
func (e *Engine) ChangePassword(ctx context.Context, s *Session, fresh string, logoutDevices bool, auth *Auth, addr string) error {
	type request struct {
		fresh         string
		logoutDevices bool
	}
	if err := checkNewPassword(fresh); err != nil {
		return err
	}
	done, err := e.interact(ctx, operation{
		name: "change password " + string(s.User), user: s.User, addr: addr,
		flows:   []Flow{{[]string{stagePassword}}},
		request: request{fresh, logoutDevices}, blank: fresh == "",
	}, auth)
	if err != nil {
		return err
	}
	req := done.request.(request)
	if req.fresh == "" {
		e.release(done)
		return mxerr.New(mxerr.MissingParam, "The new password is missing")
	}
	return e.setPassword(ctx, string(s.User), req.fresh, req.logoutDevices, s.Device)
}

// SetPassword gives a user, by id or localpart, a new password on behalf of the
// operator. An unknown user is M_NOT_FOUND. A deactivated one stays so.
func (e *Engine) SetPassword(ctx context.Context, user, fresh string, logoutDevices bool) error {
	if fresh == "" {
		return mxerr.New(mxerr.MissingParam, "The new password is missing")
	}
	return e.setPassword(ctx, user, fresh, logoutDevices, "")
}

// setPassword logs out all devices but keep if logout is true.
func (e *Engine) setPassword(ctx context.Context, user, fresh string, logout bool, keep string) error {
	hashed, err := e.hashNew(ctx, fresh)
	if err != nil {
		return err
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		u, err := e.findTx(tx, user)
		if err != nil {
			return err
		}
		if u.Deactivated {
			return mxerr.New(mxerr.UserDeactivated, "This account has been deactivated")
		}
		u.Password = hashed
		if err := store.UpdateUser(tx, u); err != nil || !logout {
			return err
		}
		return e.removeButTx(tx, userOf(u).ID, keep)
	})
}
