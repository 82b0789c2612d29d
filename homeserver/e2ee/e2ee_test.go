package e2ee

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/matrix/mxerr"
	"hearth/matrix/signing"
)

const alice, bob = "@alice:test", "@bob:test"

// house is an engine with people who have devices.
type house struct {
	*testing.T
	*Engine
}

func each(t *testing.T, f func(h *house)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		hub := notify.NewHub(d.Position())
		d.OnCommit(hub.Advance)
		h := &house{t, New(Config{DB: d, Hub: hub, Server: "test"})}
		for _, user := range []string{alice, bob} {
			h.device(user, "PHONE")
		}
		f(h)
	})
}

func (h *house) device(user, id string) {
	h.Helper()
	h.must(h.DB.Write(h.Context(), func(tx *db.Tx) error {
		_, err := store.AddDevice(tx, store.Device{User: user, ID: id, Name: id + " of " + user})
		return err
	}))
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) fails(err error, want mxerr.Code) {
	h.Helper()
	if err == nil || mxerr.From(err).Code != want {
		h.Errorf("%v, want %s", err, want)
	}
}

// keyPair makes a key that is the same each time.
func keyPair(name string) (public string, private ed25519.PrivateKey) {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	private = ed25519.NewKeyFromSeed(seed)
	return signing.EncodeBase64(private.Public().(ed25519.PublicKey)), private
}

func deviceKeys(user, device string) json.RawMessage {
	public, private := keyPair(user + device)
	return sign(fmt.Sprintf(`{"algorithms":["m.olm"],"device_id":%q,"keys":{"ed25519:%s":%q},"user_id":%q}`, device, device, public, user), user, device, private)
}

func sign(obj, user, key string, private ed25519.PrivateKey) json.RawMessage {
	b, err := signing.Sign([]byte(obj), user, "ed25519:"+key, private)
	if err != nil {
		panic(err)
	}
	return b
}

func keys(from, to int) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for i := from; i < to; i++ {
		out[fmt.Sprintf("signed_curve25519:%03d", i)] = json.RawMessage(fmt.Sprintf(`{"key":"%d","signatures":{}}`, i))
	}
	return out
}

func (h *house) upload(user, device string, u Upload) {
	h.Helper()
	h.must(h.Engine.Upload(h.Context(), user, device, u))
}

func (h *house) claim(user, device string) string {
	h.Helper()
	got, err := h.Claim(h.Context(), map[string]map[string]string{user: {device: "signed_curve25519"}})
	h.must(err)
	return strings.Join(slices.Sorted(maps.Keys(got[user][device])), " ")
}

func (h *house) left(user, device string) string {
	h.Helper()
	c, err := h.Counts(h.Context(), user, device)
	h.must(err)
	return fmt.Sprint(c.OneTime["signed_curve25519"], c.Unused)
}

// TestOneTimeKeysGoOnceInOrder: keys go in the order in which they came, each
// once, then the fallback key as often as asked.
func TestOneTimeKeysGoOnceInOrder(t *testing.T) {
	each(t, func(h *house) {
		if got := h.left(alice, "PHONE"); got != "0 []" {
			h.Errorf("before: %s", got)
		}
		h.upload(alice, "PHONE", Upload{OneTimeKeys: keys(5, 7)})
		h.upload(alice, "PHONE", Upload{OneTimeKeys: keys(1, 2), FallbackKeys: keys(900, 901)})
		h.upload(alice, "PHONE", Upload{OneTimeKeys: keys(5, 7)}) // again
		if got := h.left(alice, "PHONE"); got != "3 [signed_curve25519]" {
			h.Errorf("left: %s", got)
		}
		for _, want := range []string{"005", "006", "001", "900", "900"} {
			if got := h.claim(alice, "PHONE"); got != "signed_curve25519:"+want {
				h.Errorf("claimed %q, want %s", got, want)
			}
		}
		if got := h.left(alice, "PHONE"); got != "0 []" {
			h.Errorf("after: %s", got)
		}
		h.upload(alice, "PHONE", Upload{FallbackKeys: keys(900, 901)})
		if got := h.left(alice, "PHONE"); got != "0 []" {
			h.Errorf("the used fallback key counts as new: %s", got)
		}
		h.upload(alice, "PHONE", Upload{FallbackKeys: keys(901, 902)})
		if got := h.left(alice, "PHONE"); got != "0 [signed_curve25519]" {
			h.Errorf("a new fallback key: %s", got)
		}
		if got := h.claim(bob, "PHONE") + h.claim(bob, "\x00") + h.claim("@carol:elsewhere", "X"); got != "" {
			h.Errorf("keys of nobody: %q", got)
		}
	})
}

// TestManyClaimAtOnce: 64 claims at a time, and no key is given twice.
func TestManyClaimAtOnce(t *testing.T) {
	each(t, func(h *house) {
		h.upload(alice, "PHONE", Upload{OneTimeKeys: keys(0, 100), FallbackKeys: keys(900, 901)})
		var mu sync.Mutex
		seen := map[string]int{}
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 2 {
					got, err := h.Claim(context.Background(), map[string]map[string]string{alice: {"PHONE": "signed_curve25519"}})
					if err != nil {
						h.Error(err)
					}
					mu.Lock()
					for id := range got[alice]["PHONE"] {
						seen[id]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(seen) != 101 || seen["signed_curve25519:900"] != 28 {
			h.Errorf("%d keys, the fallback key %d times; want 101 and 28", len(seen), seen["signed_curve25519:900"])
		}
		for id, n := range seen {
			if n != 1 && id != "signed_curve25519:900" {
				h.Errorf("%s was given %d times", id, n)
			}
		}
	})
}

func TestUploadRefuses(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		h.upload(alice, "PHONE", Upload{OneTimeKeys: keys(1, 2)})
		long := json.RawMessage(`"` + strings.Repeat("x", maxOneTimeKey) + `"`)
		for what, tc := range map[string]struct {
			u    Upload
			want mxerr.Code
		}{
			"no algorithms":        {Upload{DeviceKeys: json.RawMessage(`{"user_id":"@alice:test","device_id":"PHONE"}`)}, mxerr.BadJSON},
			"null for a text":      {Upload{DeviceKeys: json.RawMessage(`{"user_id":"@alice:test","device_id":"PHONE","algorithms":[null],"keys":{},"signatures":{}}`)}, mxerr.BadJSON},
			"null for signatures":  {Upload{DeviceKeys: json.RawMessage(`{"user_id":"@alice:test","device_id":"PHONE","algorithms":[],"keys":{},"signatures":{"@alice:test":null}}`)}, mxerr.BadJSON},
			"somebody else's keys": {Upload{DeviceKeys: deviceKeys(bob, "PHONE")}, mxerr.InvalidParam},
			"another device's":     {Upload{DeviceKeys: deviceKeys(alice, "OTHER")}, mxerr.InvalidParam},
			"a list":               {Upload{DeviceKeys: json.RawMessage(`[]`)}, mxerr.BadJSON},
			"a taken id":           {Upload{OneTimeKeys: map[string]json.RawMessage{"signed_curve25519:001": json.RawMessage(`{"key":"other","signatures":{}}`)}}, mxerr.InvalidParam},
			"no id":                {Upload{OneTimeKeys: map[string]json.RawMessage{"signed_curve25519": json.RawMessage(`"x"`)}}, mxerr.BadJSON},
			"no signatures":        {Upload{OneTimeKeys: map[string]json.RawMessage{"a:b": json.RawMessage(`{"key":"x"}`)}}, mxerr.BadJSON},
			"a number":             {Upload{OneTimeKeys: map[string]json.RawMessage{"a:b": json.RawMessage(`1`)}}, mxerr.BadJSON},
			"a long key":           {Upload{OneTimeKeys: map[string]json.RawMessage{"a:b": long}}, mxerr.TooLarge},
			"too many":             {Upload{OneTimeKeys: keys(0, maxOneTimeKeys+1)}, mxerr.InvalidParam},
			"too many in all":      {Upload{OneTimeKeys: keys(2, maxOneTimeKeys+2)}, mxerr.InvalidParam},
		} {
			if err := h.Engine.Upload(ctx, alice, "PHONE", tc.u); err == nil || mxerr.From(err).Code != tc.want {
				h.Errorf("%s: %v, want %s", what, err, tc.want)
			}
		}
		if got := h.left(alice, "PHONE"); got != "1 []" {
			h.Errorf("after refusals: %s", got)
		}
	})
}

// TestAGoneDeviceLeavesNothing: who logs in again by the id of a device that was
// removed finds no keys and no messages of it, and others hear of it.
func TestAGoneDeviceLeavesNothing(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		h.upload(alice, "PHONE", Upload{DeviceKeys: deviceKeys(alice, "PHONE"), OneTimeKeys: keys(0, 3), FallbackKeys: keys(9, 10)})
		h.must(h.Send(ctx, Mail{Sender: bob, Type: "x", TxnID: "1", Messages: map[string]map[string]json.RawMessage{alice: {"PHONE": json.RawMessage(`{}`)}}}))
		before := h.Hub.Pos()
		h.must(h.DB.Write(ctx, func(tx *db.Tx) error { return h.DeviceRemoved(tx, alice, "PHONE") }))
		if got := h.left(alice, "PHONE") + h.claim(alice, "PHONE"); got != "0 []" {
			h.Errorf("keys are left: %s", got)
		}
		if got := h.query(bob, alice); len(got.Devices[alice]) != 0 {
			h.Errorf("bob still sees %v", got.Devices)
		}
		if mail, _, err := h.Fetch(ctx, alice, "PHONE", 0, h.Hub.Pos(), 0); err != nil || len(mail) != 0 {
			h.Errorf("messages are left: %q, %v", mail, err)
		}
		if got, err := h.Changed(ctx, bob, before); err != nil || !slices.Equal(got, []string{alice}) {
			h.Errorf("changed: %v, %v", got, err)
		}
	})
}

// TestChangesFromMemoryAndStore: what has left memory is read from the store.
func TestChangesFromMemoryAndStore(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		start := h.Hub.Pos()
		h.upload(alice, "PHONE", Upload{DeviceKeys: deviceKeys(alice, "PHONE")})
		middle := h.Hub.Pos()
		h.must(h.UploadCrossSigning(ctx, bob, crossSigning(bob, bob), false))
		again := New(h.Config)
		for name, e := range map[string]*Engine{"memory": h.Engine, "store": again} {
			for after, want := range map[int64]int{start: 2, middle: 1, h.Hub.Pos(): 0} {
				if got, err := e.Changed(ctx, alice, after); err != nil || len(got) != want {
					h.Errorf("%s: after %d: %v, %v; want %d users", name, after, got, err, want)
				}
			}
		}
		for range maxChanges + 10 {
			h.must(h.DB.Write(ctx, func(tx *db.Tx) error { return h.changed(tx, bob, "") }))
		}
		if n := len(h.changes.list); n > maxChanges {
			h.Errorf("%d changes in memory", n)
		}
		if got, err := h.Changed(ctx, alice, start); err != nil || len(got) != 2 {
			h.Errorf("after many: %v, %v", got, err)
		}
	})
}
