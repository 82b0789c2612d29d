package pusher

import (
	"context"

	"hearth/base/store"
	"hearth/homeserver/room"
)

// maxBadges bounds the users whose unread messages are kept summed up, and the
// receipts that wait to be considered.
const maxBadges = 5000

// badge is how many messages a user has not read, by room.
type badge struct {
	rooms map[int64]int
	total int
}

// noteRead remembers that somebody has read something. It runs in the store's
// writer.
func (e *Engine) noteRead(rc store.Receipt) {
	if e.total.Load() == 0 {
		return
	}
	e.mu.Lock()
	if n, known := e.users[rc.User]; (!known || n > 0) && len(e.reads) < maxBadges {
		e.reads[userRoom{rc.User, rc.Room}] = struct{}{}
	}
	e.mu.Unlock()
	e.signal()
}

// readBadges has the badges renewed of those who have read something.
func (e *Engine) readBadges() {
	e.mu.Lock()
	reads := e.reads
	e.reads = map[userRoom]struct{}{}
	e.mu.Unlock()
	for ur := range reads {
		if err := e.readBadge(ur); err != nil && e.ctx.Err() == nil {
			e.Log.WarnContext(e.ctx, "a badge was not renewed", "err", err)
		}
	}
}

func (e *Engine) readBadge(ur userRoom) error {
	some, err := e.hasPushers(e.ctx, ur.user)
	if err != nil || !some {
		return err
	}
	r, err := e.Rooms.RoomByNID(e.ctx, ur.room)
	if err != nil {
		if notThere(err) {
			err = nil
		}
		return err
	}
	if _, err := e.unread(e.ctx, ur.user, r); err != nil {
		return err
	}
	all, err := e.Pushers(e.ctx, ur.user)
	for _, p := range all {
		if p.Kind == HTTP {
			e.start(p.ID, true, false)
		}
	}
	return err
}

func (e *Engine) forgetBadge(user string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.badges, user)
}

// unread is how many messages a user has not read. Only r, if it is not nil, is
// counted anew: other rooms are counted when something happens there.
func (e *Engine) unread(ctx context.Context, user string, r *room.Room) (int, error) {
	e.mu.Lock()
	b := e.badges[user]
	if b != nil && r == nil {
		defer e.mu.Unlock()
		return b.total, nil
	}
	e.mu.Unlock()
	if b == nil {
		return e.unreadAnew(ctx, user)
	}
	n, err := e.unreadIn(ctx, user, r)
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	b.total += n - b.rooms[r.NID]
	if b.rooms[r.NID] = n; n == 0 {
		delete(b.rooms, r.NID)
	}
	return b.total, nil
}

func (e *Engine) unreadIn(ctx context.Context, user string, r *room.Room) (int, error) {
	m, err := e.Rooms.Membership(ctx, r.ID, user)
	if err != nil || m != store.Join {
		return 0, err
	}
	n, err := e.Push.Counts(ctx, r, user, r.LastPos())
	return n.Total().Notify, err
}

func (e *Engine) unreadAnew(ctx context.Context, user string) (int, error) {
	members, err := e.Rooms.RoomsOf(ctx, user)
	if err != nil {
		return 0, err
	}
	var joined []int64
	for _, m := range members {
		if m.Membership == store.Join {
			joined = append(joined, m.Room)
		}
	}
	if err := e.Push.Preload(ctx, user, joined); err != nil {
		return 0, err
	}
	b := &badge{rooms: map[int64]int{}}
	for _, nid := range joined {
		r, err := e.Rooms.RoomByNID(ctx, nid)
		if err != nil {
			if notThere(err) {
				continue
			}
			return 0, err
		}
		n, err := e.Push.Counts(ctx, r, user, r.LastPos())
		if err != nil {
			return 0, err
		}
		if n := n.Total().Notify; n > 0 {
			b.rooms[nid] = n
			b.total += n
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.badges) >= maxBadges {
		clear(e.badges)
	}
	e.badges[user] = b
	return b.total, nil
}
