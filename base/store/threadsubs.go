package store

import "hearth/base/db"

// ThreadSubscription says whether a user follows a thread (MSC4306).
type ThreadSubscription struct {
	User       string
	Room       int64
	Root       string
	Pos        int64
	Subscribed bool
	Automatic  bool
	Upto       int64 // newest position when the user stopped to follow it
}

func (s *ThreadSubscription) columns() []any {
	return []any{&s.User, &s.Room, &s.Root, &s.Pos, &s.Subscribed, &s.Automatic, &s.Upto}
}

const threadSubscriptionColumns = `usr, room, root, pos, subscribed, automatic, upto`

// SetThreadSubscription stores a subscription.
func SetThreadSubscription(tx *db.Tx, s ThreadSubscription) error {
	return tx.Exec(`
		INSERT INTO thread_subscriptions (`+threadSubscriptionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (usr, room, root) DO UPDATE
		SET pos = excluded.pos, subscribed = excluded.subscribed, automatic = excluded.automatic, upto = excluded.upto`,
		s.User, s.Room, s.Root, s.Pos, s.Subscribed, s.Automatic, s.Upto)
}

// ThreadSubscriptionOf returns a subscription, past or present, or db.ErrNoRow.
func ThreadSubscriptionOf(tx *db.Tx, user string, room int64, root string) (ThreadSubscription, error) {
	return db.One(tx, (*ThreadSubscription).columns, `
		SELECT `+threadSubscriptionColumns+` FROM thread_subscriptions WHERE usr = $1 AND room = $2 AND root = $3`, user, room, root)
}

// CountThreadSubscriptions counts those of a user.
func CountThreadSubscriptions(tx *db.Tx, user string) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM thread_subscriptions WHERE usr = $1`, user)
}

// ThreadSubscriptions returns up to limit of a user's with positions in
// (after, upto], the newest first.
func ThreadSubscriptions(tx *db.Tx, user string, after, upto int64, limit int) ([]ThreadSubscription, error) {
	return db.All(tx, (*ThreadSubscription).columns, `
		SELECT `+threadSubscriptionColumns+` FROM thread_subscriptions
		WHERE usr = $1 AND pos > $2 AND pos <= $3 ORDER BY pos DESC LIMIT $4`, user, after, upto, limit)
}
