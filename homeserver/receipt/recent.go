package receipt

import (
	"context"

	"hearth/base/db"
	"hearth/base/store"
)

const (
	// maxRecent bounds the receipts of a room that are kept at hand.
	maxRecent = 64
	// maxRooms bounds the rooms that have some.
	maxRooms = 4096
)

// recent holds the newest receipts of a room: what nearly every /sync asks for.
type recent struct {
	list  []store.Receipt // in the order of positions
	after int64           // list is complete behind this position
}

// remember keeps a stored receipt at hand. It runs in the store's writer.
func (e *Engine) remember(rc store.Receipt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.latest[rc.Room]
	if c == nil {
		if len(e.latest) >= maxRooms {
			clear(e.latest)
			e.floor = rc.Pos - 1 // positions are handed out in this order
		}
		c = &recent{after: e.floor}
		e.latest[rc.Room] = c
	}
	if len(c.list) == maxRecent {
		c.after = c.list[maxRecent/2-1].Pos
		c.list = append(make([]store.Receipt, 0, maxRecent), c.list[maxRecent/2:]...) // readers may hold the old array
	}
	c.list = append(c.list, rc)
}

// LastPos returns a position after which a room has no receipts. It is that of
// the newest receipt if there was one lately.
func (e *Engine) LastPos(room int64) int64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if c := e.latest[room]; c != nil {
		return c.list[len(c.list)-1].Pos
	}
	return e.floor
}

// Since returns the receipts of a room with positions in (after, upto] that
// forUser may see: all but other people's private ones. Of each person, kind
// and thread it has only the newest.
func (e *Engine) Since(ctx context.Context, room, after, upto int64, forUser string) (out []store.Receipt, err error) {
	if out, ok := e.atHand(room, after, upto, forUser); ok {
		return out, nil
	}
	err = e.db.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = store.ReceiptsSince(tx, room, after, upto, forUser)
		return err
	})
	return out, err
}

// All returns all receipts of a room that forUser may see, up to a position.
func (e *Engine) All(ctx context.Context, room, upto int64, forUser string) ([]store.Receipt, error) {
	return e.Since(ctx, room, 0, upto, forUser)
}

func (e *Engine) atHand(room, after, upto int64, forUser string) ([]store.Receipt, bool) {
	e.mu.RLock()
	c, floor := e.latest[room], e.floor
	var list []store.Receipt
	if c != nil {
		list, floor = c.list, c.after
	}
	e.mu.RUnlock()
	if after < floor {
		return nil, false
	}
	var out []store.Receipt
	for i, rc := range list {
		if rc.Pos > after && rc.Pos <= upto && (rc.Kind == Read || rc.User == forUser) && !replaced(rc, list[i+1:]) {
			out = append(out, rc)
		}
	}
	return out, true
}

// replaced reports whether one of later is of the same person, kind and thread.
func replaced(rc store.Receipt, later []store.Receipt) bool {
	for i := range later {
		if l := &later[i]; l.User == rc.User && l.Kind == rc.Kind && l.Thread == rc.Thread {
			return true
		}
	}
	return false
}

// Own returns all of a user's receipts in some rooms.
func (e *Engine) Own(ctx context.Context, user string, rooms ...int64) (out []store.Receipt, err error) {
	err = e.db.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = store.ReceiptsOf(tx, user, rooms...)
		return err
	})
	return out, err
}
