package stateres

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"maps"
	"math"
	"slices"

	"hearth/matrix/authrules"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// reference is state resolution once more, from the specification's text, on
// full states and with no thought for speed. The package is compared with it.
func (rm *room) reference(states ...state) state {
	if rm.v.StateRes == roomver.StateRes1 {
		return rm.reference1(states, func(*pdu.Event, NID) bool { return false })
	}
	return rm.reference2(states)
}

type events map[NID]bool

// chain is the auth chain of nid, with nid itself.
func (rm *room) chain(nid NID, into events) {
	if into[nid] || nid > NID(len(rm.events)) {
		return
	}
	into[nid] = true
	for _, a := range rm.get(nid).Auth {
		rm.chain(a, into)
	}
}

func unconflicted(states []state) state {
	out := state{}
	for k, nid := range states[0] {
		if agreeOn(k, states) {
			out[k] = nid
		}
	}
	return out
}

func (rm *room) fullConflicted(states []state, agreed state) events {
	set := events{}
	for _, s := range states {
		for k, nid := range s {
			if agreed[k] == 0 {
				set[nid] = true
			}
		}
	}
	conflicted := maps.Clone(set)
	var chains []events
	union := events{}
	for _, s := range states {
		c := events{}
		for _, nid := range s {
			rm.chain(nid, c)
		}
		chains = append(chains, c)
		maps.Copy(union, c)
	}
	for nid := range union {
		for _, c := range chains {
			if !c[nid] {
				set[nid] = true
			}
		}
	}
	if rm.v.StateRes == roomver.StateRes21 {
		for nid := range union {
			above, below := false, false
			own := events{}
			rm.chain(nid, own)
			for c := range conflicted {
				above = above || own[c]
				citing := events{}
				rm.chain(c, citing)
				below = below || citing[nid]
			}
			if above && below {
				set[nid] = true
			}
		}
	}
	return set
}

func (rm *room) reference2(states []state) state {
	agreed := unconflicted(states)
	full := rm.fullConflicted(states, agreed)
	if len(full) == 0 {
		return agreed
	}
	// 1.
	x := events{}
	var enlarge func(nid NID)
	enlarge = func(nid NID) {
		x[nid] = true
		for _, a := range rm.get(nid).Auth {
			if full[a] && !x[a] {
				enlarge(a)
			}
		}
	}
	for nid := range full {
		if isPower(rm.get(nid).PDU) {
			enlarge(nid)
		}
	}
	// 2.
	now := state{}
	if rm.v.StateRes == roomver.StateRes2 {
		now = maps.Clone(agreed)
	}
	rm.iterate(now, rm.kahn(x))
	// 3.
	var rest []NID
	for nid := range full {
		if !x[nid] {
			rest = append(rest, nid)
		}
	}
	line := map[NID]int{}
	for p, i := now[powerLevelsKey], 0; p != 0; p, i = rm.levelsOf(p), i+1 {
		line[p] = i
	}
	position := func(nid NID) int {
		for e := rm.levelsOf(nid); e != 0; e = rm.levelsOf(e) {
			if i, ok := line[e]; ok {
				return i
			}
		}
		return math.MaxInt
	}
	slices.SortFunc(rest, func(a, b NID) int {
		if pa, pb := position(a), position(b); pa != pb {
			if pa > pb {
				return -1
			}
			return 1
		}
		return rm.byAge(a, b)
	})
	// 4 and 5.
	rm.iterate(now, rest)
	maps.Copy(now, agreed)
	return now
}

func (rm *room) byAge(a, b NID) int {
	x, y := rm.get(a).PDU, rm.get(b).PDU
	return cmp.Or(cmp.Compare(x.OriginServerTS, y.OriginServerTS), cmp.Compare(x.ID, y.ID))
}

func (rm *room) authKey(nid NID, k Key) NID {
	for _, a := range rm.get(nid).Auth {
		if rm.get(a).PDU.Is(k.Type, k.StateKey) {
			return a
		}
	}
	return 0
}

func (rm *room) levelsOf(nid NID) NID { return rm.authKey(nid, powerLevelsKey) }

func (rm *room) senderLevel(nid NID) int64 {
	var pl *pdu.Event
	if p := rm.levelsOf(nid); p != 0 {
		pl = rm.get(p).PDU
	}
	var create *pdu.Event
	if c := rm.authKey(nid, createKey); c != 0 {
		create = rm.get(c).PDU
	} else if rm.v.RoomIDIsCreate {
		create = rm.get(1).PDU
	}
	lv := authrules.ParsePowerLevels(rm.v, pl, create)
	return lv.User(rm.get(nid).PDU.Sender)
}

// kahn takes, again and again, the smallest of the events whose auth events
// have all been taken.
func (rm *room) kahn(x events) []NID {
	var out []NID
	left := maps.Clone(x)
	for len(left) > 0 {
		var best NID
		for nid := range left {
			if slices.ContainsFunc(rm.get(nid).Auth, func(a NID) bool { return left[a] }) {
				continue
			}
			if best == 0 || rm.powerLess(nid, best) {
				best = nid
			}
		}
		out = append(out, best)
		delete(left, best)
	}
	return out
}

func (rm *room) powerLess(a, b NID) bool {
	if x, y := rm.senderLevel(a), rm.senderLevel(b); x != y {
		return x > y
	}
	return rm.byAge(a, b) < 0
}

func (rm *room) iterate(now state, list []NID) {
	for _, nid := range list {
		ev := rm.get(nid)
		err := authrules.Check(ev.PDU, func(typ, key string) *pdu.Event {
			k := Key{typ, key}
			if n := now[k]; n != 0 {
				return rm.get(n).PDU
			}
			if a := rm.authKey(nid, k); a != 0 && !rm.get(a).Rejected {
				return rm.get(a).PDU
			}
			if k == createKey && rm.v.RoomIDIsCreate {
				return rm.get(1).PDU
			}
			return nil
		})
		if err == nil {
			now[Key{ev.PDU.Type, *ev.PDU.StateKey}] = nid
		}
	}
}

// reference1 allows besides an event that also says so; current is the event
// in the place of ev.
func (rm *room) reference1(states []state, also func(ev *pdu.Event, current NID) bool) state {
	all := rm.choices(states)
	now := state{}
	for k, l := range all {
		if len(l) == 1 {
			now[k] = l[0]
		}
		slices.SortFunc(l, func(a, b NID) int {
			x, y := rm.get(a).PDU, rm.get(b).PDU
			if x.Depth != y.Depth {
				return int(x.Depth - y.Depth)
			}
			hx, hy := sha1.Sum([]byte(x.ID)), sha1.Sum([]byte(y.ID))
			return bytes.Compare(hy[:], hx[:])
		})
	}
	allowed := func(nid NID, now state) bool {
		ev := rm.get(nid).PDU
		return also(ev, now[Key{ev.Type, *ev.StateKey}]) || authrules.Check(ev, func(typ, key string) *pdu.Event {
			if n := now[Key{typ, key}]; n != 0 {
				return rm.get(n).PDU
			}
			return nil
		}) == nil
	}
	for _, typ := range []string{"m.room.power_levels", "m.room.join_rules", "m.room.member"} {
		won := state{}
		for k, l := range all {
			if k.Type != typ || len(l) == 1 {
				continue
			}
			trial := maps.Clone(now)
			trial[k] = l[0]
			for _, nid := range l[1:] {
				if !allowed(nid, trial) {
					break
				}
				trial[k] = nid
			}
			won[k] = trial[k]
		}
		maps.Copy(now, won)
	}
	won := state{}
	for k, l := range all {
		if now[k] != 0 {
			continue
		}
		won[k] = l[0]
		for _, nid := range slices.Backward(l) {
			if allowed(nid, now) {
				won[k] = nid
				break
			}
		}
	}
	maps.Copy(now, won)
	return now
}
