package feed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/feed"
	"hearth/homeserver/personal"
	"hearth/homeserver/room"
)

// watcher is a user with a client of each kind of sync.
type watcher struct {
	*town
	user  string
	since string
	phone *phone
}

func (w *town) watch(user string) *watcher {
	x := &watcher{town: w, user: user, phone: w.phone(user, `{"extensions":{"e2ee":{"enabled":true}}}`)}
	x.hears("")
	return x
}

// hears syncs and checks whose devices changed ("+") and whose need not be
// followed any more ("-"), in /sync, sliding sync and /keys/changes.
func (x *watcher) hears(want string) {
	x.t.Helper()
	from := x.since
	raw, err := x.feed.Sync(x.t.Context(), feed.SyncRequest{User: x.user, Device: "PHONE", Since: x.since, Filter: new(personal.Filter)})
	x.ok(err)
	var a struct {
		Next  string           `json:"next_batch"`
		Lists feed.DeviceLists `json:"device_lists"`
	}
	x.ok(json.Unmarshal(raw, &a))
	x.since = a.Next
	var slid feed.DeviceLists
	if raw := x.phone.sync().Extensions.E2EE["device_lists"]; raw != nil {
		x.ok(json.Unmarshal(raw, &slid))
	}
	answers := map[string]feed.DeviceLists{"/sync": a.Lists, "sliding sync": slid}
	if from != "" {
		token, err := feed.ParseToken(from)
		x.ok(err)
		answers["/keys/changes"], err = x.feed.DeviceLists(x.t.Context(), x.user, token.Pos)
		x.ok(err)
	}
	for how, d := range answers {
		var all []string
		for _, user := range d.Changed {
			all = append(all, "+"+user)
		}
		for _, user := range d.Left {
			all = append(all, "-"+user)
		}
		if got := strings.Join(all, " "); got != want {
			x.t.Errorf("%s of %s: %q, want %q", how, x.user, got, want)
		}
	}
}

// newKeys gives a device of a user keys that it did not have before.
func (w *town) newKeys(user string) {
	w.t.Helper()
	w.keys++
	raw := fmt.Sprintf(`{"user_id":%q,"device_id":"PHONE","algorithms":[],"keys":{"ed25519:PHONE":"%d"},"signatures":{}}`, user, w.keys)
	w.ok(w.feed.Keys.Upload(w.t.Context(), user, "PHONE", e2ee.Upload{DeviceKeys: json.RawMessage(raw)}))
}

func (w *town) leave(user string, rooms ...*room.Room) {
	w.t.Helper()
	for _, r := range rooms {
		w.ok(w.rooms.Leave(w.t.Context(), user, r.ID, ""))
	}
}

func (w *town) join(user string, rooms ...*room.Room) {
	w.t.Helper()
	for _, r := range rooms {
		w.ok(w.rooms.Join(w.t.Context(), user, r.ID, room.JoinRequest{}))
	}
}

// TestDeviceListsFollowKeys: who shares a room hears that keys changed, others do
// not.
func TestDeviceListsFollowKeys(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		w.newKeys(bob)
		w.room("Kitchen", bob)
		a, c := w.watch(alice), w.watch(carol)
		w.newKeys(bob)
		a.hears("+" + bob)
		a.hears("")
		c.hears("")
		w.newKeys(alice)
		a.hears("+" + alice) // of the own devices too
	})
}

// TestDeviceListsFollowMeetings: who comes to share a room is told as changed,
// and who shares none any more as left.
func TestDeviceListsFollowMeetings(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		kitchen, cellar := w.room("Kitchen"), w.room("Cellar", carol)
		a, b := w.watch(alice), w.watch(bob)
		w.join(bob, kitchen)
		a.hears("+" + bob)
		b.hears("+" + alice)
		w.join(bob, cellar)
		a.hears("+" + bob) // she knows him: once more does no harm
		b.hears("+" + alice + " +" + carol)
		w.leave(bob, cellar)
		a.hears("") // they share the kitchen
		b.hears("-" + carol)
		w.leave(bob, kitchen)
		a.hears("-" + bob)
		b.hears("-" + alice)
		w.newKeys(bob)
		a.hears("")
		b.hears("+" + bob)
		w.join(bob, kitchen)
		w.leave(bob, kitchen)
		a.hears("") // he came and went unseen
		w.join(bob, kitchen)
		a.hears("+" + bob)
		b.hears("+" + alice)
		w.ok(w.rooms.Kick(t.Context(), alice, kitchen.ID, bob, ""))
		a.hears("-" + bob)
		b.hears("-" + alice)
	})
}

// TestDeviceListsWhenBothLeave: the one who goes last need not follow the one who
// went before, of whom they have not heard yet.
func TestDeviceListsWhenBothLeave(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		kitchen := w.room("Kitchen", bob, carol)
		c := w.watch(carol)
		w.leave(bob, kitchen)
		w.leave(carol, kitchen)
		c.hears("-" + alice + " -" + bob)
	})
}

// TestDeviceListsFollowDevices: others hear that a device that has keys was renamed
// or is gone.
func TestDeviceListsFollowDevices(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		w.room("Kitchen", bob)
		w.newKeys(bob)
		a := w.watch(alice)
		w.ok(w.feed.DB.Write(t.Context(), func(tx *db.Tx) error { return w.feed.Keys.DeviceRenamed(tx, bob, "PHONE") }))
		a.hears("+" + bob)
		w.ok(w.feed.DB.Write(t.Context(), func(tx *db.Tx) error { return w.feed.Keys.DeviceRemoved(tx, bob, "PHONE") }))
		a.hears("+" + bob)
		w.ok(w.feed.DB.Write(t.Context(), func(tx *db.Tx) error { return w.feed.Keys.DeviceRemoved(tx, bob, "OTHER") }))
		a.hears("") // it had no keys
	})
}

// TestNewKeysWakeThoseWhoWait: who waits for news hears of new keys at once.
func TestNewKeysWakeThoseWhoWait(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		w.room("Kitchen", bob)
		a := w.watch(alice)
		for range 10 { // some of them before the client waits
			heard := make(chan error, 2)
			go func() {
				raw, err := w.feed.Sync(ctx, feed.SyncRequest{User: alice, Device: "PHONE", Since: a.since, Filter: new(personal.Filter), Timeout: time.Minute})
				if err == nil && !strings.Contains(string(raw), `"changed":["`+bob) {
					err = fmt.Errorf("/sync answered %s", raw)
				}
				heard <- err
			}()
			go func() {
				got, err := a.phone.try(ctx, 60_000)
				if err == nil && !strings.Contains(string(got.Extensions.E2EE["device_lists"]), bob) {
					err = fmt.Errorf("sliding sync answered %s", got.raw)
				}
				heard <- err
			}()
			w.newKeys(bob)
			for range 2 {
				w.ok(<-heard)
			}
			a.hears("+" + bob)
		}
	})
}
