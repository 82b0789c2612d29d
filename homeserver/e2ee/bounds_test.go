package e2ee

import (
	"encoding/json"
	"fmt"
	"testing"

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
