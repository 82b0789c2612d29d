package feed_test

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"hearth/base/db/dbtest"
	"hearth/base/store/storetest"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
)

// Whoever comes into a very large room is told of the keys of some people there.
func TestCrowdsAreBounded(t *testing.T) {
	d := storetest.Open(t, dbtest.SQLite(t))
	w := newWorld(t, d)
	r := w.create(alice, room.CreateRequest{Preset: "public_chat"})
	var g errgroup.Group
	g.SetLimit(16)
	for i := range feed.MaxCrowd + 10 {
		g.Go(func() error { return w.rooms.Join(t.Context(), fmt.Sprintf("@u%d:test", i), r.ID, room.JoinRequest{}) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	before := d.Position()
	w.join(bob, r)
	lists, err := w.feed.DeviceLists(t.Context(), bob, before)
	if n := len(lists.Changed); err != nil || n > feed.MaxCrowd || n < feed.MaxCrowd-1 {
		t.Errorf("bob is told of %d people, %v", n, err)
	}
}
