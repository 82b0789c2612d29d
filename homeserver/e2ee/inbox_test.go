package e2ee

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

func (h *house) send(txn, user, device string, n int) {
	h.Helper()
	content := json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))
	h.must(h.Send(h.Context(), Mail{Sender: bob, Device: "PHONE", Type: "org.example", TxnID: txn, Messages: map[string]map[string]json.RawMessage{user: {device: content}}}))
}

// fetch returns the numbers of messages and the place to go on from.
func (h *house) fetch(user, device string, after int64) (string, int64) {
	h.Helper()
	mail, done, err := h.Fetch(h.Context(), user, device, after, h.Hub.Pos(), 0)
	h.must(err)
	var got []string
	for _, m := range mail {
		n, _ := canonjson.Path(m, "content", "n")
		got = append(got, string(n))
	}
	return strings.Join(got, " "), done
}

// TestEachMessageOnce: a message comes again until the device has come back with
// the place behind it, and never after that; a repeated request sends nothing.
func TestEachMessageOnce(t *testing.T) {
	each(t, func(h *house) {
		h.device(alice, "TABLET")
		h.send("a", alice, "PHONE", 1)
		h.send("a", alice, "PHONE", 1)
		h.send("b", alice, "*", 2)
		h.send("c", "@carol:elsewhere", "*", 3)
		h.send("d", alice, "NONE", 4)
		first, at := h.fetch(alice, "PHONE", 0)
		if again, _ := h.fetch(alice, "PHONE", 0); first != "1 2" || again != first {
			h.Errorf("the phone gets %q, then %q", first, again)
		}
		h.send("e", alice, "PHONE", 5)
		if got, _ := h.fetch(alice, "PHONE", at); got != "5" {
			h.Errorf("behind them: %q", got)
		}
		if got, _ := h.fetch(alice, "PHONE", 0); got != "5" {
			h.Errorf("what the phone has was kept: %q", got)
		}
		if got, _ := h.fetch(alice, "TABLET", 0); got != "2" {
			h.Errorf("the tablet gets %q", got)
		}
		again := &house{h.T, New(h.Config)} // after a restart
		again.send("e", alice, "PHONE", 5)
		if got, _ := again.fetch(alice, "PHONE", at); got != "5" {
			h.Errorf("after a restart: %q", got)
		}
	})
}

// TestManyMessagesComeInBatches: none is left out between two batches.
func TestManyMessagesComeInBatches(t *testing.T) {
	each(t, func(h *house) {
		for n := range maxBatch + 20 {
			h.send(fmt.Sprint(n), alice, "PHONE", n)
		}
		next, at := 0, int64(0)
		for range 2 {
			got, done := h.fetch(alice, "PHONE", at)
			for _, n := range strings.Fields(got) {
				if n != fmt.Sprint(next) {
					h.Fatalf("got %s, want %d", n, next)
				}
				next++
			}
			at = done
		}
		if next != maxBatch+20 || at != h.Hub.Pos() {
			h.Errorf("%d messages, up to %d of %d", next, at, h.Hub.Pos())
		}
	})
}

// stored counts the messages of alice's phone, and their bytes.
func (h *house) stored() (n, size int64) {
	h.Helper()
	type sum struct{ n, size int64 }
	h.must(h.DB.Read(h.Context(), func(tx *db.Tx) error {
		s, err := db.One(tx, func(s *sum) []any { return []any{&s.n, &s.size} }, `
			SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM inbox WHERE usr = $1 AND device = $2`, alice, "PHONE")
		n, size = s.n, s.size
		return err
	}))
	return n, size
}

func (h *house) mail(txn, device, content string) Mail {
	return Mail{Sender: bob, Type: "t", TxnID: txn, Messages: map[string]map[string]json.RawMessage{alice: {device: json.RawMessage(content)}}}
}

// A device never fetches, and people keep writing: the oldest messages go.
func TestInboxIsBounded(t *testing.T) {
	each(t, func(h *house) {
		h.must(h.DB.Write(h.Context(), func(tx *db.Tx) error {
			for range maxInbox + 500 {
				if err := store.AddDeviceMessage(tx, store.DeviceMessage{User: alice, Device: "PHONE", Pos: tx.NextPos(), Message: []byte(`{}`)}); err != nil {
					return err
				}
			}
			return nil
		}))
		for n := range graceInbox + 1 {
			h.send(fmt.Sprint(n), alice, "PHONE", n)
		}
		if n, _ := h.stored(); n != maxInbox {
			h.Errorf("%d messages wait, bound %d", n, maxInbox)
		}
		// Many large ones at once do what many small ones did.
		h.must(h.DB.Write(h.Context(), func(tx *db.Tx) error {
			for range maxInboxSize/maxMessage + 20 {
				if err := store.AddDeviceMessage(tx, store.DeviceMessage{User: alice, Device: "PHONE", Pos: tx.NextPos(), Message: make([]byte, maxMessage)}); err != nil {
					return err
				}
			}
			return nil
		}))
		big := `{"x":"` + strings.Repeat("x", maxMessage-20) + `"}`
		for n := range slackInboxSize/maxMessage + 1 {
			h.must(h.Send(h.Context(), h.mail(fmt.Sprint("big", n), "PHONE", big)))
		}
		if _, size := h.stored(); size > maxInboxSize+slackInboxSize {
			h.Errorf("%d bytes wait, bound %d", size, maxInboxSize)
		}
		if got, _, err := h.Fetch(h.Context(), alice, "PHONE", 0, h.Hub.Pos(), 0); err != nil || len(got) > maxBatchSize/maxMessage+1 {
			h.Errorf("%d large messages in one answer, %v", len(got), err)
		}
	})
}

func TestMailOutOfBounds(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		h.fails(h.Send(ctx, h.mail("big", "PHONE", `{"x":"`+strings.Repeat("x", maxMessage)+`"}`)), mxerr.TooLarge)
		h.fails(h.Send(ctx, h.mail("bad", "PHONE", `1`)), mxerr.BadJSON)
		long := h.mail("long", "PHONE", `{}`)
		long.Type = strings.Repeat("x", maxType+1)
		h.fails(h.Send(ctx, long), mxerr.InvalidParam)
		// One message for so many devices that it would fill the disk.
		for n := range maxMailSize/maxMessage + 1 {
			h.device(alice, fmt.Sprint("D", n))
		}
		h.fails(h.Send(ctx, h.mail("all", "*", `{"x":"`+strings.Repeat("x", maxMessage-20)+`"}`)), mxerr.TooLarge)
		if n, _ := h.stored(); n != 0 {
			h.Errorf("%d of these messages arrived", n)
		}
	})
}

// A device that is named gets its own message in place of that for all.
func TestOneMessagePerDevice(t *testing.T) {
	each(t, func(h *house) {
		h.device(alice, "TABLET")
		m := h.mail("a", "*", `{"n":1}`)
		m.Messages[alice]["TABLET"] = json.RawMessage(`{"n":2}`)
		h.must(h.Send(h.Context(), m))
		phone, _ := h.fetch(alice, "PHONE", 0)
		tablet, _ := h.fetch(alice, "TABLET", 0)
		if phone != "1" || tablet != "2" {
			h.Errorf("the phone gets %q, the tablet %q", phone, tablet)
		}
	})
}

// The client comes with a token of a database that was restored since: what
// waits is told, and not taken for fetched.
func TestTokenFromTheFuture(t *testing.T) {
	each(t, func(h *house) {
		h.send("a", alice, "PHONE", 1)
		if got, _ := h.fetch(alice, "PHONE", h.Hub.Pos()+100); got != "1" {
			h.Errorf("the phone gets %q", got)
		}
	})
}

// A message wakes the device that it is for, and no other.
func TestMessageWakesItsDevice(t *testing.T) {
	each(t, func(h *house) {
		h.device(alice, "TABLET")
		listener := h.Hub.Listen(alice)
		defer listener.Close()
		phone, cancel := listener.WaitFor("PHONE")
		defer cancel()
		tablet, cancel := listener.WaitFor("TABLET")
		defer cancel()
		h.send("a", alice, "PHONE", 1)
		select {
		case <-phone:
		default:
			h.Error("the phone sleeps on")
		}
		select {
		case <-tablet:
			h.Error("the tablet woke up")
		default:
		}
	})
}

// TestManyDevicesComeBackAtOnce: what each has goes, and only that.
func TestManyDevicesComeBackAtOnce(t *testing.T) {
	each(t, func(h *house) {
		const devices = 64
		for n := range devices {
			h.device(alice, fmt.Sprint("D", n))
		}
		h.send("a", alice, "*", 1)
		at := h.Hub.Pos()
		h.send("b", alice, "*", 2)
		var all sync.WaitGroup
		for n := range devices {
			all.Go(func() {
				if got, _ := h.fetch(alice, fmt.Sprint("D", n), at); got != "2" {
					h.Errorf("device %d gets %q", n, got)
				}
			})
		}
		all.Wait()
		if got, _ := h.fetch(alice, "PHONE", 0); got != "1 2" {
			h.Errorf("the phone, which was away, gets %q", got)
		}
		h.must(h.DB.Read(h.Context(), func(tx *db.Tx) error {
			n, err := db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM inbox`)
			if n != devices+2 {
				h.Errorf("%d messages are kept, want %d", n, devices+2)
			}
			return err
		}))
	})
}

// More devices get messages than are kept in memory: no inbox is taken for empty
// that is not, and what arrived does not stay.
func TestMemoryOfInboxesIsBounded(t *testing.T) {
	each(t, func(h *house) {
		h.fetch(alice, "PHONE", 0)
		h.send("a", alice, "PHONE", 1)
		for n := range int64(maxInboxes + 5) {
			h.inboxes.put(&store.DeviceMessage{User: bob, Device: fmt.Sprint(n), Pos: n}, false)
			if len(h.inboxes.of) > maxInboxes {
				h.Fatalf("%d inboxes in memory", len(h.inboxes.of))
			}
		}
		got, at := h.fetch(alice, "PHONE", 0)
		h.fetch(alice, "PHONE", at)
		if n, _ := h.stored(); got != "1" || n != 0 {
			h.Errorf("the phone gets %q, and %d stay", got, n)
		}
	})
}

// Requests are remembered for a day, not for ever.
func TestTransactionsAreForgotten(t *testing.T) {
	each(t, func(h *house) {
		old := time.Now().Add(-keepTxns - time.Minute).UnixMilli()
		h.must(h.DB.Write(h.Context(), func(tx *db.Tx) error {
			for n := range 10 {
				if _, err := store.AddInboxTxn(tx, []byte{byte(n)}, old); err != nil {
					return err
				}
			}
			return nil
		}))
		h.sends.Store(sweepEvery - 1)
		h.send("a", alice, "PHONE", 1)
		h.send("a", alice, "PHONE", 1)
		h.must(h.DB.Read(h.Context(), func(tx *db.Tx) error {
			n, err := db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM inbox_txns`)
			if n != 1 {
				h.Errorf("%d requests are remembered", n)
			}
			return err
		}))
		if got, _ := h.fetch(alice, "PHONE", 0); got != "1" {
			h.Errorf("the phone gets %q", got)
		}
	})
}

func TestDehydratedDevice(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		d := Dehydrated{Device: "DREAM", Data: json.RawMessage(`{"algorithm":"m.dehydration.v2"}`)}
		h.fails(h.Dehydrate(ctx, alice, d, "", Upload{}), mxerr.MissingParam)
		h.fails(h.Dehydrate(ctx, alice, Dehydrated{Device: "PHONE", Data: d.Data}, "", Upload{DeviceKeys: deviceKeys(alice, "PHONE")}), mxerr.InvalidParam)
		h.must(h.Dehydrate(ctx, alice, d, "asleep", Upload{DeviceKeys: deviceKeys(alice, "DREAM"), OneTimeKeys: keys(0, 2)}))
		if got, err := h.DehydratedDevice(ctx, alice); err != nil || got.Device != "DREAM" || string(got.Data) != string(d.Data) {
			h.Errorf("%+v, %v", got, err)
		}
		h.send("a", alice, "DREAM", 1)
		for range 2 { // reading does not remove
			mail, next, err := h.DehydratedMail(ctx, alice, "DREAM", "")
			h.must(err)
			if end, _, err := h.DehydratedMail(ctx, alice, "DREAM", next); len(mail) != 1 || err != nil || len(end) != 0 {
				h.Errorf("%d messages, then %d, %v", len(mail), len(end), err)
			}
		}
		_, _, err := h.DehydratedMail(ctx, alice, "PHONE", "")
		h.fails(err, mxerr.Forbidden)
		h.must(h.Dehydrate(ctx, alice, Dehydrated{Device: "DREAM2", Data: d.Data}, "", Upload{DeviceKeys: deviceKeys(alice, "DREAM2")}))
		if got := h.query(alice, alice).Devices[alice]; len(got) != 1 || got["DREAM2"] == nil {
			h.Errorf("devices with keys: %v", got)
		}
		if id, err := h.Rehydrated(ctx, alice); err != nil || id != "DREAM2" {
			h.Errorf("%s, %v", id, err)
		}
		_, err = h.Rehydrated(ctx, alice)
		h.fails(err, mxerr.NotFound)
	})
}
