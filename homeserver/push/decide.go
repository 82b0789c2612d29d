package push

import (
	"context"

	"hearth/base/store"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/matrix/pushrule"
)

// Decide says what a user is to hear of an event by the rules in force. It does
// not ask whether they are in the room.
func (c *Counter) Decide(ctx context.Context, r *room.Room, user string, ev *room.Event) (pushrule.Result, error) {
	if ev.Flags&(store.Rejected|store.SoftFailed) != 0 || ev.RedactedBy != 0 || ev.Ord == 0 {
		return pushrule.Result{}, nil
	}
	m, err := c.member(ctx, r, user)
	if err != nil || m.ignored[ev.Sender] {
		return pushrule.Result{}, err
	}
	return c.evaluate(ctx, r, m, ev)
}

func (c *Counter) evaluate(ctx context.Context, r *room.Room, m member, ev *room.Event) (pushrule.Result, error) {
	f := c.facts.of(c, r, ev)
	m.context.SenderLevel, m.context.NotifyLevel = f.senderLevel, f.notifyLevel
	var failed error
	m.context.Subscribed = func() (bool, bool) {
		root, err := f.thread(ctx)
		if err != nil || root == receipt.Main {
			failed = err
			return false, false
		}
		subscribed, err := c.subscribed(ctx, m.user, r.NID, root)
		if err != nil {
			failed = err
		}
		return subscribed, err == nil
	}
	return m.rules.Evaluate(f.fields, m.context), failed
}

// Unread reports whether a member has not read an event yet.
func (c *Counter) Unread(ctx context.Context, r *room.Room, user string, ev *room.Event) (bool, error) {
	thread, err := c.facts.of(c, r, ev).thread(ctx)
	if err != nil {
		return false, err
	}
	t := c.tally(key{user, r.NID})
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := c.bringUp(ctx, r, t, r.LastPos()); err != nil {
		t.loaded = false
		return false, err
	}
	return ev.Ord > max(t.readAll, t.readIn[thread]), nil
}
