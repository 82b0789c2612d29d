package feed

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"

	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// DeviceLists are the people whose devices a client should ask about, or forget
// (client-server-api/#extensions-to-sync-1).
type DeviceLists struct {
	Changed []string `json:"changed"`
	Left    []string `json:"left"`
}

// DeviceLists returns what happened after a position: whose keys changed, whom
// the user shares a room with and did not before, and with whom none any more.
func (f *Feed) DeviceLists(ctx context.Context, user string, after int64) (d DeviceLists, err error) {
	u, err := f.user(ctx, user)
	if err != nil {
		return d, err
	}
	met, parted, err := f.meetings(ctx, u, after)
	if err != nil {
		return d, err
	}
	return f.deviceLists(ctx, u, after, met, parted)
}

func (f *Feed) deviceLists(ctx context.Context, u *user, after int64, met, parted map[string]bool) (d DeviceLists, err error) {
	changed := maps.Clone(met)
	if changed == nil {
		changed = map[string]bool{}
	}
	users, err := f.Keys.Changed(ctx, u.id, after)
	if err != nil {
		return d, err
	}
	if slices.Contains(users, u.id) {
		changed[u.id] = true
	}
	users = slices.DeleteFunc(users, func(other string) bool { return changed[other] })
	near, err := f.Rooms.Sharing(ctx, u.id, users)
	for _, other := range near {
		changed[other] = true
	}
	if err != nil {
		return d, err
	}
	return DeviceLists{Changed: sorted(changed), Left: sorted(parted)}, nil
}

// sorted lists a set, [] if it is empty.
func sorted(set map[string]bool) []string {
	return slices.AppendSeq(make([]string, 0, len(set)), slices.Values(slices.Sorted(maps.Keys(set))))
}

func (d *DeviceLists) empty() bool { return len(d.Changed)+len(d.Left) == 0 }

func (d *DeviceLists) append(b []byte) []byte {
	b = appendStrings(append(b, `{"changed":`...), d.Changed)
	b = appendStrings(append(b, `,"left":`...), d.Left)
	return append(b, '}')
}

// maxCrowd bounds the people of one room that are met or left at once. Clients
// ask for the members of a larger room when they have something to say there.
const maxCrowd = 5000

// meetings finds the users who share a room with u and did not before a position,
// and those who did and do not now.
func (f *Feed) meetings(ctx context.Context, u *user, after int64) (met, parted map[string]bool, err error) {
	if f.comings.newest() <= after {
		return nil, nil, nil
	}
	rooms := u.roomsWhere(func(r *userRoom) bool {
		if r.Membership == store.Join {
			return r.head.LastPos() > after && f.comings.in(r.Room) > after
		}
		return r.Event > after && (r.Membership == store.Leave || r.Membership == store.Ban)
	})
	met, parted = map[string]bool{}, map[string]bool{}
	for _, ur := range rooms {
		if err := f.meetingsIn(ctx, u, ur, after, met, parted); err != nil {
			return nil, nil, err
		}
	}
	delete(met, u.id)
	delete(parted, u.id)
	still, err := f.Rooms.Sharing(ctx, u.id, slices.Collect(maps.Keys(parted)))
	for _, other := range still {
		delete(parted, other)
	}
	return met, parted, err
}

func (f *Feed) meetingsIn(ctx context.Context, u *user, ur *userRoom, after int64, met, parted map[string]bool) error {
	r, err := f.Rooms.RoomByNID(ctx, ur.Room)
	if err != nil {
		return err
	}
	was := int64(0) // root of the state then
	wasIn := false
	last, err := f.Rooms.LastBefore(ctx, r, after)
	if err != nil {
		return err
	}
	if last != nil {
		was = last.RoomAfter
		if wasIn, err = f.joinedAt(ctx, r, was, u.id); err != nil {
			return err
		}
	}
	isIn := ur.Membership == store.Join
	switch {
	case wasIn && isIn:
		return f.comeAndGone(ctx, r, was, met, parted)
	case wasIn:
		if err := f.comeAndGone(ctx, r, was, map[string]bool{}, parted); err != nil {
			return err
		}
		return f.crowd(ctx, r, parted)
	case isIn:
		return f.crowd(ctx, r, met)
	}
	return nil
}

// crowd adds who is in a room.
func (f *Feed) crowd(ctx context.Context, r *room.Room, set map[string]bool) error {
	members, err := f.Rooms.Members(ctx, r, store.Join)
	for _, m := range members[:min(len(members), maxCrowd)] {
		set[m.User] = true
	}
	return err
}

func (f *Feed) joinedAt(ctx context.Context, r *room.Room, root int64, user string) (bool, error) {
	ev, err := f.Rooms.StateEvent(ctx, r, root, member, user)
	return ev != nil && ev.Membership() == "join", err
}

// comeAndGone finds who joined and left a room since it had the state was.
func (f *Feed) comeAndGone(ctx context.Context, r *room.Room, was int64, met, parted map[string]bool) error {
	now := r.Current().State
	diff, err := f.Rooms.StateDiff(ctx, was, now)
	if err != nil {
		return err
	}
	names, err := keyNames(ctx, f.Rooms, diff)
	if err != nil {
		return err
	}
	n := 0
	for _, key := range names {
		if key.Type != member {
			continue
		}
		if n++; n > maxCrowd {
			break
		}
		before, err := f.joinedAt(ctx, r, was, key.StateKey)
		if err != nil {
			return err
		}
		after, err := f.joinedAt(ctx, r, now, key.StateKey)
		if err != nil {
			return err
		}
		if after && !before {
			met[key.StateKey] = true
		}
		if before && !after {
			parted[key.StateKey] = true
		}
	}
	return nil
}

// comings remembers when somebody last came to or left a room, so that a /sync
// need not look at rooms where nobody did.
type comings struct {
	mu    sync.RWMutex
	last  map[int64]int64 // by room
	floor int64           // rooms without an entry may have changed up to here
	any   int64           // the newest
}

// maxComings bounds the rooms with an entry.
const maxComings = 20_000

func newComings(pos int64) *comings {
	return &comings{last: map[int64]int64{}, floor: pos, any: pos}
}

// note runs in the store's writer.
func (c *comings) note(room, pos int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.last) >= maxComings {
		clear(c.last)
		c.floor = pos - 1
	}
	c.last[room], c.any = pos, pos
}

func (c *comings) in(room int64) int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if pos, ok := c.last[room]; ok {
		return pos
	}
	return c.floor
}

func (c *comings) newest() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.any
}

// toDevice reads the messages for the client's device. It moves the token of the
// answer to the last of them.
func (b *syncBuild) toDevice() error {
	if b.f.Keys == nil {
		return nil
	}
	after := int64(0)
	if b.since != nil {
		after = b.since.Inbox
	}
	var err error
	b.mail, b.now.Inbox, err = b.f.Keys.Fetch(b.ctx, b.u.id, b.req.Device, after, b.now.Pos, 0)
	return err
}

// devices writes messages to the client's device, whose devices changed, and how
// many of its keys are left.
func (b *syncBuild) devices() error {
	if len(b.mail) > 0 {
		b.some = true
		b.out = append(b.out, `,"to_device":{"events":`...)
		b.out = append(appendRaw(b.out, b.mail), '}')
	}
	if b.f.Keys == nil {
		return nil
	}
	if b.since != nil {
		lists, err := b.f.deviceLists(b.ctx, b.u, b.since.Pos, b.met, b.parted)
		if err != nil {
			return err
		}
		if !lists.empty() {
			b.some = true
			b.out = lists.append(append(b.out, `,"device_lists":`...))
		}
	}
	b.out = append(b.out, ',')
	var err error
	b.out, err = b.f.appendCounts(b.ctx, b.out, b.u.id, b.req.Device)
	return err
}

// appendCounts writes how many keys of a device are left, as two members. Clients
// take absent ones for "none", and make new keys for ever.
func (f *Feed) appendCounts(ctx context.Context, b []byte, user, device string) ([]byte, error) {
	counts, err := f.Keys.Counts(ctx, user, device)
	if err != nil {
		return b, err
	}
	b = append(b, `"device_one_time_keys_count":{`...)
	for i, algorithm := range slices.Sorted(maps.Keys(counts.OneTime)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = canonjson.Quote(b, algorithm)
		b = strconv.AppendInt(append(b, ':'), counts.OneTime[algorithm], 10)
	}
	b = append(b, '}')
	for _, name := range []string{"device_unused_fallback_key_types", "org.matrix.msc2732.device_unused_fallback_key_types"} {
		b = append(b, `,"`...)
		b = append(b, name...)
		b = appendStrings(append(b, `":`...), counts.Unused)
	}
	return b, nil
}

// appendRaw writes a list of JSON values.
func appendRaw(b []byte, list [][]byte) []byte {
	b = append(b, '[')
	for i, raw := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, raw...)
	}
	return append(b, ']')
}
