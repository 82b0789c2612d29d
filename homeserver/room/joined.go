package room

import (
	"sync"

	"hearth/base/store"
)

// maxJoined bounds the joined members that are kept in memory, of about 200
// bytes each.
const maxJoined = 20_000

// joined remembers who was found to be joined to a room, which nearly every
// request asks. An entry holds for one state of the room, so that nothing has to
// be taken out when somebody leaves. The zero value is empty.
//
// Only joined members are kept: of others the store also knows whether they
// have forgotten the room, and that changes without a new state.
type joined struct {
	mu  sync.Mutex
	all map[memberKey]joinedAt
}

type memberKey struct {
	room int64
	user string
}

type joinedAt struct {
	state int64 // root of the room's state
	store.Member
}

// get returns the member if that is known for a state.
func (j *joined) get(room, state int64, user string) (store.Member, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	at, ok := j.all[memberKey{room, user}]
	return at.Member, ok && at.state == state
}

// put remembers a member that was read when the room had a state, or later: a
// state that came meanwhile does not find it.
func (j *joined) put(state int64, m store.Member) {
	if m.Membership != store.Join {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.all == nil || len(j.all) >= maxJoined {
		j.all = map[memberKey]joinedAt{}
	}
	j.all[memberKey{m.Room, m.User}] = joinedAt{state, m}
}
