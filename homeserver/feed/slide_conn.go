package feed

import (
	"container/list"
	"context"
	"crypto/rand"
	"math"
	"strconv"
	"sync"

	"hearth/base/store"
)

// Bounds of the connections that are kept in memory. A connection that is gone
// costs its client a new start.
const (
	maxConns       = 20_000
	maxDeviceConns = 16
	maxKnown       = 100_000   // rooms and members that one connection knows
	maxKnownAll    = 4_000_000 // and all together
)

// deviceKey names a device; each has its own connections, by conn_id.
type deviceKey struct{ user, device string }

// slideConns are all connections. The zero value has none.
type slideConns struct {
	mu      sync.Mutex
	devices map[deviceKey]map[string]*slideConn
	order   list.List // of *slideConn, what was used longest ago last
	uses    int64
	known   int // sum of slideConn.size
}

// slideConn is what the server knows of one connection: what the client has for
// certain, and what the newest response, of which it is not known whether it
// came through, told besides.
type slideConn struct {
	key  deviceKey
	id   string
	turn chan struct{} // held by the request that is served

	place *list.Element // under slideConns.mu
	used  int64         // under slideConns.mu; which use of a connection was the last of this one
	size  int           // under slideConns.mu
	hurry chan struct{} // under slideConns.mu; closed to end the request that is served

	// What follows belongs to the holder of the turn.
	name    string // start of all its positions
	steps   int64
	base    slideStep // the newest response that the client has
	pending *slideStep
	rooms   map[int64]knownRoom
	members map[int64]map[string]int64 // room, user → number of the member event that was sent lazily
	nmember int
	configs map[string]*roomConfig // those that rooms were told for, to share them
}

// slideStep is one response: what it told.
type slideStep struct {
	pos      string
	at       Token
	counts   map[string]int     // of lists
	eligible map[int64]struct{} // rooms that a rule matched
	rooms    map[int64]knownRoom
	members  map[int64]*memberStep
	ext      [numExtensions]string // what each extension was asked for
	sticky   int64                 // position up to which sticky events were told
	stuck    map[int64]bool        // rooms of which they were
}

// memberStep is which members of a room a response sent lazily.
type memberStep struct {
	anew bool // those sent before no longer count
	sent map[string]int64
}

// knownRoom is what a client knows of a room.
type knownRoom struct {
	id         string
	membership store.Membership
	event      int64 // number of the user's member event
	upto       int64 // place in the timeline up to which it was told
	from       int64 // place after which the client has all events up to upto
	root       int64 // of the state that it was told
	seen       Token // once no rule matches: up to where it was told the rest
	config     *roomConfig
	limit      int
	joined     int64
	invited    int64
	notify     int
	highlight  int
	bump       int64
	dm         bool
}

// fromStart is the place before all events of a room.
const fromStart = math.MinInt64 + 1

// enter finds the connection that a request continues at pos, or makes a new
// one for "", and takes its turn. It ends the request that has it now. hurry is
// closed when another request comes.
func (s *slideConns) enter(ctx context.Context, key deviceKey, id, pos string) (c *slideConn, hurry <-chan struct{}, err error) {
	if c, hurry = s.find(key, id, pos == ""); c == nil {
		return nil, nil, errUnknownPos()
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if !c.resume(pos) {
		c.leave()
		return nil, nil, errUnknownPos()
	}
	return c, hurry, nil
}

func (s *slideConns) find(key deviceKey, id string, add bool) (*slideConn, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.devices[key][id]
	if c == nil {
		if !add {
			return nil, nil
		}
		c = s.addLocked(key, id)
	}
	s.order.MoveToFront(c.place)
	s.uses++
	c.used = s.uses
	close(c.hurry)
	c.hurry = make(chan struct{})
	return c, c.hurry
}

func (c *slideConn) leave() { <-c.turn }

// resume goes to the state in which the client is.
func (c *slideConn) resume(pos string) bool {
	switch {
	case pos == "":
		c.name = rand.Text()[:10] // so that positions of an earlier connection are not taken for this one's
		c.steps, c.base, c.pending = 0, slideStep{}, nil
		c.rooms, c.members, c.nmember = map[int64]knownRoom{}, map[int64]map[string]int64{}, 0
		return true
	case c.pending != nil && pos == c.pending.pos:
		c.confirm()
		return true
	case pos == c.base.pos:
		c.pending = nil
		return true
	}
	return false
}

// confirm adds what the pending response told to what the client has.
func (c *slideConn) confirm() {
	for nid, k := range c.pending.rooms {
		c.rooms[nid] = k
	}
	for nid, m := range c.pending.members {
		if m.anew {
			c.nmember -= len(c.members[nid])
			delete(c.members, nid)
		}
		if c.nmember+len(m.sent) > maxSent {
			clear(c.members)
			c.nmember = 0
		}
		if c.members[nid] == nil {
			c.members[nid] = map[string]int64{}
		}
		c.nmember -= len(c.members[nid])
		for user, event := range m.sent {
			c.members[nid][user] = event
		}
		c.nmember += len(c.members[nid])
	}
	c.base, c.pending = *c.pending, nil
	c.base.rooms, c.base.members = nil, nil
}

// maxConfigs bounds the configs that rooms share.
const maxConfigs = 64

// config returns an equal config that other rooms have.
func (c *slideConn) config(r *roomConfig) *roomConfig {
	if have := c.configs[r.id]; have != nil {
		return have
	}
	if c.configs == nil || len(c.configs) >= maxConfigs {
		c.configs = map[string]*roomConfig{}
	}
	c.configs[r.id] = r
	return r
}

// step begins a response.
func (c *slideConn) step(at Token) *slideStep {
	return &slideStep{
		pos:    c.name + "." + strconv.FormatInt(c.steps+1, 10) + "/" + at.String(),
		at:     at,
		counts: map[string]int{}, eligible: make(map[int64]struct{}, len(c.base.eligible)),
		rooms: map[int64]knownRoom{}, members: map[int64]*memberStep{},
	}
}

// settle makes a response the one that the client may have got.
func (s *slideConns) settle(c *slideConn, step *slideStep) {
	c.steps++
	c.pending = step
	size := len(c.rooms) + len(step.rooms) + len(step.stuck) + c.nmember + 64
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.devices[c.key][c.id] != c {
		return // dropped meanwhile
	}
	s.known += size - c.size
	c.size = size
	if size > maxKnown {
		s.dropLocked(c)
	}
	for s.known > maxKnownAll && s.order.Len() > 1 {
		s.dropLocked(s.order.Back().Value.(*slideConn))
	}
}

// addLocked adds a connection, in the place of the one that was used longest
// ago if there are too many.
func (s *slideConns) addLocked(key deviceKey, id string) *slideConn {
	if len(s.devices[key]) >= maxDeviceConns {
		s.dropLocked(oldestOf(s.devices[key]))
	}
	if s.order.Len() >= maxConns {
		s.dropLocked(s.order.Back().Value.(*slideConn))
	}
	if s.devices == nil {
		s.devices = map[deviceKey]map[string]*slideConn{}
	}
	if s.devices[key] == nil {
		s.devices[key] = map[string]*slideConn{}
	}
	c := &slideConn{key: key, id: id, turn: make(chan struct{}, 1), hurry: make(chan struct{})}
	s.devices[key][id] = c
	c.place = s.order.PushFront(c)
	return c
}

// oldestOf is the connection of a device that was used longest ago.
func oldestOf(own map[string]*slideConn) (oldest *slideConn) {
	for _, c := range own {
		if oldest == nil || c.used < oldest.used {
			oldest = c
		}
	}
	return oldest
}

func (s *slideConns) dropLocked(c *slideConn) {
	delete(s.devices[c.key], c.id)
	if len(s.devices[c.key]) == 0 {
		delete(s.devices, c.key)
	}
	s.order.Remove(c.place)
	s.known -= c.size
}
