package e2ee

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// Bounds of what a device may keep here.
const (
	maxDeviceKeys  = 32 << 10 // bytes of a device's identity keys
	maxOneTimeKey  = 4 << 10  // bytes of a key that is given away once
	maxOneTimeKeys = 1000     // of a device, and in one upload; clients keep 50 to 100
	maxAlgorithms  = 20       // with fallback keys
)

// Upload is what a device publishes (client-server-api/#post_matrixclientv3keysupload).
// Each part may be missing.
type Upload struct {
	DeviceKeys   json.RawMessage
	OneTimeKeys  map[string]json.RawMessage // by "<algorithm>:<id>"
	FallbackKeys map[string]json.RawMessage
}

// Upload stores keys of a device. Repeating it changes nothing.
//
// Errors: M_BAD_JSON for keys of a wrong form, M_INVALID_PARAM for those of
// another device, for a one-time key whose id is taken by another key, and for
// more keys than anybody needs.
func (e *Engine) Upload(ctx context.Context, user, device string, u Upload) error {
	keys, err := checkDeviceKeys(u.DeviceKeys, user, device)
	if err != nil {
		return err
	}
	once, err := parseKeys(user, device, u.OneTimeKeys, maxOneTimeKeys)
	if err != nil {
		return err
	}
	fallback, err := parseKeys(user, device, u.FallbackKeys, maxAlgorithms)
	if err != nil {
		return err
	}
	if keys == nil && len(once)+len(fallback) == 0 {
		return nil
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		if keys != nil {
			if err := e.setDeviceKeys(tx, store.DeviceKeys{User: user, Device: device, Keys: keys}); err != nil {
				return err
			}
		}
		if err := addOneTimeKeys(tx, user, device, once); err != nil {
			return err
		}
		for _, k := range fallback {
			if err := store.SetFallbackKey(tx, k); err != nil {
				return err
			}
		}
		e.counts.drop(tx, user, device)
		return nil
	})
}

// checkDeviceKeys returns the canonical form of a device's keys, nil if there
// are none.
func checkDeviceKeys(raw json.RawMessage, user, device string) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if len(raw) > maxDeviceKeys {
		return nil, mxerr.New(mxerr.TooLarge, "device_keys are more than %d bytes", maxDeviceKeys)
	}
	var k struct {
		User       string          `json:"user_id"`
		Device     string          `json:"device_id"`
		Algorithms []text          `json:"algorithms"`
		Keys       map[string]text `json:"keys"`
		Signatures signatures      `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &k); err != nil {
		return nil, badJSON("device_keys are not of the right form: %v", err)
	}
	if k.User != user || k.Device != device {
		return nil, mxerr.New(mxerr.InvalidParam, "device_keys are of %s %s, but you are %s %s", k.User, k.Device, user, device)
	}
	if k.Algorithms == nil || k.Keys == nil || k.Signatures == nil {
		return nil, badJSON("device_keys need algorithms, keys and signatures")
	}
	c, err := canonical(raw)
	if err != nil {
		return nil, err
	}
	return publicPart(c, user), nil
}

// text is a JSON string. encoding/json would take null for "".
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return errors.New("null is no text")
	}
	return json.Unmarshal(b, (*string)(t))
}

// signatures are by user and key id, each a text.
type signatures map[string]signaturesOf

type signaturesOf map[string]text

func (s *signaturesOf) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return errors.New("null is no signature")
	}
	return json.Unmarshal(b, (*map[string]text)(s))
}

// publicPart is what others see of a key: without what was not signed, and with
// its owner's signatures only. Who else vouches for somebody is their secret
// (client-server-api/#key-and-signature-security).
func publicPart(key []byte, owner string) []byte {
	key = canonjson.Without(nil, key, "unsigned")
	all, ok := canonjson.Get(key, "signatures")
	if !ok {
		return key
	}
	only := []byte(`{}`)
	if own, ok := canonjson.Get(all, owner); ok {
		only = canonjson.With(nil, only, owner, own)
	}
	return canonjson.With(nil, key, "signatures", only)
}

// parseKeys checks keys that are given away, in the order of their ids.
func parseKeys(user, device string, keys map[string]json.RawMessage, most int) ([]store.OneTimeKey, error) {
	if len(keys) > most {
		return nil, mxerr.New(mxerr.InvalidParam, "More than %d keys at once", most)
	}
	var out []store.OneTimeKey
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		raw := keys[name]
		algorithm, id, ok := strings.Cut(name, ":")
		if !ok || algorithm == "" || id == "" || len(name) > 255 {
			return nil, badJSON("%.300q is not the name of a key: \"<algorithm>:<id>\"", name)
		}
		if err := checkKey(name, raw); err != nil {
			return nil, err
		}
		if len(raw) > maxOneTimeKey {
			return nil, mxerr.New(mxerr.TooLarge, "The key %s is more than %d bytes", name, maxOneTimeKey)
		}
		key, err := canonical(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, store.OneTimeKey{User: user, Device: device, Algorithm: algorithm, ID: id, Key: key})
	}
	return out, nil
}

// checkKey: what is given to others must be a key as they expect it, that is a
// string, or an object with a key and signatures.
func checkKey(name string, raw json.RawMessage) error {
	if canonjson.IsString(raw) {
		return nil
	}
	var k struct {
		Key        *text      `json:"key"`
		Fallback   bool       `json:"fallback"`
		Signatures signatures `json:"signatures"`
	}
	if json.Unmarshal(raw, &k) != nil || k.Key == nil || k.Signatures == nil {
		return badJSON("The key %s is neither a string nor an object with key and signatures", name)
	}
	return nil
}

func (e *Engine) setDeviceKeys(tx *db.Tx, k store.DeviceKeys) error {
	old, err := store.DeviceKeysOf(tx, k.User, k.Device)
	if err != nil && err != db.ErrNoRow {
		return err
	}
	if bytes.Equal(old.Keys, k.Keys) {
		return nil
	}
	if err := store.SetDeviceKeys(tx, k); err != nil {
		return err
	}
	return e.changed(tx, k.User, "")
}

func addOneTimeKeys(tx *db.Tx, user, device string, keys []store.OneTimeKey) error {
	if len(keys) == 0 {
		return nil
	}
	list, err := store.OneTimeKeys(tx, user, device)
	if err != nil {
		return err
	}
	have := make(map[string][]byte, len(list))
	for _, k := range list {
		have[k.Algorithm+":"+k.ID] = k.Key
	}
	for _, k := range keys {
		old, ok := have[k.Algorithm+":"+k.ID]
		if ok && bytes.Equal(old, k.Key) {
			continue // the client did not get the answer
		}
		if ok {
			return mxerr.New(mxerr.InvalidParam, "There is another one-time key %s:%s already", k.Algorithm, k.ID)
		}
		k.Pos = tx.NextPos()
		if err := store.AddOneTimeKey(tx, k); err != nil {
			return err
		}
		have[k.Algorithm+":"+k.ID] = k.Key
	}
	if len(have) > maxOneTimeKeys {
		return mxerr.New(mxerr.InvalidParam, "A device may have %d one-time keys", maxOneTimeKeys)
	}
	return nil
}
