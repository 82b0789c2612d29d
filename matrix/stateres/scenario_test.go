package stateres

import (
	"maps"
	"testing"
)

// versions are one of each algorithm.
var versions = []string{"1", "2", "6", "10", "11", "12"}

func eachVersion(t *testing.T, f func(t *testing.T, version string)) {
	for _, v := range versions {
		t.Run("v"+v, func(t *testing.T) { f(t, v) })
	}
}

func (rm *room) want(name string, s state, k Key, nid NID) {
	rm.t.Helper()
	if got := s[k]; got != nid {
		rm.t.Errorf("%s: event %d won, want %d", name, got, nid)
	}
}

func TestOneForkOnlyTopic(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		rm, s := start(t, version)
		a := maps.Clone(s)
		nid := rm.send(a, topic(alice, "tea"))
		rm.want("topic set on one fork", rm.resolve(a, s), Key{"m.room.topic", ""}, nid)
	})
}

func TestLaterTopicWins(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		rm, s := start(t, version)
		first := rm.send(s, topic(alice, "tea"))
		a, b := maps.Clone(s), maps.Clone(s)
		d := topic(alice, "coffee")
		d.prev = []NID{first}
		rm.send(a, d)
		d = topic(alice, "water")
		d.prev = []NID{a[Key{"m.room.topic", ""}]}
		last := rm.send(b, d)
		rm.want("topic", rm.resolve(a, b), Key{"m.room.topic", ""}, last)
		rm.want("topic, other way round", rm.resolve(b, a), Key{"m.room.topic", ""}, last)
	})
}

// A moderator is demoted on one side and sets the topic on the other: the
// demotion goes first.
func TestDemotedModeratorLosesTopic(t *testing.T) {
	for _, version := range []string{"2", "10", "12"} {
		rm, s := start(t, version)
		rm.send(s, member(bob, bob, "join"))
		rm.send(s, rm.levels(alice, map[string]int{alice: 100, bob: 50}))
		was := rm.send(s, topic(alice, "tea"))
		a, b := maps.Clone(s), maps.Clone(s)
		rm.send(b, topic(bob, "mine"))
		demoted := rm.send(a, rm.levels(alice, map[string]int{alice: 100}))
		got := rm.resolve(a, b)
		rm.want("power levels", got, powerLevelsKey, demoted)
		rm.want("topic", got, Key{"m.room.topic", ""}, was)
	}
}

// The two ban each other's friends; the one with more power is heard first.
func TestBanAgainstPowerLevels(t *testing.T) {
	for _, version := range []string{"2", "10", "12"} {
		rm, s := start(t, version)
		rm.send(s, member(bob, bob, "join"))
		rm.send(s, rm.levels(alice, map[string]int{alice: 100, bob: 50}))
		rm.send(s, member(evil, evil, "join"))
		a, b := maps.Clone(s), maps.Clone(s)
		// bob makes evil a moderator while alice bans bob.
		promoted := rm.send(b, rm.levels(bob, map[string]int{alice: 100, bob: 50, evil: 50}))
		ban := rm.send(a, member(alice, bob, "ban"))
		got := rm.resolve(a, b)
		rm.want("bob", got, Key{"m.room.member", bob}, ban)
		if got[powerLevelsKey] == promoted {
			t.Errorf("v%s: a banned moderator's promotion stands", version)
		}
	}
}

// evil joins on a fork where the room is still public.
func TestJoinRuleEvasion(t *testing.T) {
	for _, version := range []string{"2", "10", "12"} {
		rm, s := start(t, version)
		a, b := maps.Clone(s), maps.Clone(s)
		closed := rm.send(a, joinRule(alice, "invite"))
		rm.send(b, member(evil, evil, "join"))
		got := rm.resolve(a, b)
		rm.want("join rule", got, joinRulesKey, closed)
		if got.memberOf(evil) != 0 {
			t.Errorf("v%s: evil came in by an old join rule", version)
		}
	}
}

// A ban is not undone by a join on another fork (MSC1442).
func TestBanEvasion(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		rm, s := start(t, version)
		in := rm.send(s, member(evil, evil, "join"))
		a, b := maps.Clone(s), maps.Clone(s)
		ban := rm.send(a, member(alice, evil, "ban", in))
		left := rm.send(b, member(evil, evil, "leave", in))
		rm.send(b, member(evil, evil, "join", left))
		rm.want("evil", rm.resolve(b, a), Key{"m.room.member", evil}, ban)
	})
}

// The example of rooms/v2 and MSC1442 in the words of its authors: alice
// raises bob, bob raises charlie; a state from before all of it comes along.
func TestPromotionsInARow(t *testing.T) {
	for _, version := range []string{"2", "10", "12"} {
		rm, s := start(t, version)
		rm.send(s, member(bob, bob, "join"))
		rm.send(s, member(charlie, charlie, "join"))
		old := maps.Clone(s)
		rm.send(s, rm.levels(alice, map[string]int{alice: 100, bob: 100}))
		last := rm.send(s, rm.levels(bob, map[string]int{alice: 100, bob: 100, charlie: 50}))
		rm.want("power levels", rm.resolve(old, s), powerLevelsKey, last)
	}
}

// TestProblemA is the first state reset of MSC4297: both forks know, by their
// auth chains, the newest join rules, but one came by an older state. alice,
// who set them, has left since. Version 2 forgets the join rules altogether.
func TestProblemA(t *testing.T) {
	for _, tc := range []struct {
		version string
		reset   bool
	}{{"11", true}, {"12", false}} {
		rm, s := start(t, tc.version)
		rm.send(s, member(bob, bob, "join"))
		rm.send(s, rm.levels(alice, map[string]int{alice: 100, bob: 100}))
		older := s[joinRulesKey]
		newer := rm.send(s, joinRule(alice, "invite"))
		rm.send(s, member(alice, zara, "invite"))
		rm.send(s, member(zara, zara, "join")) // cites the newer rules
		rm.send(s, member(alice, alice, "leave"))
		good, bad := s, maps.Clone(s)
		bad[joinRulesKey] = older

		want := newer
		if tc.reset {
			want = 0
		}
		rm.want("v"+tc.version+" join rules", rm.resolve(good, bad), joinRulesKey, want)
	}
}

// TestProblemB is the second: alice raises bob, bob raises charlie, and one
// fork came by the power levels from before. Both know bob's promotion by
// their auth chains, so it is not in the auth difference, and without it
// charlie's cannot be authorised.
func TestProblemB(t *testing.T) {
	for _, tc := range []struct {
		version string
		reset   bool
	}{{"11", true}, {"12", false}} {
		rm, s := start(t, tc.version)
		rm.send(s, member(bob, bob, "join"))
		rm.send(s, member(charlie, charlie, "join"))
		first := s[powerLevelsKey]
		rm.send(s, rm.levels(alice, map[string]int{alice: 100, bob: 90}))
		last := rm.send(s, rm.levels(bob, map[string]int{alice: 100, bob: 90, charlie: 50}))
		rm.send(s, member(zara, zara, "join")) // cites the last levels
		good, bad := s, maps.Clone(s)
		bad[powerLevelsKey] = first

		want := last
		if tc.reset {
			want = first
		}
		rm.want("v"+tc.version+" power levels", rm.resolve(good, bad), powerLevelsKey, want)
	}
}

// From version 12 on a creator cannot be outranked, and the power levels need
// not name her.
func TestCreatorOutranksAll(t *testing.T) {
	rm, s := start(t, "12")
	rm.send(s, member(bob, bob, "join"))
	rm.send(s, rm.levels(alice, map[string]int{bob: 1 << 50}))
	a, b := maps.Clone(s), maps.Clone(s)
	// bob was quicker by the clock; alice is heard first.
	rm.send(b, rm.levels(bob, map[string]int{bob: 1 << 50, evil: 100}))
	ban := rm.send(a, member(alice, bob, "ban"))
	got := rm.resolve(a, b)
	rm.want("bob", got, Key{"m.room.member", bob}, ban)
	rm.want("power levels", got, powerLevelsKey, s[powerLevelsKey])
}

// Rejected auth events do not authorise (rooms/v2/#definitions). In version 12
// nothing but the auth events says that bob is in the room.
func TestRejectedAuthEventIsNoWitness(t *testing.T) {
	rm, s := start(t, "12")
	join := rm.send(s, member(bob, bob, "join"))
	rm.send(s, rm.levels(alice, map[string]int{bob: 50}))
	a, b := maps.Clone(s), maps.Clone(s)
	rm.send(a, topic(bob, "tea"))
	last := rm.send(b, topic(bob, "coffee"))
	rm.want("topic", rm.resolve(a, b), Key{"m.room.topic", ""}, last)
	rm.get(join).Rejected = true
	rm.want("topic by a stranger", rm.resolve(a, b), Key{"m.room.topic", ""}, 0)
}
