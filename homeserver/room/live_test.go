package room_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
)

// In more rooms than are kept in memory people talk at once: everything is said
// once, in the order in which each of them said it, and nobody waits for a room
// that was dropped.
func TestMoreRoomsThanFit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		e := newEngine(d)
		e.MaxRooms = 3
		const many, lines = 8, 25
		var ids []string
		for range many {
			r := create(t, e, room.CreateRequest{Preset: "public_chat"})
			join(t, e, r, bob)
			ids = append(ids, r.ID)
		}
		var wg sync.WaitGroup
		for _, id := range ids {
			for _, who := range []string{alice, bob} {
				wg.Go(func() {
					for i := range lines {
						d := room.Draft{Sender: who, Type: "m.room.message", Content: json.RawMessage(fmt.Sprintf(`{"body":"%d"}`, i)), Device: "HOME", TxnID: fmt.Sprint(i)}
						if i%5 == 4 {
							key := who[1:]
							d.Type, d.StateKey, d.TxnID = "org.example.state", &key, ""
							d.Sender = alice
						}
						if _, err := e.Send(ctx, id, d); err != nil {
							t.Errorf("%s, line %d: %v", who, i, err)
							return
						}
					}
				})
			}
		}
		wg.Wait()
		for _, id := range ids {
			r, err := e.Room(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			events, err := e.After(ctx, r, math.MinInt64, math.MaxInt64, 1000)
			if err != nil {
				t.Fatal(err)
			}
			next := map[string]int{}
			for _, ev := range events {
				who := ev.Sender
				if ev.StateKey != nil {
					who = "@" + *ev.StateKey
				}
				if ev.Type != "m.room.message" && ev.Type != "org.example.state" {
					continue
				}
				if body, _ := ev.GetString("body"); body != fmt.Sprint(next[who]) {
					t.Fatalf("%s said %s, want %d", who, body, next[who])
				}
				next[who]++
			}
			if next[alice] != lines || next[bob] != lines {
				t.Errorf("there are %d lines of alice's and %d of bob's", next[alice], next[bob])
			}
		}
	})
}
