package e2ee

import (
	"encoding/json"
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// crossSigning are a user's three keys, signed as clients do.
func crossSigning(user, name string) CrossSigning {
	masterPublic, masterKey := keyPair(name + "master")
	key := func(kind string) json.RawMessage {
		public, _ := keyPair(name + kind)
		return sign(fmt.Sprintf(`{"keys":{"ed25519:%s":%q},"usage":[%q],"user_id":%q}`, public, public, kind, user), user, masterPublic, masterKey)
	}
	m := fmt.Sprintf(`{"keys":{"ed25519:%s":%q},"usage":["master"],"user_id":%q}`, masterPublic, masterPublic, user)
	return CrossSigning{Master: json.RawMessage(m), SelfSigning: key(selfSigning), UserSigning: key(userSigning)}
}

func (h *house) query(viewer string, users ...string) *Keys {
	h.Helper()
	ask := map[string][]string{}
	for _, u := range users {
		ask[u] = nil
	}
	got, err := h.Query(h.Context(), viewer, ask)
	h.must(err)
	return got
}

// TestCrossSigning: a user makes keys, signs a device and somebody else's key;
// everybody sees what they may.
func TestCrossSigning(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		h.upload(alice, "PHONE", Upload{DeviceKeys: deviceKeys(alice, "PHONE")})
		for _, user := range []string{alice, bob} {
			c := crossSigning(user, user)
			h.must(h.UploadCrossSigning(ctx, user, CrossSigning{Master: c.Master}, false)) // the first
			if err := h.UploadCrossSigning(ctx, user, c, false); err != ErrNeedsAuth {
				h.Errorf("more keys: %v", err)
			}
			h.must(h.UploadCrossSigning(ctx, user, c, true))
			h.must(h.UploadCrossSigning(ctx, user, c, false)) // the same again
			h.must(h.UploadCrossSigning(ctx, user, CrossSigning{UserSigning: c.UserSigning}, false))
		}
		if err := h.UploadCrossSigning(ctx, alice, crossSigning(alice, "new"), false); err != ErrNeedsAuth {
			h.Errorf("other keys: %v", err)
		}
		selfPublic, selfKey := keyPair(alice + selfSigning)
		userPublic, userKey := keyPair(alice + userSigning)
		bobMaster, _ := keyPair(bob + "master")
		signed := map[string]map[string]json.RawMessage{
			alice: {"PHONE": sign(string(deviceKeys(alice, "PHONE")), alice, selfPublic, selfKey)},
			bob:   {bobMaster: sign(string(crossSigning(bob, bob).Master), alice, userPublic, userKey)},
		}
		failures, err := h.UploadSignatures(ctx, alice, signed)
		if err != nil || len(failures) != 0 {
			h.Fatalf("%v, %v", failures, err)
		}
		for viewer, seesBobs := range map[string]bool{alice: true, bob: false} {
			got := h.query(viewer, alice, bob)
			if _, ok := canonjson.Path(got.Devices[alice]["PHONE"], "signatures", alice, "ed25519:"+selfPublic); !ok {
				h.Errorf("%s does not see that alice signed her phone: %s", viewer, got.Devices[alice]["PHONE"])
			}
			if name, _ := canonjson.Path(got.Devices[alice]["PHONE"], "unsigned", "device_display_name"); string(name) != `"PHONE of @alice:test"` {
				h.Errorf("the phone is called %s", name)
			}
			if _, ok := canonjson.Path(got.Master[bob], "signatures", alice, "ed25519:"+userPublic); ok != seesBobs {
				h.Errorf("%s sees alice's signature of bob: %v", viewer, ok)
			}
			if len(got.UserSigning) != 1 || got.UserSigning[viewer] == nil || len(got.SelfSigning) != 2 {
				h.Errorf("%s sees user-signing keys %v, self-signing %v", viewer, got.UserSigning, got.SelfSigning)
			}
		}
	})
}

// TestDevicesVouchForTheMasterKey: each of a user's devices signs the master key
// as it finds it, with the signatures of the others. One that is wrong does not
// spoil the rest.
func TestDevicesVouchForTheMasterKey(t *testing.T) {
	each(t, func(h *house) {
		c := crossSigning(alice, alice)
		h.must(h.UploadCrossSigning(h.Context(), alice, c, false))
		public, _ := keyPair(alice + "master")
		devices := []string{"LAPTOP", "PHONE", "TABLET"}
		for _, id := range devices {
			h.upload(alice, id, Upload{DeviceKeys: deviceKeys(alice, id)})
			_, private := keyPair(alice + id)
			if id == "LAPTOP" {
				_, private = keyPair("wrong")
			}
			now := sign(string(h.query(alice, alice).Master[alice]), alice, id, private)
			if id == "PHONE" {
				_, private = keyPair("wrong")
				now = sign(string(now), alice, "LAPTOP", private)
			}
			failures, err := h.UploadSignatures(h.Context(), alice, map[string]map[string]json.RawMessage{alice: {public: now}})
			h.must(err)
			if wrong := id == "LAPTOP"; (failures[alice][public] != nil) != wrong {
				h.Errorf("%s: %v", id, failures)
			}
		}
		all, _ := canonjson.Path(h.query(bob, alice).Master[alice], "signatures", alice)
		for _, id := range devices {
			if _, ok := canonjson.Get(all, "ed25519:"+id); ok != (id != "LAPTOP") {
				h.Errorf("the signature of the %s is there: %v", id, ok)
			}
		}
		h.must(h.DB.Write(h.Context(), func(tx *db.Tx) error { return h.DeviceRemoved(tx, alice, "PHONE") }))
		all, _ = canonjson.Path(h.query(bob, alice).Master[alice], "signatures", alice)
		if has(all, "ed25519:PHONE") || !has(all, "ed25519:TABLET") {
			h.Errorf("when the phone is gone: %s", all)
		}
	})
}

// TestWhoVouchesIsASecret: keys that are uploaded with signatures of other people
// are shown without them.
func TestWhoVouchesIsASecret(t *testing.T) {
	each(t, func(h *house) {
		public, private := keyPair("bob's")
		h.upload(alice, "PHONE", Upload{DeviceKeys: sign(string(deviceKeys(alice, "PHONE")), bob, public, private)})
		c := crossSigning(alice, alice)
		c.Master = sign(string(c.Master), bob, public, private)
		h.must(h.UploadCrossSigning(h.Context(), alice, c, false))
		got := h.query(alice, alice)
		for _, key := range []json.RawMessage{got.Devices[alice]["PHONE"], got.Master[alice]} {
			if _, ok := canonjson.Path(key, "signatures", bob); ok {
				h.Errorf("bob's signature shows in %s", key)
			}
		}
		if _, ok := canonjson.Path(got.Devices[alice]["PHONE"], "signatures", alice, "ed25519:PHONE"); !ok {
			h.Error("the device's own signature is gone")
		}
	})
}

func TestCrossSigningRefuses(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		good := crossSigning(alice, alice)
		h.fails(h.UploadCrossSigning(ctx, alice, CrossSigning{SelfSigning: good.SelfSigning}, false), mxerr.MissingParam)
		h.fails(h.UploadCrossSigning(ctx, bob, good, false), mxerr.InvalidParam)
		h.fails(h.UploadCrossSigning(ctx, alice, CrossSigning{Master: good.SelfSigning}, false), mxerr.InvalidParam)
		h.fails(h.UploadCrossSigning(ctx, alice, CrossSigning{Master: json.RawMessage(`7`)}, false), mxerr.BadJSON)
		h.fails(h.UploadCrossSigning(ctx, alice, CrossSigning{Master: good.Master, SelfSigning: crossSigning(alice, "other").SelfSigning}, false), mxerr.InvalidSignature)
		h.must(h.UploadCrossSigning(ctx, alice, good, false))
		h.upload(alice, "PHONE", Upload{DeviceKeys: deviceKeys(alice, "PHONE")})
		wrongPublic, wrongKey := keyPair("wrong")
		failures, err := h.UploadSignatures(ctx, alice, map[string]map[string]json.RawMessage{
			alice: {
				"PHONE":  sign(string(deviceKeys(alice, "PHONE")), alice, wrongPublic, wrongKey),
				"TABLET": deviceKeys(alice, "TABLET"),
			},
			bob: {"nothing": json.RawMessage(`{}`)},
		})
		h.must(err)
		if failures[alice]["PHONE"].Code != mxerr.InvalidSignature || failures[alice]["TABLET"].Code != mxerr.NotFound || failures[bob]["nothing"].Code != mxerr.NotFound {
			h.Errorf("failures: %v", failures)
		}
	})
}

func has(obj []byte, key string) bool {
	_, ok := canonjson.Get(obj, key)
	return ok
}
