package e2ee

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

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
		for n := range trimEvery {
			h.send(fmt.Sprint(n), alice, "PHONE", n)
		}
		var rows []store.DeviceMessage
		h.must(h.DB.Read(h.Context(), func(tx *db.Tx) (err error) {
			rows, err = store.DeviceMessages(tx, alice, "PHONE", 0, 2*maxInbox)
			return err
		}))
		if n := len(rows); n < maxInbox || n > maxInbox+trimEvery {
			h.Errorf("%d messages wait, bound %d", n, maxInbox)
		}
		big := json.RawMessage(`{"x":"` + strings.Repeat("x", maxMessage) + `"}`)
		h.fails(h.Send(h.Context(), Mail{Sender: bob, Type: "t", TxnID: "big", Messages: map[string]map[string]json.RawMessage{alice: {"PHONE": big}}}), mxerr.TooLarge)
		h.fails(h.Send(h.Context(), Mail{Sender: bob, Type: "t", TxnID: "bad", Messages: map[string]map[string]json.RawMessage{alice: {"PHONE": json.RawMessage(`1`)}}}), mxerr.BadJSON)
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
