package pusher

import (
	"context"
	"errors"
	"time"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
)

// delivery is what goes on for one pusher.
type delivery struct {
	running bool
	again   bool // something came while it was running
	badge   bool // the number of unread messages is to be told
	sent    int  // the number that was told last; -1 for none
	pause   time.Duration
	timer   Stopper // ends the pause after a failure, or before a mail

	mailed   time.Time     // when the last mail went
	throttle time.Duration // until the next may
}

// kick begins to deliver what waits for a pusher, unless that is under way or
// rests after a failure.
func (e *Engine) kick(id int64) { e.start(id, false, false) }

func (e *Engine) start(id int64, badge, rested bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.live[id]
	if d == nil {
		d = &delivery{sent: -1}
		e.live[id] = d
	}
	d.badge = d.badge || badge
	if rested {
		d.timer = nil
	}
	if d.running {
		d.again = true
		return
	}
	if d.timer != nil || e.ctx.Err() != nil {
		return
	}
	d.running = true
	e.done.Go(func() { e.deliver(id, d) })
}

// deliver works until nothing waits, or something fails.
func (e *Engine) deliver(id int64, d *delivery) {
	for {
		select {
		case e.slots <- struct{}{}:
		case <-e.ctx.Done():
			return
		}
		err := contain.Call(func() error { return e.deliverAll(e.ctx, id, d) })
		<-e.slots
		e.mu.Lock()
		switch {
		case errors.Is(err, errGone):
			delete(e.live, id)
			e.mu.Unlock()
			return
		case err == nil && d.again:
			d.again = false
			e.mu.Unlock()
			continue
		case err != nil && e.ctx.Err() == nil:
			d.pause = min(max(2*d.pause, firstPause), longestPause)
			d.timer = e.After(d.pause, func() { e.start(id, false, true) })
			e.Log.InfoContext(e.ctx, "a notification was not taken", "pusher", id, "pause", d.pause, "err", err)
		case err == nil:
			d.pause = 0
		}
		d.running, d.again = false, false
		e.mu.Unlock()
		return
	}
}

// page is how many notifications are read at a time.
const page = 20

func (e *Engine) deliverAll(ctx context.Context, id int64, d *delivery) error {
	for {
		var p store.Pusher
		var pushes []store.Push
		err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			if p, err = store.PusherByID(tx, id); err != nil {
				return err
			}
			n := page
			if p.Kind == Email {
				n = maxQueue
			}
			pushes, err = store.Pushes(tx, id, n)
			return err
		})
		if errors.Is(err, db.ErrNoRow) {
			return errGone
		}
		if err != nil {
			return err
		}
		if p.Off {
			return nil
		}
		if p.Kind == Email {
			return e.deliverMail(ctx, p, pushes, d)
		}
		if len(pushes) == 0 {
			return e.deliverBadge(ctx, p, d)
		}
		done, failed := e.deliverPage(ctx, p, pushes, d)
		if done > 0 {
			err := e.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error { return store.DeletePushes(tx, id, done) })
			if failed == nil {
				failed = err
			}
		}
		if failed != nil {
			return failed
		}
	}
}

// deliverPage returns the last event that is done with.
func (e *Engine) deliverPage(ctx context.Context, p store.Pusher, pushes []store.Push, d *delivery) (done int64, err error) {
	for _, push := range pushes {
		if e.Now().Sub(time.UnixMilli(push.At)) < maxAge {
			if err := e.deliverOne(ctx, p, push, d); err != nil {
				return done, err
			}
		}
		done = push.Event
	}
	return done, nil
}

func (e *Engine) deliverOne(ctx context.Context, p store.Pusher, push store.Push, d *delivery) error {
	ev, r, err := e.eventOf(ctx, push.Event)
	if err != nil || ev == nil || ev.RedactedBy != 0 {
		return err
	}
	unread, err := e.unread(ctx, p.User, r)
	if err != nil {
		return err
	}
	n, err := e.notification(ctx, p, r, ev, push.Tweaks, unread)
	if err != nil {
		return err
	}
	return e.told(ctx, p, n, d, unread)
}

// deliverBadge tells how many messages are unread, if that has changed.
func (e *Engine) deliverBadge(ctx context.Context, p store.Pusher, d *delivery) error {
	e.mu.Lock()
	wanted, sent := d.badge, d.sent
	e.mu.Unlock()
	if !wanted {
		return nil
	}
	unread, err := e.unread(ctx, p.User, nil)
	if err != nil {
		return err
	}
	if unread != sent {
		if err := e.told(ctx, p, badgeOf(p, unread), d, unread); err != nil {
			return err
		}
	}
	e.mu.Lock()
	d.badge = false
	e.mu.Unlock()
	return nil
}

func (e *Engine) told(ctx context.Context, p store.Pusher, n notification, d *delivery, unread int) error {
	err := e.send(ctx, p, n)
	if errors.Is(err, errRejected) {
		err = e.Delete(ctx, p.User, p.App, p.Key)
		if err == nil {
			err = errGone
		}
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	d.sent = unread
	e.mu.Unlock()
	return nil
}

// eventOf returns an event with its room, or nil if either is gone.
func (e *Engine) eventOf(ctx context.Context, nid int64) (*room.Event, *room.Room, error) {
	var rows []store.Event
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.EventsByNID(tx, []int64{nid})
		return err
	})
	if err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	r, err := e.Rooms.RoomByNID(ctx, rows[0].Room)
	if err != nil {
		if notThere(err) {
			err = nil
		}
		return nil, nil, err
	}
	evs, err := e.Rooms.Events(ctx, r.Version, []int64{nid})
	if err != nil || len(evs) == 0 {
		return nil, nil, err
	}
	return evs[0], r, nil
}
