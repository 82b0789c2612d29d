package feed_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/feed"
)

// TestManyThreads: whatever a client asks for, an answer has so many of the threads
// that it follows, the newest, and says where the others are.
func TestManyThreads(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := w.room("kitchen")
		err := w.rooms.DB.Write(t.Context(), func(tx *db.Tx) error {
			for i := range feed.MaxThreads + 1 {
				s := store.ThreadSubscription{User: alice, Room: r.NID, Root: fmt.Sprint("$", i), Pos: tx.NextPos(), Subscribed: true}
				if err := store.SetThreadSubscription(tx, s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		a := w.phone(alice, `{"extensions":{"io.element.msc4308.thread_subscriptions":{"enabled":true,"limit":100000}}}`).ask()
		var got struct {
			Extensions struct {
				Threads struct {
					On   map[string]map[string]json.RawMessage `json:"subscribed"`
					Prev string                                `json:"prev_batch"`
				} `json:"io.element.msc4308.thread_subscriptions"`
			}
		}
		if err := json.Unmarshal(a.raw, &got); err != nil {
			t.Fatal(err)
		}
		threads := got.Extensions.Threads
		if n := len(threads.On[r.ID]); n != feed.MaxThreads || threads.On[r.ID]["$0"] != nil || threads.Prev == "" {
			t.Errorf("%d threads, the oldest among them: %t, more at %q", n, threads.On[r.ID]["$0"] != nil, threads.Prev)
		}
		from, err := feed.ParsePlace(threads.Prev)
		if err != nil {
			t.Fatal(err)
		}
		rest, some, err := w.feed.AppendThreads(t.Context(), nil, "end", alice, 0, from, feed.MaxThreads)
		if want := fmt.Sprintf(`{"subscribed":{%q:{"$0":{"automatic":false,"bump_stamp":%d}}}}`, r.ID, from); err != nil || !some || string(rest) != want {
			t.Errorf("the rest is %s (%v), want %s", rest, err, want)
		}
	})
}
