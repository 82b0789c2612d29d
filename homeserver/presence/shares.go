package presence

import (
	"context"
	"slices"
	"sync"

	"hearth/base/store"
	"hearth/homeserver/room"
)

// maxRoomLists bounds the users whose rooms are kept in memory.
const maxRoomLists = 20_000

// roomLists remembers which rooms users are joined to: when many are there,
// each is asked about each.
type roomLists struct {
	rooms *room.Engine

	mu      sync.RWMutex
	of      map[string][]int64 // in order
	changes int64              // counts what may have made a list old
}

func newRoomLists(rooms *room.Engine) *roomLists {
	l := &roomLists{rooms: rooms, of: map[string][]int64{}}
	rooms.Observe(l.observe)
	return l
}

// observe forgets the rooms of who comes or goes. It runs in the store's writer.
func (l *roomLists) observe(_ *room.Room, ev *room.Event) {
	if ev.Type != "m.room.member" || ev.StateKey == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, *ev.StateKey)
	l.changes++
}

// joined lists the rooms that a user is joined to, in order. It is shared and
// must not be changed.
func (l *roomLists) joined(ctx context.Context, user string) ([]int64, error) {
	l.mu.RLock()
	list, ok := l.of[user]
	before := l.changes
	l.mu.RUnlock()
	if ok {
		return list, nil
	}
	members, err := l.rooms.RoomsOf(ctx, user)
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
	if len(l.of) >= maxRoomLists {
		clear(l.of)
	}
	l.of[user] = list
	return list, nil
}

// Shares reports whether viewer may know of a user's presence: it is their own,
// or they are in the same room. It is quick for those who are there. With
// presence off nobody may know of anybody.
func (e *Engine) Shares(ctx context.Context, viewer, user string) (bool, error) {
	if viewer == user {
		return true, nil
	}
	if !e.Config.Enabled {
		return false, nil
	}
	a, err := e.lists.joined(ctx, viewer)
	if err != nil || len(a) == 0 {
		return false, err
	}
	b, err := e.lists.joined(ctx, user)
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
