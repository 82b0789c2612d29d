package push

import (
	"cmp"
	"container/heap"
	"context"

	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/pushrule"
)

// Notified is an event of which a user was told, or would have been.
type Notified struct {
	Room   *room.Room
	Event  *room.Event
	Result pushrule.Result
	Read   bool
}

const (
	// maxSeen bounds the events that one request looks at. Who is told of little
	// gets an answer with little in it and a token to go on.
	maxSeen = 2000
	// stretch is how many events of a room are read at a time.
	stretch = 25
)

// Notified returns up to limit events of which user was told, by the rules in
// force now, from the place from backwards through all rooms where they are. It
// keeps no list: what counts is in the rooms. next is where to go on, 0 at the
// end.
func (c *Counter) Notified(ctx context.Context, user string, from int64, limit int, highlights bool) (out []Notified, next int64, err error) {
	members, err := c.Rooms.RoomsOf(ctx, user)
	if err != nil {
		return nil, 0, err
	}
	var rooms ways
	for _, m := range members {
		if m.Membership == store.Join {
			rooms = append(rooms, &way{nid: m.Room, at: min(m.LastPos+1, from)})
		}
	}
	heap.Init(&rooms)
	for seen := 0; len(rooms) > 0; {
		w := rooms[0]
		if w.at == 0 || seen >= cmp.Or(c.MaxSeen, maxSeen) || len(out) >= limit {
			return out, w.at, nil
		}
		if len(w.events) == 0 {
			more, err := c.readOn(ctx, w)
			if err != nil {
				return nil, 0, err
			}
			if !more {
				heap.Pop(&rooms)
				continue
			}
			w.at = w.events[0].Ord + 1
			heap.Fix(&rooms, 0)
			continue
		}
		ev := w.events[0]
		w.events = w.events[1:]
		w.at = ev.Ord
		seen++
		n, end, err := c.notified(ctx, w.room, user, ev)
		if err != nil {
			return nil, 0, err
		}
		if n.Result.Notify && (n.Result.Highlight || !highlights) {
			out = append(out, n)
		}
		if end {
			heap.Pop(&rooms)
			continue
		}
		heap.Fix(&rooms, 0)
	}
	return out, 0, nil
}

// notified looks at one event; end says that what came before it was not for the
// user.
func (c *Counter) notified(ctx context.Context, r *room.Room, user string, ev *room.Event) (n Notified, end bool, err error) {
	n = Notified{Room: r, Event: ev}
	if ev.Is("m.room.member", user) && ev.Membership() == "join" {
		before, err := c.Rooms.StateEvent(ctx, r, ev.State, "m.room.member", user)
		return n, err == nil && (before == nil || before.Membership() != "join"), err
	}
	if ev.Sender == user {
		return n, false, nil
	}
	if n.Result, err = c.Decide(ctx, r, user, ev); err != nil || !n.Result.Notify {
		return n, false, err
	}
	unread, err := c.Unread(ctx, r, user, ev)
	n.Read = !unread
	return n, false, err
}

func (c *Counter) readOn(ctx context.Context, w *way) (more bool, err error) {
	if w.room == nil {
		if w.room, err = c.Rooms.RoomByNID(ctx, w.nid); err != nil {
			return false, err
		}
	}
	w.events, err = c.Rooms.Before(ctx, w.room, w.at, 0, stretch)
	return len(w.events) > 0, err
}

// way is how far back a room was read.
type way struct {
	nid    int64
	at     int64 // events before this place are still to come
	room   *room.Room
	events []*room.Event
}

// ways has the room with the newest event first.
type ways []*way

func (w ways) Len() int           { return len(w) }
func (w ways) Less(i, j int) bool { return cmp.Less(w[j].at, w[i].at) }
func (w ways) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *ways) Push(x any)        { *w = append(*w, x.(*way)) }
func (w *ways) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}
