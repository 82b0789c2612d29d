package push

import (
	"context"
	"errors"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// The errors of MSC4306 under the names it has while it is not accepted.
const (
	conflictingUnsubscription = mxerr.Code("IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION")
	notInThread               = mxerr.Code("IO.ELEMENT.MSC4306.M_NOT_IN_THREAD")
)

// maxSubscriptions bounds the threads that one user follows or has ceased to
// follow.
const maxSubscriptions = 20_000

// Subscribe makes user follow the thread of root, which they can see. cause is
// the event that made their client do it by itself, nil if they asked for it.
func (c *Counter) Subscribe(ctx context.Context, r *room.Room, user, root string, cause *room.Event) error {
	if cause != nil {
		in, err := c.Receipts.ThreadOf(ctx, r, cause)
		if err != nil {
			return err
		}
		if in != root {
			return mxerr.New(notInThread, "The event is not in this thread").WithStatus(400)
		}
	}
	return c.subscription(ctx, r, user, root, func(old *store.ThreadSubscription) (bool, error) {
		if cause == nil {
			changed := !old.Subscribed || old.Automatic
			old.Subscribed, old.Automatic = true, false
			return changed, nil
		}
		if old.Subscribed {
			return false, nil
		}
		if cause.Ord <= old.Upto {
			return false, mxerr.New(conflictingUnsubscription, "You have unsubscribed from this thread since that event").WithStatus(409)
		}
		old.Subscribed, old.Automatic = true, true
		return true, nil
	})
}

// Unsubscribe makes user follow a thread no more.
func (c *Counter) Unsubscribe(ctx context.Context, r *room.Room, user, root string) error {
	return c.subscription(ctx, r, user, root, func(old *store.ThreadSubscription) (bool, error) {
		if !old.Subscribed {
			return false, nil
		}
		old.Subscribed, old.Automatic, old.Upto = false, false, c.DB.Position()
		return true, nil
	})
}

func (c *Counter) subscription(ctx context.Context, r *room.Room, user, root string, change func(*store.ThreadSubscription) (bool, error)) error {
	return c.DB.Write(ctx, func(tx *db.Tx) error {
		s, err := store.ThreadSubscriptionOf(tx, user, r.NID, root)
		if errors.Is(err, db.ErrNoRow) {
			s = store.ThreadSubscription{User: user, Room: r.NID, Root: root}
			var n int64
			if n, err = store.CountThreadSubscriptions(tx, user); n >= maxSubscriptions {
				return mxerr.New(mxerr.TooLarge, "You follow %d threads, which is as many as fit", n)
			}
		}
		if err != nil {
			return err
		}
		changed, err := change(&s)
		if err != nil || !changed {
			return err
		}
		s.Pos = tx.NextPos()
		if c.Hub != nil {
			tx.AfterCommit(func() { c.Hub.User(user) })
		}
		return store.SetThreadSubscription(tx, s)
	})
}

// Subscription says whether user follows a thread, and whether their client
// made it so by itself.
func (c *Counter) Subscription(ctx context.Context, user string, nid int64, root string) (subscribed, automatic bool, err error) {
	var s store.ThreadSubscription
	err = c.DB.Read(ctx, func(tx *db.Tx) (err error) {
		s, err = store.ThreadSubscriptionOf(tx, user, nid, root)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		return false, false, nil
	}
	return s.Subscribed, s.Automatic, err
}

func (c *Counter) subscribed(ctx context.Context, user string, nid int64, root string) (bool, error) {
	subscribed, _, err := c.Subscription(ctx, user, nid, root)
	return subscribed, err
}

// Subscriptions returns up to limit changes in the threads that user follows,
// with positions in (after, upto], the newest first.
func (c *Counter) Subscriptions(ctx context.Context, user string, after, upto int64, limit int) (all []store.ThreadSubscription, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = store.ThreadSubscriptions(tx, user, after, upto, limit)
		return err
	})
	return all, err
}
