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
	signed, err := store.KeySignatures(tx, viewer, users)
	if err != nil {
		return err
	}
	names, err := store.DeviceNames(tx, users)
	if err != nil {
		return err
	}
	for _, k := range devices {
		if only := ask[k.User]; len(only) > 0 && !slices.Contains(only, k.Device) {
			continue
		}
		key := withSignatures(k.Keys, k.User, k.Device, signed)
		if name := names[[2]string{k.User, k.Device}]; name != "" {
			about := canonjson.Quote([]byte(`{"device_display_name":`), name)
			key = canonjson.With(nil, key, "unsigned", append(about, '}'))
		}
		out.Devices[k.User][k.Device] = key
	}
	for _, k := range cross {
		key := withSignatures(k.Keys, k.User, k.Public, signed)
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

// withSignatures adds the signatures of a key that came after it.
func withSignatures(key []byte, user, target string, signed []store.KeySignature) json.RawMessage {
	all, _ := canonjson.Get(key, "signatures")
	n := 0
	for _, s := range signed {
		if s.User != user || s.Target != target {
			continue
		}
		of, _ := canonjson.Get(all, s.Signer)
		all = canonjson.With(nil, all, s.Signer, canonjson.With(nil, of, s.SignerKey, canonjson.Quote(nil, s.Signature)))
		n++
	}
	if n == 0 {
		return key
	}
	return canonjson.With(nil, key, "signatures", all)
}
