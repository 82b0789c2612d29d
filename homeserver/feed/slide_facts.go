package feed

import (
	"context"
	"maps"
	"sync"

	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// facts is the state of a room but its members, at one root. It never changes.
type facts struct {
	root int64
	keys map[room.Key]int64 // numbers of events
	kind *string            // the room's type, nil if it has none
}

func (f *facts) encrypted() bool { return f.keys[room.Key{Type: "m.room.encryption"}] != 0 }

// factCache keeps the newest facts of rooms, so that lists are filtered and
// state is picked without a walk through the state. The zero value is empty.
type factCache struct {
	mu    sync.Mutex
	rooms map[int64]*facts
	size  int // keys of all of them
}

const maxFactKeys = 500_000

// of returns the facts of a room at a root, from those at another root if there
// are some: what two roots do not share costs, not what they have.
func (c *factCache) of(ctx context.Context, e *room.Engine, r *room.Room, root int64) (*facts, error) {
	c.mu.Lock()
	old := c.rooms[r.NID]
	c.mu.Unlock()
	if old != nil && old.root == root {
		return old, nil
	}
	if old == nil {
		old = &facts{keys: map[room.Key]int64{}}
	}
	now, err := old.moved(ctx, e, r, root)
	if err != nil {
		return nil, err
	}
	if root == r.Current().State {
		c.put(r.NID, now)
	}
	return now, nil
}

func (c *factCache) put(nid int64, f *facts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size > maxFactKeys || c.rooms == nil {
		c.rooms, c.size = map[int64]*facts{}, 0
	}
	if old := c.rooms[nid]; old != nil {
		c.size -= len(old.keys) + 1
	}
	c.rooms[nid] = f
	c.size += len(f.keys) + 1
}

// moved is f at another root.
func (f *facts) moved(ctx context.Context, e *room.Engine, r *room.Room, root int64) (*facts, error) {
	diff, err := e.StateDiff(ctx, f.root, root)
	if err != nil {
		return nil, err
	}
	names, err := keyNames(ctx, e, diff)
	if err != nil {
		return nil, err
	}
	now := &facts{root: root, keys: f.keys, kind: f.kind}
	cloned := false
	for sk, nid := range diff {
		key := names[sk]
		if key.Type == member {
			continue
		}
		if !cloned {
			now.keys, cloned = maps.Clone(f.keys), true
		}
		if nid == 0 {
			delete(now.keys, key)
		} else {
			now.keys[key] = nid
		}
	}
	create := room.Key{Type: "m.room.create"}
	if now.keys[create] != f.keys[create] {
		now.kind, err = kindOf(ctx, e, r, now.keys[create])
	}
	return now, err
}

func keyNames(ctx context.Context, e *room.Engine, diff map[int64]int64) (map[int64]room.Key, error) {
	sks := make([]int64, 0, len(diff))
	for sk := range diff {
		sks = append(sks, sk)
	}
	return e.KeyNames(ctx, sks)
}

func kindOf(ctx context.Context, e *room.Engine, r *room.Room, create int64) (*string, error) {
	events, err := e.Events(ctx, r.Version, []int64{create})
	if err != nil || len(events) == 0 {
		return nil, err
	}
	if s, ok := events[0].GetString("type"); ok {
		return &s, nil
	}
	return nil, nil
}

// sketch is so much of the facts as filters ask of a room that the user is not
// in: its state then may be far from that now.
func sketch(ctx context.Context, e *room.Engine, r *room.Room, root int64) (*facts, error) {
	f := &facts{root: root, keys: map[room.Key]int64{}}
	for _, typ := range []string{"m.room.create", "m.room.encryption", "m.room.name"} {
		ev, err := e.StateEvent(ctx, r, root, typ, "")
		if err != nil {
			return nil, err
		}
		if ev != nil {
			f.keys[room.Key{Type: typ}] = ev.NID
		}
	}
	var err error
	f.kind, err = kindOf(ctx, e, r, f.keys[room.Key{Type: "m.room.create"}])
	return f, err
}

// stateString is a text in the content of a state event, "" if there is none.
func (f *Feed) stateString(ctx context.Context, r *room.Room, facts *facts, typ, field string) (string, error) {
	nid := facts.keys[room.Key{Type: typ}]
	if nid == 0 {
		return "", nil
	}
	events, err := f.Rooms.Events(ctx, r.Version, []int64{nid})
	if err != nil || len(events) == 0 {
		return "", err
	}
	s, _ := events[0].GetString(field)
	return s, nil
}

// addChildren adds the ids of a space's rooms (client-server-api/#mspacechild).
func (f *Feed) addChildren(ctx context.Context, r *room.Room, facts *facts, to map[string]bool) error {
	var nids []int64
	for key, nid := range facts.keys {
		if key.Type == "m.space.child" {
			nids = append(nids, nid)
		}
	}
	events, err := f.Rooms.Events(ctx, r.Version, nids)
	for _, ev := range events {
		if via, ok := ev.Get("via"); ok && canonjson.IsArray(via) { // without it, it is a child no more
			to[*ev.StateKey] = true
		}
	}
	return err
}
