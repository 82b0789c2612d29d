package relation

import (
	"context"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
)

// Threads returns the roots of up to limit threads whose newest event is before
// a place, the latest first, and the place before which there are more, 0 for
// none. With participated, only threads in which the user has written.
func (x *Reader) Threads(ctx context.Context, before int64, limit int, participated bool) (roots []*room.Event, next int64, err error) {
	for seen, most := 0, x.Bounds.threads(); seen < most; {
		n := min(max(limit-len(roots)+1, 20), most-seen)
		page, mine, err := x.threadPage(ctx, before, n)
		if err != nil {
			return nil, 0, err
		}
		for _, t := range page {
			if len(roots) == limit {
				return roots, before, nil
			}
			before = t.Last
			root, err := x.root(ctx, t)
			if err != nil {
				return nil, 0, err
			}
			if root != nil && (!participated || root.Sender == x.User || mine[t.Root] > 0) {
				roots = append(roots, root)
			}
		}
		if len(page) < n {
			return roots, 0, nil
		}
		seen += len(page)
	}
	return roots, before, nil
}

func (x *Reader) threadPage(ctx context.Context, before int64, n int) (page []store.Thread, mine map[string]int64, err error) {
	err = x.Rooms.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if page, err = store.ThreadsIn(tx, x.Room.NID, before, n); err != nil {
			return err
		}
		page = page[:min(n, len(page))]
		ids := make([]string, len(page))
		for i, t := range page {
			ids[i] = t.Root
		}
		mine, err = store.SendersIn(tx, ids, []string{x.User})
		return err
	})
	return page, mine, err
}

// root is the event at which a thread starts; nil if the user may not see it,
// or no thread can start there.
func (x *Reader) root(ctx context.Context, t store.Thread) (*room.Event, error) {
	ev, err := x.Rooms.EventIn(ctx, x.Room, t.Root)
	if err != nil || ev == nil {
		return nil, err
	}
	if _, child := ev.Relation(); child {
		return nil, nil
	}
	if x.Viewer != nil {
		if ok, err := x.Viewer.CanSee(ev); err != nil || !ok {
			return nil, err
		}
	}
	return ev, nil
}
