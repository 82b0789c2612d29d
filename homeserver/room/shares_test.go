package room_test

import (
	"fmt"
	"slices"
	"testing"

	"hearth/homeserver/room"
)

// TestSharing: who is in a room with alice, also when more people are asked about
// than are kept in memory, and when somebody has just come or gone.
func TestSharing(t *testing.T) {
	each(t, func(t *testing.T, e *room.Engine) {
		asked := []string{bob, carol}
		for i := range 20_100 {
			asked = append(asked, fmt.Sprintf("@user%d:test", i))
		}
		want := func(users ...string) {
			t.Helper()
			for _, others := range [][]string{asked, asked[:2], nil} {
				got, err := e.Sharing(t.Context(), alice, others)
				if err != nil || len(others) > 0 && !slices.Equal(got, users) || len(others) == 0 && got != nil {
					t.Errorf("%v, %v share a room with alice; want %v", got, err, users)
				}
			}
		}
		want()
		kitchen := create(t, e, room.CreateRequest{Preset: "public_chat"})
		cellar := create(t, e, room.CreateRequest{Preset: "public_chat"})
		join(t, e, kitchen, carol)
		want(carol)
		join(t, e, kitchen, bob)
		join(t, e, cellar, bob)
		want(bob, carol)
		if err := e.Leave(t.Context(), bob, kitchen.ID, ""); err != nil {
			t.Fatal(err)
		}
		want(bob, carol)
		if err := e.Leave(t.Context(), bob, cellar.ID, ""); err != nil {
			t.Fatal(err)
		}
		want(carol)
	})
}
