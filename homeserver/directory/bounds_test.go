package directory

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
)

type nameless struct{}

func (nameless) Profile(context.Context, string) (string, string, error) { return "", "", nil }

// A bridge may list rooms of any number of networks, of which some are in memory.
func TestNetworksAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		hub := notify.NewHub(d.Position())
		rooms := room.New(room.Config{DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: nameless{}})
		dir := New(Config{DB: d, Rooms: rooms, Server: "test"})
		r, err := rooms.Create(t.Context(), "@alice:test", room.CreateRequest{Preset: "public_chat"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range maxNetworks + 1 {
			n := Network{Service: "irc", ID: fmt.Sprint(i)}
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return store.SetNetworkRoom(tx, n.Service, n.ID, r.NID, true) }); err != nil {
				t.Fatal(err)
			}
			l, err := dir.network(t.Context(), &list{}, n)
			if err != nil || len(l.entries) != 1 {
				t.Fatalf("network %d: %v, %v", i, l, err)
			}
			if len(dir.networks) > maxNetworks {
				t.Fatalf("%d networks are in memory", len(dir.networks))
			}
		}
	})
}
