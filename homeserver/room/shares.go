package room

import (
	"context"
	"slices"
	"sync"

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
	l := &e.lists
	l.mu.RLock()
	list, ok := l.of[user]
	before := l.changes
	l.mu.RUnlock()
	if ok {
		return list, nil
	}
	members, err := e.RoomsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.Membership == store.Join {
			list = append(list, m.Room)
		}
	}
	slices.Sort(list)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changes != before {
		return list, nil // it may be old already
	}
	if l.of == nil || len(l.of) >= maxRoomLists {
		l.of = map[string][]int64{}
	}
	l.of[user] = list
	return list, nil
}

// Share reports whether two users are joined to the same room. It is quick for
// those who are there.
func (e *Engine) Share(ctx context.Context, one, other string) (bool, error) {
	a, err := e.JoinedRooms(ctx, one)
	if err != nil || len(a) == 0 {
		return false, err
	}
	b, err := e.JoinedRooms(ctx, other)
	return meet(a, b), err
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
