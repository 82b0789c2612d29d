package e2ee

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/signing"
)

// The kinds of a user's keys (client-server-api/#cross-signing).
const (
	master      = "master"
	selfSigning = "self_signing"
	userSigning = "user_signing"
)

// CrossSigning is a user's public keys as uploaded; each may be missing.
type CrossSigning struct {
	Master      json.RawMessage `json:"master_key"`
	SelfSigning json.RawMessage `json:"self_signing_key"`
	UserSigning json.RawMessage `json:"user_signing_key"`
}

// crossKeys are a user's keys by kind.
type crossKeys map[string]store.CrossSigningKey

func crossKeysOf(tx *db.Tx, user string) (crossKeys, error) {
	list, err := store.CrossSigningKeys(tx, user)
	keys := crossKeys{}
	for _, k := range list {
		keys[k.Kind] = k
	}
	return keys, err
}

// ErrNeedsAuth means that a user must authenticate to upload keys.
var ErrNeedsAuth = errors.New("these keys replace others: the user must authenticate")

// needsAuth reports whether an upload replaces or adds to keys that others may
// have verified. Nobody must authenticate for their first keys, or for those they
// have (client-server-api/#post_matrixclientv3keysdevice_signingupload, MSC3967).
func needsAuth(have crossKeys, keys []store.CrossSigningKey) bool {
	if have[master].Keys == nil {
		return false
	}
	return slices.ContainsFunc(keys, func(k store.CrossSigningKey) bool {
		return !bytes.Equal(unsigned(k.Keys), unsigned(have[k.Kind].Keys))
	})
}

// unsigned is a key without its signatures.
func unsigned(key []byte) []byte { return signing.Message(nil, key) }

// UploadCrossSigning stores a user's keys. The self-signing and user-signing keys
// must be signed by the master key, new or present. confirmed says that the user
// has authenticated for this.
//
// Errors: ErrNeedsAuth, M_BAD_JSON, M_INVALID_PARAM for keys of others or of another kind,
// M_MISSING_PARAM without a master key, M_INVALID_SIGNATURE.
func (e *Engine) UploadCrossSigning(ctx context.Context, user string, c CrossSigning, confirmed bool) error {
	keys, err := parseCrossSigning(user, c)
	if err != nil || len(keys) == 0 {
		return err
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		have, err := crossKeysOf(tx, user)
		if err != nil {
			return err
		}
		if !confirmed && !e.mayReplace(user) && needsAuth(have, keys) {
			return ErrNeedsAuth
		}
		differs, seen := false, false // seen by others
		for _, k := range keys {
			if k.Kind != master {
				if err := signedByMaster(have, k); err != nil {
					return err
				}
			}
			old := have[k.Kind]
			have[k.Kind] = k
			if bytes.Equal(old.Keys, k.Keys) {
				continue
			}
			differs, seen = true, seen || k.Kind != userSigning
			if old.Public != "" && old.Public != k.Public {
				if err := store.DeleteKeySignatures(tx, user, old.Public); err != nil {
					return err
				}
			}
			if err := store.SetCrossSigningKey(tx, k); err != nil {
				return err
			}
		}
		switch {
		case seen:
			return e.changed(tx, user, "")
		case differs:
			return e.changed(tx, user, user)
		}
		return nil
	})
}

func signedByMaster(have crossKeys, k store.CrossSigningKey) error {
	m, ok := have[master]
	if !ok {
		return mxerr.New(mxerr.MissingParam, "You have no master key: upload master_key too")
	}
	if signing.Verify(k.Keys, k.User, "ed25519:"+m.Public, publicKey(m.Public)) != nil {
		return mxerr.New(mxerr.InvalidSignature, "The %s key is not signed by your master key", k.Kind)
	}
	return nil
}

// publicKey decodes a key that was checked before.
func publicKey(base64 string) ed25519.PublicKey {
	b, err := signing.DecodeBase64(base64)
	if err != nil {
		return nil
	}
	return b
}

// parseCrossSigning returns the keys of an upload, the master key first.
func parseCrossSigning(user string, c CrossSigning) (all []store.CrossSigningKey, err error) {
	for _, k := range []struct {
		kind string
		raw  json.RawMessage
	}{{master, c.Master}, {selfSigning, c.SelfSigning}, {userSigning, c.UserSigning}} {
		if len(k.raw) == 0 || string(k.raw) == "null" {
			continue
		}
		key, err := parseCrossKey(user, k.kind, k.raw)
		if err != nil {
			return nil, err
		}
		all = append(all, key)
	}
	for i, k := range all {
		if slices.ContainsFunc(all[:i], func(o store.CrossSigningKey) bool { return o.Public == k.Public }) {
			return nil, mxerr.New(mxerr.InvalidParam, "Two of the keys are the same")
		}
	}
	return all, nil
}

func parseCrossKey(user, kind string, raw json.RawMessage) (k store.CrossSigningKey, err error) {
	if len(raw) > maxDeviceKeys {
		return k, mxerr.New(mxerr.TooLarge, "The %s key is more than %d bytes", kind, maxDeviceKeys)
	}
	var p struct {
		User       string          `json:"user_id"`
		Usage      []text          `json:"usage"`
		Keys       map[string]text `json:"keys"`
		Signatures signatures      `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return k, badJSON("The %s key is not of the right form: %v", kind, err)
	}
	if p.User != user {
		return k, mxerr.New(mxerr.InvalidParam, "The %s key is of %q, but you are %s", kind, p.User, user)
	}
	if !slices.Contains(p.Usage, text(kind)) {
		return k, mxerr.New(mxerr.InvalidParam, "The %s key is not for that use", kind)
	}
	if len(p.Keys) != 1 {
		return k, mxerr.New(mxerr.InvalidParam, "The %s key must have exactly one public key", kind)
	}
	for id, key := range p.Keys {
		public := string(key)
		if len(publicKey(public)) != ed25519.PublicKeySize || id != "ed25519:"+public {
			return k, mxerr.New(mxerr.InvalidParam, "The %s key is not an ed25519 key by the name of itself", kind)
		}
		k.Public = public
	}
	c, err := canonical(raw)
	k.User, k.Kind, k.Keys = user, kind, publicPart(c, user)
	return k, err
}
