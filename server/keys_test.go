package server_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"hearth/e2e"
	"hearth/matrix/signing"
)

// device is somebody's client with keys.
type device struct {
	*e2e.Client
	t     *testing.T
	id    string
	since string
}

type object = map[string]any

func (h *house) device(t *testing.T, c *e2e.Client) *device {
	t.Helper()
	d := &device{Client: c, t: t}
	var me struct {
		Device string `json:"device_id"`
	}
	d.get("/account/whoami", &me)
	d.id = me.Device
	return d
}

// post sends a request that must succeed; path is below v3, or whole.
func (d *device) post(path string, body, answer any) {
	d.t.Helper()
	if path[1] != '_' {
		path = v3 + path
	}
	if err := d.Do(d.t.Context(), http.MethodPost, path, body, answer); err != nil {
		d.t.Fatalf("%s: %v", path, err)
	}
}

func (d *device) get(path string, answer any) {
	d.t.Helper()
	if err := d.Do(d.t.Context(), http.MethodGet, v3+path, nil, answer); err != nil {
		d.t.Fatalf("%s: %v", path, err)
	}
}

// refused checks how a request fails.
func (d *device) refused(path string, body any, status int, code string) {
	d.t.Helper()
	var got *e2e.StatusError
	if err := d.Do(d.t.Context(), http.MethodPost, v3+path, body, nil); !errors.As(err, &got) || got.Status != status || got.Code != code {
		d.t.Errorf("%s with %v: %v, want %d %s", path, body, err, status, code)
	}
}

func (d *device) keys() object {
	return object{
		"user_id": d.UserID, "device_id": d.id, "algorithms": []string{"m.olm.v1.curve25519-aes-sha2"},
		"keys": object{"ed25519:" + d.id: "key of " + d.id}, "signatures": object{},
	}
}

// hears syncs and checks who is in device_lists, changed and left, and how many
// keys of the device are left.
func (d *device) hears(want string) {
	d.t.Helper()
	var a struct {
		Next  string `json:"next_batch"`
		Lists struct {
			Changed, Left []string
		} `json:"device_lists"`
		Counts   map[string]int `json:"device_one_time_keys_count"`
		Fallback []string       `json:"device_unused_fallback_key_types"`
		Old      []string       `json:"org.matrix.msc2732.device_unused_fallback_key_types"`
	}
	d.get("/sync?since="+d.since, &a)
	d.since = a.Next
	if got := fmt.Sprint(a.Lists.Changed, a.Lists.Left, a.Counts["signed_curve25519"], a.Fallback); got != want || !slices.Equal(a.Old, a.Fallback) {
		d.t.Errorf("%s hears %s (%v), want %s", d.UserID, got, a.Old, want)
	}
}

type known struct {
	Devices map[string]map[string]struct {
		Unsigned struct {
			Name string `json:"device_display_name"`
		}
	} `json:"device_keys"`
	Failures object
	Master   map[string]json.RawMessage `json:"master_keys"`
	User     map[string]json.RawMessage `json:"user_signing_keys"`
}

func (d *device) knows(user string) (got known) {
	d.t.Helper()
	d.post("/keys/query", object{"device_keys": object{user: []string{}}}, &got)
	return got
}

// TestKeysOfADevice: from the first keys to the last, as bob sees alice's.
func TestKeysOfADevice(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		a, b := h.device(t, h.user(t, "alice")), h.device(t, h.user(t, "bob"))
		room(t, a.Client, b.Client)
		a.hears("[] [] 0 []")
		b.hears("[] [] 0 []")

		var counts struct {
			Counts map[string]int `json:"one_time_key_counts"`
		}
		a.post("/keys/upload", object{"device_keys": a.keys(), "one_time_keys": object{"signed_curve25519:A": object{"key": "one", "signatures": object{}}}}, &counts)
		a.post("/_matrix/client/r0/keys/upload/"+url.PathEscape(a.id), object{"fallback_keys": object{"signed_curve25519:B": object{"key": "two", "signatures": object{}, "fallback": true}}}, &counts)
		a.post("/_matrix/client/unstable/keys/upload", object{}, &counts)
		if counts.Counts["signed_curve25519"] != 1 {
			t.Errorf("counts are %v", counts)
		}
		a.hears("[" + a.UserID + "] [] 1 [signed_curve25519]")
		from := b.since
		b.hears("[" + a.UserID + "] [] 0 []")

		var lists struct{ Changed, Left []string }
		b.get("/keys/changes?from="+from+"&to="+b.since, &lists)
		if fmt.Sprint(lists) != "{["+a.UserID+"] []}" {
			t.Errorf("changes are %v", lists)
		}

		claim := object{"one_time_keys": object{a.UserID: object{a.id: "signed_curve25519"}, "@x:elsewhere.test": object{"X": "signed_curve25519"}}}
		for _, want := range []string{"A", "B", "B"} {
			var got struct {
				Failures object
				Keys     map[string]map[string]map[string]object `json:"one_time_keys"`
			}
			b.post("/keys/claim", claim, &got)
			if got.Keys[a.UserID][a.id]["signed_curve25519:"+want] == nil || got.Failures["elsewhere.test"] == nil {
				t.Errorf("claimed %v, want %s", got, want)
			}
		}
		a.hears("[] [] 0 []")

		if err := a.Do(t.Context(), http.MethodPut, v3+"/devices/"+url.PathEscape(a.id), object{"display_name": "Tea phone"}, nil); err != nil {
			t.Fatal(err)
		}
		b.hears("[" + a.UserID + "] [] 0 []")
		got := b.knows(a.UserID)
		if name := got.Devices[a.UserID][a.id].Unsigned.Name; name != "Tea phone" {
			t.Errorf("the phone is called %q", name)
		}
		if got = b.knows("@x:elsewhere.test"); got.Failures["elsewhere.test"] == nil {
			t.Errorf("a server out of reach is no failure")
		}

		a.post("/logout", nil, nil)
		b.hears("[" + a.UserID + "] [] 0 []")
		if got := b.knows(a.UserID); len(got.Devices) != 1 || len(got.Devices[a.UserID]) != 0 {
			t.Errorf("bob knows %v", got.Devices)
		}
	})
}

// TestAnAccountClosesWithItsKeys: who shared a room with the account need not
// follow it any more, and finds no devices.
func TestAnAccountClosesWithItsKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		a, b := h.device(t, h.user(t, "alice")), h.device(t, h.user(t, "bob"))
		room(t, b.Client, a.Client)
		a.post("/keys/upload", object{"device_keys": a.keys()}, nil)
		b.hears("[] [] 0 []")
		a.post("/account/deactivate", object{"auth": password(a, "alice")}, nil)
		b.hears("[] [" + a.UserID + "] 0 []")
		if got := b.knows(a.UserID); len(got.Devices[a.UserID]) != 0 {
			t.Errorf("bob knows %v", got.Devices)
		}
	})
}

func password(d *device, name string) object {
	return object{"type": "m.login.password", "identifier": object{"type": "m.id.user", "user": d.UserID}, "password": e2e.Password(name)}
}

// crossKey is a public key of a user, signed by the private key by if it is not
// nil.
func crossKey(t *testing.T, user, usage string, key, by ed25519.PrivateKey) json.RawMessage {
	t.Helper()
	public := signing.EncodeBase64(key.Public().(ed25519.PublicKey))
	raw := fmt.Appendf(nil, `{"keys":{"ed25519:%s":%q},"usage":[%q],"user_id":%q}`, public, public, usage, user)
	if by == nil {
		return raw
	}
	raw, err := signing.Sign(raw, user, "ed25519:"+signing.EncodeBase64(by.Public().(ed25519.PublicKey)), by)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestReplacingKeysNeedsThePassword: the first keys, and the same again, do not;
// others do, and only their owner sees the user-signing key.
func TestReplacingKeysNeedsThePassword(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		a, b := h.device(t, h.user(t, "alice")), h.device(t, h.user(t, "bob"))
		var keys []ed25519.PrivateKey
		for i := range byte(3) {
			keys = append(keys, ed25519.NewKeyFromSeed(append(make([]byte, 31), i)))
		}
		const path = "/keys/device_signing/upload"
		first := object{"master_key": crossKey(t, a.UserID, "master", keys[0], nil)}
		a.post(path, first, nil)
		a.post("/_matrix/client/unstable"+path, first, nil)
		a.refused(path, object{"master_key": crossKey(t, a.UserID, "master", keys[1], nil)}, 401, "")
		more := object{"user_signing_key": crossKey(t, a.UserID, "user_signing", keys[2], keys[0])}
		a.refused(path, more, 401, "")
		more["auth"] = password(a, "bob")
		a.refused(path, more, 401, "M_FORBIDDEN")
		more["auth"] = password(a, "alice")
		a.post(path, more, nil)
		a.post(path, more, nil)
		delete(more, "auth")
		a.post(path, more, nil)
		a.refused(path, object{"master_key": crossKey(t, b.UserID, "master", keys[0], nil)}, 400, "M_INVALID_PARAM")
		for d, sees := range map[*device]int{a: 1, b: 0} {
			if got := d.knows(a.UserID); len(got.Master) != 1 || len(got.User) != sees {
				t.Errorf("%s sees %v, %v", d.UserID, got.Master, got.User)
			}
		}
	})
}

func TestKeysRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		a := h.device(t, h.user(t, "alice"))
		a.refused("/keys/upload/OTHER", object{}, 400, "M_INVALID_PARAM")
		a.refused("/keys/upload", object{"device_keys": object{"user_id": a.UserID, "device_id": a.id}}, 400, "M_BAD_JSON")
		a.refused("/keys/upload", object{"one_time_keys": object{"a\x00:b": "x"}}, 400, "M_INVALID_PARAM")
		a.refused("/keys/query", object{"device_keys": object{a.UserID: object{"X": true}}}, 400, "M_BAD_JSON")
		a.refused("/keys/query", object{}, 400, "M_MISSING_PARAM")
		a.refused("/keys/claim", object{"one_time_keys": object{a.UserID: []string{"X"}}}, 400, "M_BAD_JSON")
		a.refused("/keys/claim", object{}, 400, "M_MISSING_PARAM")
		a.refused("/keys/signatures/upload", object{a.UserID: []string{}}, 400, "M_BAD_JSON")
		for _, path := range []string{"/keys/query", "/keys/claim", "/keys/signatures/upload"} {
			nul := object{"@\x00:example.test": object{"\x00": object{}}}
			body := map[string]any{
				"/keys/query":             object{"device_keys": object{"@\x00:example.test": []string{"\x00"}}},
				"/keys/claim":             object{"one_time_keys": object{"@\x00:example.test": object{"\x00": "\x00"}}},
				"/keys/signatures/upload": nul,
			}[path]
			var refusal *e2e.StatusError
			if err := a.Do(t.Context(), http.MethodPost, v3+path, body, nil); err != nil && (!errors.As(err, &refusal) || refusal.Status != 400) {
				t.Errorf("%s with a NUL character: %v", path, err)
			}
		}
		for _, query := range []string{"", "?from=s1_1", "?from=x&to=s1_1", "?from=s1_1&to=-"} {
			var refusal *e2e.StatusError
			if err := a.Do(t.Context(), http.MethodGet, v3+"/keys/changes"+query, nil, nil); !errors.As(err, &refusal) || refusal.Status != 400 {
				t.Errorf("changes%s: %v", query, err)
			}
		}
	})
}

// TestRoomsThatBeginEncrypted: a client asks for encryption when it makes a room,
// and it is there before anybody can say a word.
func TestRoomsThatBeginEncrypted(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		a, b := h.device(t, h.user(t, "alice")), h.device(t, h.user(t, "bob"))
		for _, preset := range []string{"trusted_private_chat", "private_chat", "public_chat"} {
			var made struct {
				ID string `json:"room_id"`
			}
			a.post("/createRoom", object{
				"preset": preset, "is_direct": true, "invite": []string{b.UserID},
				"initial_state": []object{{"type": "m.room.encryption", "state_key": "", "content": object{"algorithm": "m.megolm.v1.aes-sha2"}}},
			}, &made)
			var state struct{ Algorithm string }
			a.get("/rooms/"+url.PathEscape(made.ID)+"/state/m.room.encryption/", &state)
			if state.Algorithm != "m.megolm.v1.aes-sha2" {
				t.Errorf("%s: encryption is %v", preset, state)
			}
		}
	})
}
