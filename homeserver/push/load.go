package push

import (
	"context"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
)

// stored is what the store has of one user in one room.
type stored struct {
	counts   []store.Unread
	receipts []store.Receipt // in the order of positions
}

// Preload reads what is stored of a user in many rooms at once, for a first
// /sync that is about to ask for the counts of each.
func (c *Counter) Preload(ctx context.Context, user string, rooms []int64) error {
	fresh := map[int64]*tally{}
	for _, nid := range rooms[:min(len(rooms), maxTallies/2)] {
		t := c.tally(key{user, nid}) // from now on it hears of new receipts
		t.mu.Lock()
		if !t.loaded {
			fresh[nid] = t
		}
		t.mu.Unlock()
	}
	if len(fresh) == 0 {
		return nil
	}
	all, err := c.readAll(ctx, user)
	if err != nil {
		return err
	}
	for nid, t := range fresh {
		t.mu.Lock()
		if s := all[nid]; s != nil {
			t.preloaded = s
		} else {
			t.preloaded = &stored{}
		}
		t.mu.Unlock()
	}
	return nil
}

func (c *Counter) readAll(ctx context.Context, user string) (map[int64]*stored, error) {
	all := map[int64]*stored{}
	of := func(room int64) *stored {
		if all[room] == nil {
			all[room] = &stored{}
		}
		return all[room]
	}
	err := c.DB.Read(ctx, func(tx *db.Tx) error {
		counts, err := store.UnreadOfUser(tx, user)
		if err != nil {
			return err
		}
		for _, u := range counts {
			of(u.Room).counts = append(of(u.Room).counts, u)
		}
		receipts, err := store.ReceiptsOfUser(tx, user)
		for _, rc := range receipts {
			of(rc.Room).receipts = append(of(rc.Room).receipts, rc)
		}
		return err
	})
	return all, err
}

func (c *Counter) read(ctx context.Context, t *tally) (s stored, err error) {
	if p := t.preloaded; p != nil {
		t.preloaded = nil
		return *p, nil
	}
	err = c.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if s.counts, err = store.UnreadOf(tx, t.user, t.room); err != nil {
			return err
		}
		s.receipts, err = store.ReceiptsOf(tx, t.user, t.room)
		return err
	})
	return s, err
}

// load makes a tally of what is stored: the last saved counts, which are then
// corrected by newer receipts; or without any, where to begin. t.mu is held.
func (c *Counter) load(ctx context.Context, r *room.Room, t *tally) error {
	s, err := c.read(ctx, t)
	if err != nil {
		return err
	}
	t.counts, t.shared, t.evaluated = Counts{}, false, 0
	t.upto, t.seen, t.readAll, t.readIn = 0, 0, 0, nil
	for _, u := range s.counts {
		n := Counts{Notify: int(u.Notify), Highlight: int(u.Highlight)}
		if u.Thread == receipt.Main {
			t.counts.Notify, t.counts.Highlight = n.Notify, n.Highlight
			t.upto, t.seen = u.Upto, u.Seen
		} else {
			t.own()[u.Thread] = n
		}
	}
	saved := len(s.counts) > 0
	for _, rc := range s.receipts {
		if !saved || rc.Pos <= t.seen {
			t.read(rc)
			t.seen = max(t.seen, rc.Pos)
		}
	}
	if !saved {
		if t.upto, err = c.start(ctx, r, t); err != nil {
			return err
		}
	}
	t.loaded = true
	for _, rc := range s.receipts {
		if err := c.apply(ctx, r, t, rc); err != nil {
			return err
		}
	}
	return nil
}
