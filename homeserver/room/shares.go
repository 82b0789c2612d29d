package room

import (
	"context"
	"maps"
	"sync"

	"hearth/base/db"
	"hearth/base/store"
)

// maxRoomLists bounds the users whose rooms are kept in memory.
const maxRoomLists = 20_000

// roomLists remembers which rooms users are joined to: when many are there,
// each is asked about each. The zero value is empty.
type roomLists struct {
	mu      sync.RWMutex
	of      map[string][]int64 // in order
	changes int64              // counts what may have made a list old
}

// observe forgets the rooms of who comes or goes. It runs in the store's writer.
func (l *roomLists) observe(_ *Room, ev *Event) {
	if ev.Type != "m.room.member" || ev.StateKey == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, *ev.StateKey)
	l.changes++
}

// JoinedRooms lists the rooms that a user is joined to, in order. It is shared
// and must not be changed.
func (e *Engine) JoinedRooms(ctx context.Context, user string) ([]int64, error) {
	lists, err := e.joinedRooms(ctx, []string{user})
	return lists[user], err
}

// joinedRooms lists the rooms of many.
func (e *Engine) joinedRooms(ctx context.Context, users []string) (map[string][]int64, error) {
	out := make(map[string][]int64, len(users))
	var missing []string
	l := &e.lists
	l.mu.RLock()
	before := l.changes
	for _, user := range users {
		if list, ok := l.of[user]; ok {
			out[user] = list
		} else {
			missing = append(missing, user)
		}
	}
	l.mu.RUnlock()
	if len(missing) == 0 {
		return out, nil
	}
	var found map[string][]int64
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		found, err = store.JoinedRoomsOf(tx, missing)
		return err
	})
	if err != nil {
		return nil, err
	}
	maps.Copy(out, found)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changes != before {
		return out, nil // it may be old already
	}
	for _, user := range missing {
		if l.of == nil || len(l.of) >= maxRoomLists {
			l.of = map[string][]int64{}
		}
		l.of[user] = found[user]
	}
	return out, nil
}

// Share reports whether two users are joined to the same room. It is quick for
// those who are there.
func (e *Engine) Share(ctx context.Context, one, other string) (bool, error) {
	with, err := e.Sharing(ctx, one, []string{other})
	return len(with) > 0, err
}

// Sharing returns those of others who are joined to a room that user is joined to.
func (e *Engine) Sharing(ctx context.Context, user string, others []string) ([]string, error) {
	if len(others) == 0 {
		return nil, nil
	}
	own, err := e.JoinedRooms(ctx, user)
	if err != nil || len(own) == 0 {
		return nil, err
	}
	lists, err := e.joinedRooms(ctx, others)
	if err != nil {
		return nil, err
	}
	var with []string
	for _, other := range others {
		if meet(own, lists[other]) {
			with = append(with, other)
		}
	}
	return with, nil
}

// meet reports whether two ordered lists have a number in common.
func meet(a, b []int64) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			return true
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}
