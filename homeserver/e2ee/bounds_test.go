package e2ee

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// TestAskingForTooMuch: requests for more users, devices or signatures than
// anybody needs are refused, and what is kept in memory stays bounded.
func TestAskingForTooMuch(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		users, devices, signed := map[string][]string{}, map[string]string{}, map[string]json.RawMessage{}
		for i := range maxAsked + 1 {
			users[fmt.Sprintf("@user%d:test", i)] = nil
			devices[fmt.Sprint("D", i)] = "signed_curve25519"
		}
		for i := range maxSignatures + 1 {
			signed[fmt.Sprint("D", i)] = json.RawMessage(`{}`)
		}
		_, err := h.Query(ctx, alice, users)
		h.fails(err, mxerr.InvalidParam)
		_, err = h.Claim(ctx, map[string]map[string]string{alice: devices})
		h.fails(err, mxerr.InvalidParam)
		_, err = h.UploadSignatures(ctx, alice, map[string]map[string]json.RawMessage{alice: signed})
		h.fails(err, mxerr.InvalidParam)

		delete(users, "@user1:test")
		if got, err := h.Query(ctx, alice, users); err != nil || len(got.Devices) != maxAsked {
			h.Errorf("as many users as allowed: %v", err)
		}
		delete(devices, "D1")
		devices["PHONE"] = devices["D2"]
		delete(devices, "D2")
		h.upload(alice, "PHONE", Upload{OneTimeKeys: keys(0, 1)})
		if got, err := h.Claim(ctx, map[string]map[string]string{alice: devices}); err != nil || len(got[alice]) != 1 {
			h.Errorf("as many devices as allowed: %v, %v", got, err)
		}

		for i := range maxCounts {
			h.counts.of[deviceKey{alice, fmt.Sprint(i)}] = Counts{}
		}
		if got := h.left(alice, "PHONE"); got != "0 []" || len(h.counts.of) > maxCounts {
			h.Errorf("left: %s; counts of %d devices are in memory", got, len(h.counts.of))
		}
	})
}

// TestWhatADeviceKeepsIsBounded: keys, algorithms, a sleeping device, and the
// messages and keys of one request.
func TestWhatADeviceKeepsIsBounded(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		long := json.RawMessage(`{"x":"` + strings.Repeat("x", maxDehydrated) + `"}`)
		h.fails(h.Engine.Upload(ctx, alice, "PHONE", Upload{DeviceKeys: long}), mxerr.TooLarge)
		fallback := map[string]json.RawMessage{}
		for i := range maxAlgorithms + 1 {
			fallback[fmt.Sprintf("alg%d:x", i)] = json.RawMessage(`"key"`)
		}
		h.fails(h.Engine.Upload(ctx, alice, "PHONE", Upload{FallbackKeys: fallback}), mxerr.InvalidParam)
		h.fails(h.Dehydrate(ctx, alice, Dehydrated{"SLEEPER", long}, "", Upload{}), mxerr.TooLarge)

		v, err := h.CreateBackup(ctx, alice, "alg", json.RawMessage(`{}`))
		h.must(err)
		room := map[string]BackedUpKey{}
		for i := range maxUpload + 1 {
			room[fmt.Sprint(i)] = backedUp(0, 0, true, `{}`)
		}
		_, err = h.BackUp(ctx, alice, v, BackedUpKeys{"!r": room})
		h.fails(err, mxerr.TooLarge)

		h.must(h.DB.Write(ctx, func(tx *db.Tx) error {
			for i := range maxMail {
				if _, err := store.AddDevice(tx, store.Device{User: alice, ID: fmt.Sprint(i)}); err != nil {
					return err
				}
			}
			return nil
		}))
		h.fails(h.Send(ctx, h.mail("all", "*", `{}`)), mxerr.TooLarge)
	})
}

// TestLeavesToReplaceAreBounded: of those whom an operator lets replace their
// keys, no more are remembered than that.
func TestLeavesToReplaceAreBounded(t *testing.T) {
	each(t, func(h *house) {
		h.replacements.until = map[string]time.Time{}
		for i := range maxReplacements {
			h.replacements.until[fmt.Sprint(i)] = time.Now().Add(time.Hour)
		}
		h.must(h.UploadCrossSigning(h.Context(), alice, crossSigning(alice, alice), false))
		if _, err := h.AllowReplacement(h.Context(), alice, time.Hour); err != nil {
			h.Fatal(err)
		}
		if n := len(h.replacements.until); n > maxReplacements || !h.mayReplace(alice) {
			h.Errorf("%d may replace their keys, alice: %v", n, h.mayReplace(alice))
		}
	})
}
