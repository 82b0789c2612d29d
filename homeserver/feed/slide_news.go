package feed

import (
	"context"
	"slices"
	"sync"

	"hearth/homeserver/room"
)

// slideNews is what happened in a room since the connection was told of it.
type slideNews struct {
	events   []*room.Event // oldest first, without what the user may not or does not want to see
	limited  bool          // they do not just follow what the client was told
	expanded bool          // some of them are older than that
	root     int64         // of the state at the end
	place    int64         // where the events start, for prev_batch
	from     int64         // place after which the client has everything, see knownRoom
}

// news finds the events of the timeline up to a place.
func (w *slideRoom) news(upto int64) (n slideNews, err error) {
	n = slideNews{root: w.old.root, from: w.old.from, place: w.old.upto}
	if w.isNew {
		n.from = fromStart
	}
	events, more, err := w.page(upto, &n)
	if err != nil {
		return n, err
	}
	if err := w.rootAfter(upto, events, &n); err != nil {
		return n, err
	}
	// Clients sort out events that they have only from what is limited.
	n.limited = more || n.expanded
	if more {
		n.from = events[0].Ord - 1
	}
	if len(events) > 0 && w.rule.limit == 0 {
		n.limited = true
		n.from = events[len(events)-1].Ord
		n.place, events = n.from, nil
	}
	if len(events) == 0 {
		return n, nil
	}
	n.place = events[0].Ord - 1
	visible, err := w.viewer.Visible(events)
	if err != nil {
		return n, err
	}
	if len(visible) < len(events) && w.isNew {
		n.limited = true
		if len(visible) > 0 {
			n.place = visible[0].Ord - 1
		}
	}
	if w.own != nil && !slices.Contains(visible, w.own) {
		visible = append(visible, w.own)
	}
	n.events = visible[:0:0]
	for _, ev := range visible {
		if !hidden(w.ignored, ev) {
			n.events = append(n.events, ev)
		}
	}
	return n, nil
}

// page gets the events that the client is to be sent, and whether it misses
// others before them.
func (w *slideRoom) page(upto int64, n *slideNews) (events []*room.Event, more bool, err error) {
	limit := w.rule.limit
	if w.isNew {
		return w.f.Rooms.Since(w.ctx, w.r, fromStart, upto, max(limit, 1))
	}
	if limit > w.old.limit && w.old.from != fromStart {
		events, more, err = w.f.Rooms.Since(w.ctx, w.r, fromStart, max(upto, w.old.upto), limit)
		if err != nil {
			return nil, false, err
		}
		if len(events) > 0 && events[0].Ord <= w.old.from {
			n.expanded = true
			if !more {
				n.from = fromStart
			}
			return events, more, nil
		}
	}
	if upto <= w.old.upto {
		return nil, false, nil
	}
	return w.f.Rooms.Since(w.ctx, w.r, w.old.upto, upto, max(limit, 1))
}

// rootAfter finds the state that the client shall know: that after the events,
// or for somebody who has left the last one that was theirs to see.
func (w *slideRoom) rootAfter(upto int64, events []*room.Event, n *slideNews) error {
	switch {
	case w.own != nil:
		sight, err := w.f.Rooms.SightOf(w.ctx, w.r, w.m.Member)
		if err != nil {
			return err
		}
		n.root = sight.State
	case len(events) > 0:
		n.root = events[len(events)-1].RoomAfter
	case w.isNew:
		if cur := w.r.Current(); cur.LastPos <= upto {
			n.root = cur.State
			return nil
		}
		last, err := w.f.Rooms.LastBefore(w.ctx, w.r, upto)
		if err != nil || last == nil {
			return err
		}
		n.root = last.RoomAfter
	}
	return nil
}

// bumping are the types of events by which clients order rooms (MSC4186).
var bumping = map[string]bool{
	"m.room.create": true, "m.room.message": true, "m.room.encrypted": true, "m.sticker": true, "m.call.invite": true,
	"m.poll.start": true, "org.matrix.msc3381.poll.start": true,
	"m.beacon_info": true, "org.matrix.msc3672.beacon_info": true,
}

// bumpCache knows the place of the latest such event of rooms. The zero value
// is empty.
type bumpCache struct {
	mu    sync.Mutex
	rooms map[int64]int64
}

const (
	maxBumps = 200_000 // rooms
	// bumpPage and bumpPages bound how far back a bump is looked for: rooms in
	// which only members come and go may have none for very long.
	bumpPage  = 100
	bumpPages = 5
)

// observe follows the timeline. It runs in the store's writer.
func (c *bumpCache) observe(r *room.Room, ev *room.Event) {
	if bumping[ev.Type] {
		c.raise(r.NID, ev.Ord)
	}
}

func (c *bumpCache) raise(nid, place int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rooms == nil || len(c.rooms) >= maxBumps {
		c.rooms = map[int64]int64{}
	}
	c.rooms[nid] = max(c.rooms[nid], place)
}

// of returns the place of a room's latest bump.
func (c *bumpCache) of(ctx context.Context, e *room.Engine, r *room.Room, upto int64) (int64, error) {
	c.mu.Lock()
	place, ok := c.rooms[r.NID]
	c.mu.Unlock()
	if ok {
		return place, nil
	}
	place = upto
	for range bumpPages {
		events, _, err := e.Since(ctx, r, fromStart, place, bumpPage)
		if err != nil {
			return 0, err
		}
		for _, ev := range slices.Backward(events) {
			place = ev.Ord - 1
			if bumping[ev.Type] {
				c.raise(r.NID, ev.Ord)
				return ev.Ord, nil
			}
		}
		if len(events) == 0 {
			break
		}
	}
	place = max(place, 0)
	c.raise(r.NID, place)
	return place, nil
}
