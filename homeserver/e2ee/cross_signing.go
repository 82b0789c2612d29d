package e2ee

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
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
		User       string                       `json:"user_id"`
		Usage      []string                     `json:"usage"`
		Keys       map[string]string            `json:"keys"`
		Signatures map[string]map[string]string `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return k, badJSON("The %s key is not of the right form: %v", kind, err)
	}
	if p.User != user {
		return k, mxerr.New(mxerr.InvalidParam, "The %s key is of %q, but you are %s", kind, p.User, user)
	}
	if !slices.Contains(p.Usage, kind) {
		return k, mxerr.New(mxerr.InvalidParam, "The %s key is not for that use", kind)
	}
	if len(p.Keys) != 1 {
		return k, mxerr.New(mxerr.InvalidParam, "The %s key must have exactly one public key", kind)
	}
	for id, public := range p.Keys {
		if len(publicKey(public)) != ed25519.PublicKeySize || id != "ed25519:"+public {
			return k, mxerr.New(mxerr.InvalidParam, "The %s key is not an ed25519 key by the name of itself", kind)
		}
		k.Public = public
	}
	c, err := canonical(raw)
	k.User, k.Kind, k.Keys = user, kind, publicPart(c, user)
	return k, err
}

// Failures are errors by user and by device id or public key.
type Failures map[string]map[string]*mxerr.Error

// maxSignatures bounds the signed keys in one upload.
const maxSignatures = 1000

// UploadSignatures stores signatures of keys: of the user's own devices by the
// self-signing key, of the own master key by devices, and of others' master keys
// by the user-signing key. signed is by user and by device id or public key. What
// is wrong with single ones is in the result.
func (e *Engine) UploadSignatures(ctx context.Context, user string, signed map[string]map[string]json.RawMessage) (Failures, error) {
	n := 0
	for _, keys := range signed {
		n += len(keys)
	}
	if n > maxSignatures {
		return nil, mxerr.New(mxerr.InvalidParam, "More than %d keys at once", maxSignatures)
	}
	var failures Failures
	err := e.DB.Write(ctx, func(tx *db.Tx) error {
		failures = Failures{}
		own, err := crossKeysOf(tx, user)
		if err != nil {
			return err
		}
		for of, keys := range signed {
			changed := false
			for target, raw := range keys {
				sig, err := e.checkSignature(tx, own, user, of, target, raw)
				if err == nil {
					changed, err = true, store.SetKeySignature(tx, sig)
				}
				if err != nil {
					wrong := mxerr.From(err)
					if wrong.Cause != nil {
						return err
					}
					if failures[of] == nil {
						failures[of] = map[string]*mxerr.Error{}
					}
					failures[of][target] = wrong
				}
			}
			viewer := "" // my own signatures are for everybody, those of others for me
			if of != user {
				viewer = user
			}
			if changed {
				if err := e.changed(tx, of, viewer); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return failures, err
}

// checkSignature finds the key that raw is a signed copy of, and the signature
// that counts on it.
func (e *Engine) checkSignature(tx *db.Tx, own crossKeys, user, of, target string, raw json.RawMessage) (s store.KeySignature, err error) {
	obj, err := canonical(raw)
	if err != nil {
		return s, err
	}
	if !canonjson.IsObject(obj) {
		return s, badJSON("A signed key is an object")
	}
	if of != user {
		return checkOther(tx, own, user, of, target, obj)
	}
	if own[master].Public == target && target != "" {
		return checkOwnMaster(tx, own[master], obj)
	}
	device, err := store.DeviceKeysOf(tx, user, target)
	if err != nil {
		return s, notThere(err)
	}
	return check(store.KeySignature{User: user, Target: target, Signer: user}, own[selfSigning], device.Keys, obj)
}

// checkOther: what I say of somebody else's master key.
func checkOther(tx *db.Tx, own crossKeys, user, of, target string, obj []byte) (s store.KeySignature, err error) {
	theirs, err := crossKeysOf(tx, of)
	if err != nil {
		return s, notThere(err)
	}
	if m := theirs[master]; m.Public != target || target == "" {
		return s, notThere(db.ErrNoRow)
	}
	return check(store.KeySignature{User: of, Target: target, Signer: user}, own[userSigning], theirs[master].Keys, obj)
}

// checkOwnMaster: one of my devices vouches for my master key.
func checkOwnMaster(tx *db.Tx, m store.CrossSigningKey, obj []byte) (s store.KeySignature, err error) {
	for _, id := range signing.KeyIDs(obj, m.User) {
		device, err := store.DeviceKeysOf(tx, m.User, strings.TrimPrefix(id, "ed25519:"))
		if err == db.ErrNoRow {
			continue
		}
		if err != nil {
			return s, err
		}
		public, _ := canonjson.Path(device.Keys, "keys", id)
		text, _ := canonjson.String(public)
		by := store.CrossSigningKey{User: m.User, Public: text}
		return checkBy(store.KeySignature{User: m.User, Target: m.Public, Signer: m.User}, id, by, m.Keys, obj)
	}
	return s, mxerr.New(mxerr.InvalidSignature, "None of your devices has signed the master key")
}

func check(s store.KeySignature, by store.CrossSigningKey, key, obj []byte) (store.KeySignature, error) {
	if by.Public == "" {
		return s, mxerr.New(mxerr.InvalidSignature, "You have no key to sign this with")
	}
	return checkBy(s, "ed25519:"+by.Public, by, key, obj)
}

// checkBy verifies the signature of obj, which must be key but for signatures.
func checkBy(s store.KeySignature, keyID string, by store.CrossSigningKey, key, obj []byte) (store.KeySignature, error) {
	if !bytes.Equal(unsigned(key), unsigned(obj)) {
		return s, mxerr.New(mxerr.InvalidParam, "The key differs from the one that was uploaded")
	}
	if signing.Verify(obj, s.Signer, keyID, publicKey(by.Public)) != nil {
		return s, mxerr.New(mxerr.InvalidSignature, "The signature is missing or wrong")
	}
	raw, _ := canonjson.Path(obj, "signatures", s.Signer, keyID)
	s.SignerKey = keyID
	s.Signature, _ = canonjson.String(raw)
	return s, nil
}

func notThere(err error) error {
	if err == db.ErrNoRow {
		return mxerr.New(mxerr.NotFound, "There is no such key")
	}
	return err
}
