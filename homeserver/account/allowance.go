package account

import (
	"context"
	"time"

	"hearth/base/db"
	"hearth/base/limit"
	"hearth/base/store"
	"hearth/matrix/mxid"
)

// Allowance is how often a user may do something, instead of what everybody may.
type Allowance struct {
	PerSecond int64 // 0 for any number
	Burst     int64
}

// rateOf is an allowance as the limits count it. One of any number has the rate
// of nothing.
func rateOf(perSecond *int64, burst int64) *limit.Rate {
	if perSecond == nil {
		return nil
	}
	if *perSecond == 0 {
		return &limit.Rate{}
	}
	const most = 1 << 20 // beyond that nobody can tell
	return &limit.Rate{Every: time.Second / time.Duration(min(*perSecond, most)), Burst: int(min(max(burst, 1), most))}
}

// Allowance returns what an operator has set for a user, nil for nothing.
func (e *Engine) Allowance(ctx context.Context, user mxid.UserID) (*Allowance, error) {
	u, err := e.find(ctx, string(user))
	if err != nil || u.Rate == nil {
		return nil, err
	}
	return &Allowance{PerSecond: *u.Rate, Burst: u.Burst}, nil
}

// SetAllowance sets it, or takes it back if a is nil.
func (e *Engine) SetAllowance(ctx context.Context, user mxid.UserID, a *Allowance) error {
	return e.db.Write(ctx, func(tx *db.Tx) error {
		u, err := e.findTx(tx, string(user))
		if err != nil {
			return err
		}
		u.Rate, u.Burst = nil, 0
		if a != nil {
			u.Rate, u.Burst = &a.PerSecond, a.Burst
		}
		e.forget(tx, u.ID, "") // cached sessions know it
		return store.UpdateUser(tx, u)
	})
}
