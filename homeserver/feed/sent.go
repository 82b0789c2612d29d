package feed

import (
	"sync"
	"sync/atomic"
)

// sentMembers remembers which member events a device with lazy loading has got,
// so that each response need not repeat them.
type sentMembers struct {
	answered atomic.Int64 // when the device was last told something, in ns

	mu    sync.Mutex
	rooms map[int64]map[string]int64 // room, user → number of the event
	n     int
}

// maxSent bounds the memory per device; beyond it members are sent again.
const maxSent = 5000

// maxDevices bounds the devices of a user that are remembered.
const maxDevices = 50

// sentTo returns the memory for a device, empty for an initial sync.
func (u *user) sentTo(device string, fresh bool) *sentMembers {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.sent[device]
	if s == nil || fresh {
		if len(u.sent) >= maxDevices {
			clear(u.sent)
		}
		s = &sentMembers{rooms: map[int64]map[string]int64{}}
		u.sent[device] = s
	}
	return s
}

// first reports whether the device has not got this member event yet, and
// remembers it.
func (s *sentMembers) first(room int64, user string, event int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[room][user] == event {
		return false
	}
	if s.n >= maxSent {
		clear(s.rooms)
		s.n = 0
	}
	if s.rooms[room] == nil {
		s.rooms[room] = map[string]int64{}
	}
	s.rooms[room][user] = event
	s.n++
	return true
}

func (s *sentMembers) forget(room int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n -= len(s.rooms[room])
	delete(s.rooms, room)
}
