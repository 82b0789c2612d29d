package room

import (
	"container/list"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"hearth/base/store"
	"hearth/base/trie"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// Event is an event of a room, with what the server knows about it. It never
// changes: a redaction makes a new one.
type Event struct {
	*pdu.Event
	NID        int64
	Room       int64
	Ord        int64 // place in the timeline; 0 if it has none
	SK         int64 // number of the state key it sets; 0 for others
	State      int64 // root of the state before it
	StateAfter int64
	// RoomBefore and RoomAfter are the roots of the room's current state around
	// the moment at which the event came. They differ from the event's own only
	// where the room has forks.
	RoomBefore int64
	RoomAfter  int64
	Auth       []int64
	Flags      store.EventFlags
	RedactedBy int64
	TxnDevice  string // the device that sent it, and its transaction id there
	TxnID      string

	client atomic.Pointer[[]byte]
	memo   atomic.Pointer[any]
}

// Memo keeps one value derived from the event for as long as it is in memory.
// Only package feed uses it.
func (ev *Event) Memo(make func() any) any {
	if p := ev.memo.Load(); p != nil {
		return *p
	}
	v := make()
	ev.memo.Store(&v)
	return v
}

// Client is the event as clients see it, without unsigned and without the
// closing brace, so that responses share it and append what is theirs
// (client-server-api/#room-event-format).
func (ev *Event) Client() []byte {
	if p := ev.client.Load(); p != nil {
		return *p
	}
	b := ev.clientJSON()
	ev.client.Store(&b)
	return b
}

func (ev *Event) clientJSON() []byte {
	b := make([]byte, 0, len(ev.Content)+len(ev.ID)+len(ev.RoomID)+len(ev.Sender)+len(ev.Type)+128)
	b = append(b, `{"content":`...)
	redaction := ev.Type == "m.room.redaction" && ev.Redacts != ""
	if redaction {
		// Clients of every age find the target where they look for it: at the
		// top or in the content (rooms/v11/#moving-the-redacts-property-of-mroomredaction-events-to-a-content-property).
		b = canonjson.With(b, ev.Content, "redacts", canonjson.Quote(nil, ev.Redacts))
	} else {
		b = append(b, ev.Content...)
	}
	b = append(b, `,"event_id":`...)
	b = canonjson.Quote(b, ev.ID)
	b = ev.AppendSticky(b)
	b = append(b, `,"origin_server_ts":`...)
	b = strconv.AppendInt(b, ev.OriginServerTS, 10)
	if redaction {
		b = append(b, `,"redacts":`...)
		b = canonjson.Quote(b, ev.Redacts)
	}
	b = append(b, `,"room_id":`...)
	b = canonjson.Quote(b, ev.RoomID)
	b = append(b, `,"sender":`...)
	b = canonjson.Quote(b, ev.Sender)
	if ev.StateKey != nil {
		b = append(b, `,"state_key":`...)
		b = canonjson.Quote(b, *ev.StateKey)
	}
	b = append(b, `,"type":`...)
	return canonjson.Quote(b, ev.Type)
}

// parse makes an Event of a row.
func parse(row store.Event, v *roomver.Version) (*Event, error) {
	p, err := pdu.Parse(v, row.EventID, row.JSON)
	if err != nil {
		return nil, fmt.Errorf("stored event %s: %w", row.EventID, err)
	}
	ev := &Event{Event: p, NID: row.NID, Room: row.Room, Auth: row.Auth, Flags: row.Flags}
	if row.Ord != nil {
		ev.Ord = *row.Ord
	}
	if row.SK != nil {
		ev.SK = *row.SK
	}
	if row.State != nil {
		ev.State, ev.StateAfter = *row.State, *row.State
	}
	if row.StateAfter != nil {
		ev.StateAfter = *row.StateAfter
	}
	ev.RoomBefore, ev.RoomAfter = ev.State, ev.StateAfter
	if row.RoomBefore != nil {
		ev.RoomBefore = *row.RoomBefore
	}
	if row.RoomAfter != nil {
		ev.RoomAfter = *row.RoomAfter
	}
	if row.RedactedBy != nil {
		ev.RedactedBy = *row.RedactedBy
	}
	ev.TxnDevice, ev.TxnID, _ = strings.Cut(string(row.Txn), "\x00")
	return ev, nil
}

// row is the inverse of parse.
func (ev *Event) row() store.Event {
	r := store.Event{NID: ev.NID, Room: ev.Room, EventID: ev.ID, Auth: ev.Auth, Flags: ev.Flags, JSON: ev.JSON}
	if ev.Ord != 0 {
		r.Ord = &ev.Ord
	}
	if ev.State != trie.Empty || ev.Ord != 0 {
		r.State = &ev.State
		r.StateAfter = unless(ev.StateAfter, ev.State)
		r.RoomBefore = unless(ev.RoomBefore, ev.State)
		r.RoomAfter = unless(ev.RoomAfter, ev.StateAfter)
	}
	if ev.SK != 0 {
		r.SK = &ev.SK
	}
	if ev.TxnID != "" {
		r.Txn = []byte(ev.TxnDevice + "\x00" + ev.TxnID)
	}
	return r
}

// unless is nil for the usual value of a column, to save the room.
func unless(v, usual int64) *int64 {
	if v == usual {
		return nil
	}
	return &v
}

// parseAll parses rows, taking those from the cache that are there.
func (e *Engine) parseAll(rows []store.Event, version string) ([]*Event, error) {
	v, ok := roomver.Get(version)
	if !ok {
		return nil, fmt.Errorf("room version %q is not known", version)
	}
	out := make([]*Event, len(rows))
	for i, row := range rows {
		if ev := e.events.get(row.NID); ev != nil {
			out[i] = ev
			continue
		}
		ev, err := parse(row, v)
		if err != nil {
			return nil, err
		}
		e.events.put(ev)
		out[i] = ev
	}
	return out, nil
}

// ids lists the ids of events in the order of nids.
func ids(events []*Event, nids []int64) []string {
	out := make([]string, 0, len(nids))
	for _, nid := range nids {
		for _, ev := range events {
			if ev.NID == nid {
				out = append(out, ev.ID)
			}
		}
	}
	return out
}

// localUser reports whether a user belongs to this server.
func (e *Engine) localUser(user string) bool { return mxid.ServerOf(user) == e.Server }

// eventCache keeps the events that were used last.
type eventCache struct {
	mu    sync.Mutex
	max   int
	order *list.List // of *Event, the latest in front
	byNID map[int64]*list.Element
}

func newEventCache(n int) *eventCache {
	return &eventCache{max: n, order: list.New(), byNID: map[int64]*list.Element{}}
}

func (c *eventCache) get(nid int64) *Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.byNID[nid]
	if el == nil {
		return nil
	}
	c.order.MoveToFront(el)
	return el.Value.(*Event)
}

func (c *eventCache) put(ev *Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.byNID[ev.NID]; el != nil {
		if ev.RedactedBy != 0 { // else what is there is as new, or newer
			el.Value = ev
		}
		c.order.MoveToFront(el)
		return
	}
	c.byNID[ev.NID] = c.order.PushFront(ev)
	if c.order.Len() > c.max {
		last := c.order.Back()
		delete(c.byNID, last.Value.(*Event).NID)
		c.order.Remove(last)
	}
}
