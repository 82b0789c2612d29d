package feed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/store/storetest"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
)

// busyTown has a user in 200 rooms, of which 30 have a page of messages.
func busyTown(b *testing.B, d *db.DB) *town {
	w := newTown(b, d)
	var wg sync.WaitGroup
	queue := make(chan int)
	for range 32 { // so that commits come in groups
		wg.Go(func() {
			for i := range queue {
				r, err := w.rooms.Create(context.Background(), alice, room.CreateRequest{Name: fmt.Sprint("Room ", i), Preset: "public_chat"})
				if err == nil {
					err = w.rooms.Join(context.Background(), bob, r.ID, room.JoinRequest{})
				}
				for j := 0; j < 25 && i >= 170 && err == nil; j++ {
					_, err = w.rooms.Send(context.Background(), r.ID, room.Draft{
						Sender: bob, Type: "m.room.message", Content: json.RawMessage(fmt.Sprintf(`{"body":"message %d","msgtype":"m.text"}`, j)),
					})
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range 200 {
		queue <- i
	}
	close(queue)
	wg.Wait()
	return w
}

// benchWindow is what a phone asks for first.
const benchWindow = `{"lists":{"all":{"ranges":[[0,19]],"timeline_limit":20,
	"filters":{"not_room_types":["m.space"]},
	"required_state":[["m.room.name",""],["m.room.encryption",""],["m.room.member","$LAZY"],["m.room.member","$ME"],["m.room.topic",""],
		["m.room.avatar",""],["m.room.canonical_alias",""],["m.room.power_levels",""],["org.matrix.msc3401.call.member","*"],["m.room.join_rules",""],["m.room.create",""]]}},
	"extensions":{"account_data":{"enabled":true},"receipts":{"enabled":true},"typing":{"enabled":true},"to_device":{"enabled":true},"e2ee":{"enabled":true}}}`

func BenchmarkSlide(b *testing.B) {
	d := storetest.Open(b, dbtest.SQLite(b))
	w := busyTown(b, d)
	var req feed.SlideRequest
	if err := json.Unmarshal([]byte(benchWindow), &req); err != nil {
		b.Fatal(err)
	}
	req.User, req.Device = alice, "PHONE"
	b.Run("first window after a restart", func(b *testing.B) {
		for b.Loop() {
			if _, err := newTown(b, d).feed.Slide(context.Background(), req); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first window", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			body, err := w.feed.Slide(context.Background(), req)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(body)))
		}
	})
	b.Run("nothing new", func(b *testing.B) {
		b.ReportAllocs()
		p := w.phone(alice, benchWindow)
		p.sync()
		req := req
		for b.Loop() {
			req.Pos = p.pos
			if _, err := w.feed.Slide(context.Background(), req); err != nil {
				b.Fatal(err)
			}
		}
	})
}
