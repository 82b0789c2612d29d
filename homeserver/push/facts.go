package push

import (
	"context"
	"math"
	"sync"

	"hearth/homeserver/room"
	"hearth/matrix/authrules"
	"hearth/matrix/pdu"
	"hearth/matrix/pushrule"
)

// maxFacts bounds the events that are kept ready for evaluation. A new one is
// evaluated for each member who is there, at about the same time.
const maxFacts = 1024

// facts is an event made ready for evaluation, once for all members.
type facts struct {
	fields      *pushrule.Fields
	senderLevel func() int64
	notifyLevel func(kind string) int64
	findThread  func(context.Context) (string, error)
	mu          sync.Mutex
	in          string // the event's thread, "" while nobody asked
	levelsOnce  sync.Once
	levels      authrules.PowerLevels
	levelsKnown bool
}

// factCache keeps the facts of the events that were made last.
type factCache struct {
	mu    sync.Mutex
	byNID map[int64]*facts
	ring  [maxFacts]int64
	next  int
}

func newFactCache() *factCache { return &factCache{byNID: map[int64]*facts{}} }

func (fc *factCache) of(c *Counter, r *room.Room, ev *room.Event) *facts {
	fc.mu.Lock()
	defer fc.mu.Unlock()
	if f := fc.byNID[ev.NID]; f != nil {
		return f
	}
	f := newFacts(c, r, ev)
	delete(fc.byNID, fc.ring[fc.next])
	fc.ring[fc.next] = ev.NID
	fc.next = (fc.next + 1) % maxFacts
	fc.byNID[ev.NID] = f
	return f
}

func newFacts(c *Counter, r *room.Room, ev *room.Event) *facts {
	f := &facts{fields: pushrule.NewFields(pushrule.Event{
		ID: ev.ID, Type: ev.Type, Sender: ev.Sender, RoomID: ev.RoomID, StateKey: ev.StateKey, Content: ev.Content,
	})}
	load := func() { f.levels, f.levelsKnown = c.levels(r, ev.State) }
	f.senderLevel = func() int64 {
		if f.levelsOnce.Do(load); !f.levelsKnown {
			return math.MinInt64
		}
		return f.levels.User(ev.Sender)
	}
	f.notifyLevel = func(kind string) int64 {
		f.levelsOnce.Do(load)
		return f.levels.Notification(kind)
	}
	f.findThread = func(ctx context.Context) (string, error) { return c.Receipts.ThreadOf(ctx, r, ev) }
	return f
}

// thread returns the root of the event's thread, or receipt.Main.
func (f *facts) thread(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.in != "" {
		return f.in, nil
	}
	in, err := f.findThread(ctx)
	if err == nil {
		f.in = in
	}
	return in, err
}

// levels returns the power levels in a version of a room's state. They are
// shared by all who evaluate an event, so no single request's end may spoil
// them; who cannot have them goes without.
func (c *Counter) levels(r *room.Room, root int64) (authrules.PowerLevels, bool) {
	ctx := context.Background()
	pl, err := c.Rooms.StateEvent(ctx, r, root, "m.room.power_levels", "")
	if err == nil {
		var create *room.Event
		if create, err = c.Rooms.StateEvent(ctx, r, root, "m.room.create", ""); err == nil {
			return authrules.ParsePowerLevels(r.Version, inner(pl), inner(create)), true
		}
	}
	c.Log.WarnContext(ctx, "power levels could not be read for push rules", "err", err)
	return authrules.PowerLevels{}, false
}

func inner(ev *room.Event) *pdu.Event {
	if ev == nil {
		return nil
	}
	return ev.Event
}
