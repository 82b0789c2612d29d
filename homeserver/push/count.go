package push

import (
	"cmp"
	"context"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/matrix/pushrule"
)

const (
	// few is how many events are counted without a look at how many there are.
	few = 256
	// page is how many events are read at a time.
	page = 500
	// maxBack bounds the unread events that are looked at: nobody reads the
	// number of those who have been away for longer.
	maxBack = 20_000
	// maxRejoins bounds how far a user's join is looked for among the changes
	// of their member event.
	maxRejoins = 100
)

// advance counts the events up to a place.
func (c *Counter) advance(ctx context.Context, r *room.Room, t *tally, upto int64) error {
	if ok, err := c.together(ctx, r, t, t.upto, upto); ok || err != nil {
		return err
	}
	events, more, err := c.Rooms.Since(ctx, r, t.upto, upto, few)
	if err != nil {
		return err
	}
	most := cmp.Or(c.MaxBack, maxBack)
	if more && upto-t.upto > most { // there may be as many: a place is at most one event
		var back int64
		err := c.DB.Read(ctx, func(tx *db.Tx) (err error) {
			back, err = store.PlaceBack(tx, r.NID, upto, most)
			return err
		})
		if err != nil {
			return err
		}
		t.upto = max(t.upto, back)
	}
	if more {
		return c.walk(ctx, r, t, t.upto, upto, "")
	}
	if err := c.countAll(ctx, r, t, events, ""); err != nil {
		return err
	}
	t.upto = upto
	return nil
}

// recount counts anew, since something that was counted may be redacted by now. It
// leaves the counts of those who have not read for long as they are: they would be
// counted anew by every redaction, and nobody sees the difference.
func (c *Counter) recount(ctx context.Context, r *room.Room, t *tally) error {
	from, err := c.start(ctx, r, t)
	if err == nil && t.upto-from <= page {
		t.clear("")
		err = c.walk(ctx, r, t, from, t.upto, "")
	}
	t.redacted = false
	return err
}

// walk counts the events with places in (after, upto] page by page; with only,
// those of one thread.
func (c *Counter) walk(ctx context.Context, r *room.Room, t *tally, after, upto int64, only string) error {
	for {
		events, err := c.Rooms.After(ctx, r, after, upto+1, page)
		if err != nil {
			return err
		}
		if err := c.countAll(ctx, r, t, events, only); err != nil {
			return err
		}
		if len(events) < page {
			t.upto = max(t.upto, upto)
			return nil
		}
		after = events[len(events)-1].Ord
	}
}

// countAll counts events in timeline order; with only, those of one thread.
func (c *Counter) countAll(ctx context.Context, r *room.Room, t *tally, events []*room.Event, only string) error {
	if len(events) == 0 {
		return nil
	}
	m, err := c.member(ctx, r, t.user)
	if err != nil {
		return err
	}
	t.evaluated += len(events)
	for _, ev := range events {
		if err := c.countOne(ctx, r, t, m, ev, only); err != nil {
			return err
		}
	}
	return nil
}

// member is what counting needs to know of a tally's user.
type member struct {
	user    string
	rules   *pushrule.Rules
	ignored map[string]bool
	context pushrule.Context
}

func (c *Counter) member(ctx context.Context, r *room.Room, user string) (member, error) {
	own, err := c.rulesOf(ctx, user)
	if err != nil {
		return member{}, err
	}
	m := member{user: user, rules: own.rules}
	m.context.Members = int(r.Current().Joined)
	if m.ignored, err = c.Personal.Ignored(ctx, user); err != nil || !own.wantsName {
		return m, err
	}
	ev, err := c.Rooms.StateEvent(ctx, r, r.Current().State, "m.room.member", user)
	if ev != nil {
		m.context.DisplayName, _ = ev.GetString("displayname")
	}
	return m, err
}

func (c *Counter) countOne(ctx context.Context, r *room.Room, t *tally, m member, ev *room.Event, only string) error {
	if ev.Type == "m.room.redaction" && t.count("") > 0 {
		t.redacted = true
	}
	if ev.Is("m.room.member", t.user) {
		return c.countMembership(ctx, r, t, ev, only)
	}
	if ev.Flags&(store.Rejected|store.SoftFailed) != 0 || ev.RedactedBy != 0 || m.ignored[ev.Sender] {
		return nil
	}
	if ev.Sender == t.user {
		return c.countOwn(ctx, r, t, ev, only)
	}
	res, err := c.evaluate(ctx, r, m, ev)
	if err != nil || !res.Notify {
		return err
	}
	thread, err := c.facts.of(c, r, ev).thread(ctx)
	if err != nil || only != "" && thread != only {
		return err
	}
	if ev.Ord > max(t.readAll, t.readIn[thread]) {
		t.add(thread, res.Highlight)
	}
	return nil
}

// countOwn marks a thread as read in which the user has written
// (client-server-api/#marking-notifications-as-read). State does not count: a
// new avatar changes state in rooms that nobody looked into.
func (c *Counter) countOwn(ctx context.Context, r *room.Room, t *tally, ev *room.Event, only string) error {
	if ev.StateKey != nil || ev.Type == "m.room.redaction" {
		return nil
	}
	thread, err := c.facts.of(c, r, ev).thread(ctx)
	if err == nil && (only == "" || thread == only) {
		t.clear(thread)
	}
	return err
}

// countMembership begins anew when the user has come or gone.
func (c *Counter) countMembership(ctx context.Context, r *room.Room, t *tally, ev *room.Event, only string) error {
	if ev.Membership() == "join" {
		before, err := c.Rooms.StateEvent(ctx, r, ev.State, "m.room.member", t.user)
		if err != nil || before != nil && before.Membership() == "join" {
			return err
		}
	}
	t.clear(only)
	return nil
}

// start is the place from which on there may be unread events: the last
// receipt for all threads, or else when the user came.
func (c *Counter) start(ctx context.Context, r *room.Room, t *tally) (int64, error) {
	if t.readAll > 0 {
		return t.readAll, nil
	}
	ev, err := c.Rooms.StateEvent(ctx, r, r.Current().State, "m.room.member", t.user)
	if err != nil {
		return 0, err
	}
	if ev == nil || ev.Membership() != "join" {
		return r.LastPos(), nil
	}
	for range maxRejoins {
		before, err := c.Rooms.StateEvent(ctx, r, ev.State, "m.room.member", t.user)
		if err != nil {
			return 0, err
		}
		if before == nil || before.Membership() != "join" {
			break
		}
		ev = before
	}
	return ev.Ord, nil
}

// read moves the tally's idea of what is read. It reports false if that was
// further already.
func (t *tally) read(rc store.Receipt) bool {
	if rc.Thread == "" {
		if rc.Ord <= t.readAll {
			return false
		}
		t.readAll = rc.Ord
		return true
	}
	if rc.Ord <= t.readIn[rc.Thread] {
		return false
	}
	if t.readIn == nil {
		t.readIn = map[string]int64{}
	}
	t.readIn[rc.Thread] = rc.Ord
	return true
}

// apply corrects the counts by a receipt. One that is not newer than those
// before it changes nothing.
func (c *Counter) apply(ctx context.Context, r *room.Room, t *tally, rc store.Receipt) error {
	if rc.Pos <= t.seen {
		return nil
	}
	t.seen = rc.Pos
	if !t.read(rc) || t.count(rc.Thread) == 0 {
		return nil
	}
	t.clear(rc.Thread)
	if rc.Ord >= t.upto {
		return nil
	}
	if rc.Thread == "" || rc.Thread == receipt.Main {
		if ok, err := c.together(ctx, r, t, rc.Ord, t.upto); ok || err != nil {
			return err
		}
	}
	return c.walk(ctx, r, t, rc.Ord, t.upto, rc.Thread)
}
