package feed

import (
	"fmt"
	"testing"
	"time"

	"hearth/base/notify"
	"hearth/homeserver/room"
)

// What a device was told of members is bounded: beyond it members are told again.
func TestSentMembersAreBounded(t *testing.T) {
	u := &user{sent: map[string]*sentMembers{}}
	s := u.sentTo("PHONE", true)
	for i := range int64(maxSent) {
		if !s.first(i%10, fmt.Sprint(i), i+1) {
			t.Fatalf("member %d was told before", i)
		}
	}
	if s.first(0, "0", 1) || !s.first(0, "one more", 1) || !s.first(0, "0", 1) || s.n != 2 {
		t.Errorf("%d members are in memory", s.n)
	}
	s.forget(0)
	if s.n != 0 {
		t.Errorf("%d members are left of a room that was forgotten", s.n)
	}
	for i := range maxDevices {
		u.sentTo(fmt.Sprint(i), false)
	}
	if again := u.sentTo("PHONE", false); len(u.sent) > maxDevices || !again.first(1, "1", 1) {
		t.Errorf("%d devices are in memory", len(u.sent))
	}
}

// Whoever has asked nothing for longest makes room for others, but nobody who waits.
func TestUsersAreBounded(t *testing.T) {
	f := &Feed{Config: Config{Hub: notify.NewHub(0)}, users: map[string]*user{}}
	start := time.Now().Add(-time.Hour)
	for i := range maxUsers {
		id := fmt.Sprint(i)
		f.users[id] = &user{id: id, listener: f.Hub.Listen(id), used: start.Add(time.Duration(i) * time.Millisecond * 100)}
	}
	f.users["0"].listener.Wait()
	f.evictLocked()
	if f.users["0"] == nil || f.users["1"] != nil || f.users[fmt.Sprint(maxUsers-1)] == nil || len(f.users) < maxUsers/2 {
		t.Errorf("%d users are left; who waits: %t, who was here first: %t, last: %t", len(f.users), f.users["0"] != nil, f.users["1"] != nil, f.users[fmt.Sprint(maxUsers-1)] != nil)
	}
}

// Who waits keeps nobody in memory who does not, however long ago it began; and
// when all wait, they stay.
func TestThoseWhoWaitKeepNobody(t *testing.T) {
	f := &Feed{Config: Config{Hub: notify.NewHub(0)}, users: map[string]*user{}}
	now := time.Now()
	add := func(id string, used time.Time) *user {
		u := &user{id: id, listener: f.Hub.Listen(id), used: used}
		f.users[id] = u
		return u
	}
	_, hangUp := add("parked", now.Add(-2*time.Minute)).listener.Wait()
	for i := range 100 {
		add(fmt.Sprint(i), now.Add(-time.Second))
	}
	f.evictLocked()
	if len(f.users) != 1 {
		t.Errorf("%d users are left", len(f.users))
	}
	f.evictLocked()
	if f.users["parked"] == nil || !f.crowded.After(now) {
		t.Errorf("of those who wait %d are left; looked for again after %v", len(f.users), f.crowded.Sub(now))
	}
	hangUp()
	f.crowded = now
	f.evictLocked()
	if len(f.users) != 0 {
		t.Errorf("%d users are left after they hung up", len(f.users))
	}
}

// A device has so many connections, and one more ends that which was used longest
// ago; so do all devices together, and what they know.
func TestConnectionsAreBounded(t *testing.T) {
	s := &slideConns{}
	phone := deviceKey{"@alice:test", "PHONE"}
	open := func(key deviceKey, id string) *slideConn {
		t.Helper()
		c, _, err := s.enter(t.Context(), key, id, "")
		if err != nil {
			t.Fatal(err)
		}
		c.leave()
		return c
	}
	for i := range maxDeviceConns + 1 {
		open(phone, fmt.Sprint(i))
	}
	if n := len(s.devices[phone]); n != maxDeviceConns || s.devices[phone]["0"] != nil || s.order.Len() != maxDeviceConns {
		t.Errorf("%d connections of one device, the first of them: %t", n, s.devices[phone]["0"] != nil)
	}
	for i := s.order.Len(); i < maxConns; i++ {
		open(deviceKey{"@bob:test", fmt.Sprint(i)}, "")
	}
	last := open(deviceKey{"@carol:test", "PHONE"}, "")
	if s.order.Len() != maxConns || s.devices[phone]["1"] != nil || s.devices[last.key][""] != last {
		t.Errorf("%d connections", s.order.Len())
	}

	know := func(c *slideConn, members int) {
		c.nmember = members
		s.settle(c, c.step(Token{}))
	}
	know(last, maxKnown-64)
	if s.devices[last.key][""] != last || s.known != maxKnown {
		t.Errorf("%d are known", s.known)
	}
	know(last, maxKnown-63)
	if s.devices[last.key][""] == last || s.known != 0 || s.order.Len() != maxConns-1 {
		t.Errorf("%d are known by connections that are left", s.known)
	}
	know(last, 10) // a request that was under way
	if s.known != 0 {
		t.Errorf("%d are known by one that was dropped", s.known)
	}
	var crowd []*slideConn
	for i := range maxKnownAll/maxKnown + 1 {
		c := open(deviceKey{"@dave:test", fmt.Sprint(i)}, "")
		know(c, maxKnown-64)
		crowd = append(crowd, c)
	}
	if s.known > maxKnownAll || s.devices[crowd[0].key][""] != nil || s.devices[crowd[len(crowd)-1].key][""] == nil {
		t.Errorf("%d are known in all", s.known)
	}
}

// A connection remembers so many of the members that it sent lazily, and the configs
// of so many kinds of rooms.
func TestOneConnectionIsBounded(t *testing.T) {
	c := &slideConn{rooms: map[int64]knownRoom{}, members: map[int64]map[string]int64{}}
	for i := range int64(3) {
		step := c.step(Token{})
		sent := map[string]int64{}
		for j := range int64(maxSent / 2) {
			sent[fmt.Sprint(j)] = j
		}
		step.members[i] = &memberStep{sent: sent}
		c.pending = step
		c.confirm()
	}
	if c.nmember != maxSent/2 || len(c.members) != 1 || len(c.members[2]) != maxSent/2 {
		t.Errorf("%d members of %d rooms are in memory", c.nmember, len(c.members))
	}
	first := c.config(&roomConfig{id: "first"})
	for i := range maxConfigs - 1 {
		c.config(&roomConfig{id: fmt.Sprint(i)})
	}
	if c.config(&roomConfig{id: "first"}) != first {
		t.Error("an equal config is not shared")
	}
	if c.config(&roomConfig{id: "one more"}); len(c.configs) > maxConfigs {
		t.Errorf("%d configs", len(c.configs))
	}
}

// What rules want together does not grow with every answer.
func TestConfigsAreBounded(t *testing.T) {
	all := &roomConfig{}
	for i := range 5 * maxParts {
		part := combine([]*stateConfig{{id: fmt.Sprint(i)}})
		if all = all.and(part); !all.covers(part) || len(all.parts) > maxParts {
			t.Fatalf("%d parts, the newest among them: %t", len(all.parts), all.covers(part))
		}
	}
}

// What is kept of rooms is bounded; what was forgotten is looked up again.
func TestRoomsAreBounded(t *testing.T) {
	var bumps bumpCache
	for i := range int64(maxBumps + 1) {
		bumps.raise(i, i)
	}
	if n := len(bumps.rooms); n > maxBumps || bumps.rooms[maxBumps] != maxBumps {
		t.Errorf("the places of %d rooms", n)
	}
	var cache factCache
	keys := map[room.Key]int64{}
	for i := range 1000 {
		keys[room.Key{Type: fmt.Sprint(i)}] = 1
	}
	for i := range int64(maxFactKeys / 1000 * 2) {
		cache.put(i, &facts{keys: keys})
		cache.put(i, &facts{keys: keys}) // a room that moves is not counted twice
		if cache.rooms[i] == nil || cache.size > maxFactKeys+1001 || cache.size != 1001*len(cache.rooms) {
			t.Fatalf("%d keys of %d rooms", cache.size, len(cache.rooms))
		}
	}
}
