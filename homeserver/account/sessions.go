package account

import (
	"slices"
	"sync"
	"sync/atomic"

	"hearth/matrix/mxid"
)

// sessions remembers the sessions of tokens in use, because every request asks.
// When it is full, those go first that were not asked for since the hand last
// came by (the CLOCK algorithm: a hit changes one bit and moves nothing).
type sessions struct {
	mu    sync.Mutex
	slots []slot
	at    map[tokenHash]int     // slot of a token
	of    map[mxid.UserID][]int // slots of a user
	hand  int
	// age counts drops. A session that was read from the database before a drop
	// may be the one that was dropped, and must not be kept.
	age atomic.Uint64 // changes while mu is held
}

type slot struct {
	key     tokenHash
	session *Session // nil for a free slot
	used    bool
}

// maxSessions costs some megabytes when it is reached.
const maxSessions = 20_000

func newSessions() *sessions {
	return &sessions{at: map[tokenHash]int{}, of: map[mxid.UserID][]int{}}
}

// get returns a session or nil, and the age to hand to add.
func (c *sessions) get(key tokenHash) (*Session, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.at[key]
	if !ok {
		return nil, c.age.Load()
	}
	c.slots[i].used = true
	return c.slots[i].session, c.age.Load()
}

func (c *sessions) add(key tokenHash, s *Session, age uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.at[key]; there || age != c.age.Load() {
		return
	}
	i := c.room()
	c.slots[i] = slot{key: key, session: s}
	c.at[key] = i
	c.of[s.User] = append(c.of[s.User], i)
}

// room finds a slot to write to.
func (c *sessions) room() int {
	if len(c.slots) < maxSessions {
		c.slots = append(c.slots, slot{})
		return len(c.slots) - 1
	}
	for c.slots[c.hand].used {
		c.slots[c.hand].used = false
		c.hand = (c.hand + 1) % len(c.slots)
	}
	i := c.hand
	c.hand = (c.hand + 1) % len(c.slots)
	c.free(i)
	return i
}

func (c *sessions) free(i int) {
	s := c.slots[i].session
	if s == nil {
		return
	}
	delete(c.at, c.slots[i].key)
	c.slots[i] = slot{}
	rest := slices.DeleteFunc(c.of[s.User], func(j int) bool { return i == j })
	if len(rest) == 0 {
		delete(c.of, s.User)
	} else {
		c.of[s.User] = rest
	}
}

// drop forgets the sessions of a device, or all of a user if device is "".
func (c *sessions) drop(user mxid.UserID, device string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age.Add(1)
	for _, i := range slices.Clone(c.of[user]) {
		if device == "" || c.slots[i].session.Device == device {
			c.free(i)
		}
	}
}
