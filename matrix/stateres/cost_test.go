package stateres

import (
	"context"
	"fmt"
	"maps"
	"testing"
)

// bigRoom has 10,000 members. On one fork the power levels changed, on both
// the same members did something, on the first a tenth of them was kicked.
func bigRoom(t testing.TB, version string, members, changed int) (*room, []state) {
	rm, s := start(t, version)
	user := func(i int) string { return fmt.Sprintf("@user%d:s%d", i, i%50) }
	for i := range members {
		rm.send(s, member(user(i), user(i), "join"))
	}
	a, b := maps.Clone(s), maps.Clone(s)
	rm.send(b, rm.levels(alice, map[string]int{alice: 100, user(members - 1): 50}))
	for i := range changed {
		if i%10 == 0 {
			rm.send(a, member(alice, user(i), "leave"))
		} else {
			rm.send(a, member(user(i), user(i), "leave"))
		}
		rm.send(b, member(user(i), user(i), "join"))
	}
	return rm, []state{a, b}
}

// TestCostFollowsTheConflict: of a room with many members only those at issue
// are read, in few batches.
func TestCostFollowsTheConflict(t *testing.T) {
	for _, version := range []string{"1", "11", "12"} {
		rm, forks := bigRoom(t, version, 3000, 10)
		in := rm.input(forks...)
		load, calls, read := in.Load, 0, 0
		in.Load = func(ctx context.Context, nids []NID) ([]*Event, error) {
			calls++
			read += len(nids)
			return load(ctx, nids)
		}
		walked := false
		in.SharedAll = func(func(NID) bool) error { walked = true; return nil }
		got, err := Resolve(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		// 10 members on two forks, their former membership, power levels, join
		// rules, create, alice.
		if len(got) < 10 || read > 60 || calls > 8 || walked {
			t.Errorf("version %s: %d winners, %d events read in %d calls, all members walked: %v", version, len(got), read, calls, walked)
		}
	}
}

// An auth event that only one fork knows makes the resolver look whether some
// member's event cites it. It need not read events older than that one.
func TestDoubtfulAuthEvent(t *testing.T) {
	rm, s := start(t, "11")
	for i := range 500 {
		user := fmt.Sprintf("@u%d:a", i)
		rm.send(s, member(user, user, "join"))
	}
	rm.send(s, member(bob, bob, "join"))
	// bob's server alone saw this one, which was rejected elsewhere, and
	// charlie's invite cites it.
	aside := maps.Clone(s)
	rm.send(aside, member(bob, bob, "join"))
	invite := rm.build(aside, member(bob, charlie, "invite"))
	a, b := maps.Clone(s), maps.Clone(s)
	a[Key{"m.room.member", charlie}] = rm.add(invite)
	rm.send(b, topic(alice, "tea"))

	in := rm.input(a, b)
	load, read := in.Load, 0
	in.Load = func(ctx context.Context, nids []NID) ([]*Event, error) {
		read += len(nids)
		return load(ctx, nids)
	}
	got, err := Resolve(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got[Key{"m.room.member", charlie}] != invite.NID {
		t.Error("charlie's invite is lost")
	}
	if read > 20 {
		t.Errorf("%d events were read", read)
	}
}

func BenchmarkResolve(b *testing.B) {
	for _, version := range []string{"1", "11", "12"} {
		for _, changed := range []int{250, 1000} {
			b.Run(fmt.Sprintf("v%s/members=10000/conflicted=%d", version, 2*changed+2), func(b *testing.B) {
				rm, forks := bigRoom(b, version, 10000, changed)
				in := rm.input(forks...)
				in.Load = func(_ context.Context, nids []NID) ([]*Event, error) {
					out := make([]*Event, len(nids))
					for i, nid := range nids {
						out[i] = rm.get(nid)
					}
					return out, nil
				}
				b.ReportAllocs()
				for b.Loop() {
					won, err := Resolve(context.Background(), in)
					if err != nil || len(won) < changed {
						b.Fatal(len(won), err)
					}
				}
			})
		}
	}
}
