package account

import (
	"context"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

type passwordRequest struct {
	fresh         string
	logoutDevices bool
}

// ChangePassword gives the owner of a session a new password, after they have
// typed the old one or proved an address of theirs: the error may be *Challenge.
// With logoutDevices all other devices are logged out.
func (e *Engine) ChangePassword(ctx context.Context, s *Session, fresh string, logoutDevices bool, auth *Auth, addr string) error {
	flows := append([]Flow{{[]string{stagePassword}}}, e.proofFlows()...)
	done, req, err := e.newPassword(ctx, operation{name: "change password " + string(s.User), user: s.User, addr: addr, flows: flows}, passwordRequest{fresh, logoutDevices}, auth)
	if err != nil {
		return err
	}
	return e.setPassword(ctx, string(s.User), req.fresh, req.logoutDevices, s.Device, done.address.SID)
}

// ResetPassword gives a new password to somebody who has lost the old one and
// proves an address of theirs. It is M_MISSING_TOKEN where that cannot be.
func (e *Engine) ResetPassword(ctx context.Context, fresh string, logoutDevices bool, auth *Auth, addr string) error {
	flows := e.proofFlows()
	if len(flows) == 0 {
		return mxerr.New(mxerr.MissingToken, "This endpoint needs an access token")
	}
	done, req, err := e.newPassword(ctx, operation{name: "reset password", addr: addr, flows: flows}, passwordRequest{fresh, logoutDevices}, auth)
	if err != nil {
		return err
	}
	user, err := e.ByThreepid(ctx, done.address.Medium, done.address.Address)
	if err != nil {
		return err
	}
	return e.setPassword(ctx, string(user), req.fresh, req.logoutDevices, "", done.address.SID)
}

// proofFlows are the ways to authenticate by what one has proved.
func (e *Engine) proofFlows() (flows []Flow) {
	if e.Mail != nil {
		flows = append(flows, Flow{[]string{stageEmail}})
	}
	if e.SMS != nil {
		flows = append(flows, Flow{[]string{stagePhone}})
	}
	return flows
}

// newPassword returns when somebody has authenticated, and with what they asked
// for.
func (e *Engine) newPassword(ctx context.Context, op operation, r passwordRequest, auth *Auth) (*interaction, passwordRequest, error) {
	if err := checkNewPassword(r.fresh); err != nil {
		return nil, r, err
	}
	op.proof, op.request, op.blank = ToResetPassword, r, r.fresh == ""
	done, err := e.interact(ctx, op, auth)
	if err != nil {
		return nil, r, err
	}
	r = done.request.(passwordRequest)
	if r.fresh == "" {
		e.release(done)
		return nil, r, mxerr.New(mxerr.MissingParam, "The new password is missing")
	}
	return done, r, nil
}

// SetPassword gives a user, by id or localpart, a new password on behalf of the
// operator. An unknown user is M_NOT_FOUND. A deactivated one stays so.
func (e *Engine) SetPassword(ctx context.Context, user, fresh string, logoutDevices bool) error {
	if fresh == "" {
		return mxerr.New(mxerr.MissingParam, "The new password is missing")
	}
	return e.setPassword(ctx, user, fresh, logoutDevices, "", "")
}

// setPassword logs out all devices but keep if logout is true, and uses up a
// proof, if there is one.
func (e *Engine) setPassword(ctx context.Context, user, fresh string, logout bool, keep, proof string) error {
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
		if err := store.DeleteProof(tx, proof); err != nil {
			return err
		}
		u.Password = hashed
		if err := store.UpdateUser(tx, u); err != nil || !logout {
			return err
		}
		return e.removeButTx(tx, userOf(u).ID, keep)
	})
}
