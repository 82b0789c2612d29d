package room_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"hearth/base/db/dbtest"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
)

// BenchmarkSend stores messages of 16 senders at a time, durably.
func BenchmarkSend(b *testing.B) {
	for _, db := range []struct {
		name string
		make func(testing.TB) string
	}{{"sqlite", dbtest.SQLite}, {"postgres", dbtest.Postgres}} {
		for _, rooms := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/rooms=%d", db.name, rooms), func(b *testing.B) {
				e := newEngine(storetest.Open(b, db.make(b)))
				var ids []string
				for range rooms {
					r, err := e.Create(b.Context(), alice, room.CreateRequest{})
					if err != nil {
						b.Fatal(err)
					}
					ids = append(ids, r.ID)
				}
				var n atomic.Int64
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						i := n.Add(1)
						body := fmt.Appendf(nil, `{"body":"the quick brown fox jumps over the lazy dog, then sits down by the hearth %d","msgtype":"m.text"}`, i)
						_, err := e.Send(context.Background(), ids[int(i)%rooms], room.Draft{Sender: alice, Type: "m.room.message", Content: body, Device: "D", TxnID: fmt.Sprint(i)})
						if err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
