package e2ee

import (
	"context"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// Keys are public keys as a viewer sees them
// (client-server-api/#post_matrixclientv3keysquery).
type Keys struct {
	Devices     map[string]map[string]json.RawMessage `json:"device_keys"` // by user and device
	Master      map[string]json.RawMessage            `json:"master_keys"` // by user
	SelfSigning map[string]json.RawMessage            `json:"self_signing_keys"`
	UserSigning map[string]json.RawMessage            `json:"user_signing_keys"` // the viewer's own only
}

// Query returns the keys of devices by user; no devices means all of a user's.
// Users of other servers, and devices that have no keys, are left out.
func (e *Engine) Query(ctx context.Context, viewer string, ask map[string][]string) (*Keys, error) {
	if len(ask) > maxAsked {
		return nil, mxerr.New(mxerr.InvalidParam, "More than %d users at once", maxAsked)
	}
	var users []string
	out := &Keys{
		Devices: map[string]map[string]json.RawMessage{},
		Master:  map[string]json.RawMessage{}, SelfSigning: map[string]json.RawMessage{}, UserSigning: map[string]json.RawMessage{},
	}
	for user := range ask {
		if e.local(user) && utf8.ValidString(user) {
			users = append(users, user)
			out.Devices[user] = map[string]json.RawMessage{}
		}
	}
	slices.Sort(users)
	err := e.DB.Read(ctx, func(tx *db.Tx) error { return fill(tx, viewer, users, ask, out) })
	return out, err
}

func fill(tx *db.Tx, viewer string, users []string, ask map[string][]string, out *Keys) error {
	devices, err := store.DeviceKeysOfUsers(tx, users)
	if err != nil {
		return err
	}
	cross, err := store.CrossSigningKeys(tx, users...)
	if err != nil {
		return err
	}
	list, err := store.KeySignatures(tx, viewer, users)
	if err != nil {
		return err
	}
	signed := map[signedKey][]store.KeySignature{}
	for _, s := range list {
		key := signedKey{s.User, s.Target}
		signed[key] = append(signed[key], s)
	}
	names, err := store.DeviceNames(tx, users)
	if err != nil {
		return err
	}
	for _, k := range devices {
		if only := ask[k.User]; len(only) > 0 && !slices.Contains(only, k.Device) {
			continue
		}
		key := withSignatures(k.Keys, signed[signedKey{k.User, k.Device}])
		if name := names[[2]string{k.User, k.Device}]; name != "" {
			about := canonjson.Quote([]byte(`{"device_display_name":`), name)
			key = canonjson.With(nil, key, "unsigned", append(about, '}'))
		}
		out.Devices[k.User][k.Device] = key
	}
	for _, k := range cross {
		key := withSignatures(k.Keys, signed[signedKey{k.User, k.Public}])
		switch k.Kind {
		case master:
			out.Master[k.User] = key
		case selfSigning:
			out.SelfSigning[k.User] = key
		case userSigning:
			if k.User == viewer {
				out.UserSigning[k.User] = key
			}
		}
	}
	return nil
}

// signedKey names a key that was signed by a device id or public key of a user.
type signedKey struct{ user, target string }

// withSignatures adds the signatures of a key that came after it.
func withSignatures(key []byte, signed []store.KeySignature) json.RawMessage {
	if len(signed) == 0 {
		return key
	}
	all, _ := canonjson.Get(key, "signatures")
	for _, s := range signed {
		of, _ := canonjson.Get(all, s.Signer)
		all = canonjson.With(nil, all, s.Signer, canonjson.With(nil, of, s.SignerKey, canonjson.Quote(nil, s.Signature)))
	}
	return canonjson.With(nil, key, "signatures", all)
}
