package feed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/room"
)

// BenchmarkSendBesideMail stores messages of 16 senders at a time, alone and
// while ten keys a second are shared with 100 devices each, which fetch them.
func BenchmarkSendBesideMail(b *testing.B) {
	for _, kind := range []struct {
		name string
		make func(testing.TB) string
	}{{"sqlite", dbtest.SQLite}, {"postgres", dbtest.Postgres}} {
		for _, mail := range []bool{false, true} {
			name := kind.name + "/alone"
			if mail {
				name = kind.name + "/beside mail"
			}
			b.Run(name, func(b *testing.B) {
				d := storetest.Open(b, kind.make(b))
				w := newTown(b, d)
				r := newRoom(b, w.rooms, room.CreateRequest{Preset: "public_chat"})
				stop, letters := make(chan struct{}), new(atomic.Int64)
				var posting sync.WaitGroup
				if mail {
					hub := notify.NewHub(d.Position())
					d.OnCommit(hub.Advance)
					posting.Go(func() { postman(b, d, hub, stop, letters) })
				}
				var n atomic.Int64
				b.SetParallelism(8)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						i := n.Add(1)
						body := fmt.Appendf(nil, `{"body":"the quick brown fox jumps over the lazy dog %d","msgtype":"m.text"}`, i)
						_, err := w.rooms.Send(context.Background(), r.ID, room.Draft{Sender: alice, Type: "m.room.message", Content: body, Device: "D", TxnID: fmt.Sprint(i)})
						if err != nil {
							b.Error(err)
						}
					}
				})
				b.StopTimer()
				b.ReportMetric(float64(letters.Load())/b.Elapsed().Seconds(), "letters/s")
				close(stop)
				posting.Wait()
			})
		}
	}
}

// postman shares a key with 100 devices ten times a second until stop is closed.
func postman(b *testing.B, d *db.DB, hub *notify.Hub, stop <-chan struct{}, letters *atomic.Int64) {
	const devices = 100
	ctx := context.Background()
	keys := e2ee.New(e2ee.Config{DB: d, Hub: hub, Server: "test"})
	messages := map[string]map[string]json.RawMessage{}
	err := d.Write(ctx, func(tx *db.Tx) error {
		for i := range devices {
			user := fmt.Sprintf("@receiver%d:test", i)
			messages[user] = map[string]json.RawMessage{"D": json.RawMessage(`{"ciphertext":"` + strings.Repeat("x", 900) + `"}`)}
			if _, err := store.AddDevice(tx, store.Device{User: user, ID: "D"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Error(err)
	}
	since := make([]int64, devices)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		if err := keys.Send(ctx, e2ee.Mail{Sender: alice, Device: "D", Type: "m.room.encrypted", TxnID: fmt.Sprint(n), Messages: messages}); err != nil {
			b.Error(err)
		}
		var fetching sync.WaitGroup
		for i := range devices {
			fetching.Go(func() {
				got, next, err := keys.Fetch(ctx, fmt.Sprintf("@receiver%d:test", i), "D", since[i], hub.Pos(), 0)
				if err != nil {
					b.Error(err)
				}
				letters.Add(int64(len(got)))
				since[i] = next
			})
		}
		fetching.Wait()
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}
