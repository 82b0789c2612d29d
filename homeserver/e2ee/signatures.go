package e2ee

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/signing"
)

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
				found, err := e.checkSignature(tx, own, user, of, target, raw)
				for _, s := range found {
					changed = true
					if err := store.SetKeySignature(tx, s); err != nil {
						return err
					}
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

// checkSignature finds the key that raw is a signed copy of, and the signatures
// that count on it.
func (e *Engine) checkSignature(tx *db.Tx, own crossKeys, user, of, target string, raw json.RawMessage) ([]store.KeySignature, error) {
	obj, err := canonical(raw)
	if err != nil {
		return nil, err
	}
	if !canonjson.IsObject(obj) {
		return nil, badJSON("A signed key is an object")
	}
	if of != user {
		return checkOther(tx, own, user, of, target, obj)
	}
	if own[master].Public == target && target != "" {
		return checkOwnMaster(tx, own[master], obj)
	}
	device, err := store.DeviceKeysOf(tx, user, target)
	if err != nil {
		return nil, notThere(err)
	}
	return check(store.KeySignature{User: user, Target: target, Signer: user}, own[selfSigning], device.Keys, obj)
}

// checkOther: what I say of somebody else's master key.
func checkOther(tx *db.Tx, own crossKeys, user, of, target string, obj []byte) ([]store.KeySignature, error) {
	theirs, err := crossKeysOf(tx, of)
	if err != nil {
		return nil, err
	}
	if m := theirs[master]; m.Public != target || target == "" {
		return nil, notThere(db.ErrNoRow)
	}
	return check(store.KeySignature{User: of, Target: target, Signer: user}, own[userSigning], theirs[master].Keys, obj)
}

// checkOwnMaster: my devices vouch for my master key. A client uploads the key
// with the signatures that it found there and its own.
func checkOwnMaster(tx *db.Tx, m store.CrossSigningKey, obj []byte) (found []store.KeySignature, err error) {
	wrong := error(mxerr.New(mxerr.InvalidSignature, "None of your devices has signed the master key"))
	for _, id := range signing.KeyIDs(obj, m.User) {
		device, err := store.DeviceKeysOf(tx, m.User, strings.TrimPrefix(id, "ed25519:"))
		if err == db.ErrNoRow {
			continue
		}
		if err != nil {
			return nil, err
		}
		public, _ := canonjson.Path(device.Keys, "keys", id)
		text, _ := canonjson.String(public)
		by := store.CrossSigningKey{User: m.User, Public: text}
		s, err := checkBy(store.KeySignature{User: m.User, Target: m.Public, Signer: m.User}, id, by, m.Keys, obj)
		if err != nil {
			wrong = err
			continue
		}
		found = append(found, s)
	}
	if len(found) == 0 {
		return nil, wrong
	}
	return found, nil
}

func check(s store.KeySignature, by store.CrossSigningKey, key, obj []byte) ([]store.KeySignature, error) {
	if by.Public == "" {
		return nil, mxerr.New(mxerr.InvalidSignature, "You have no key to sign this with")
	}
	s, err := checkBy(s, "ed25519:"+by.Public, by, key, obj)
	if err != nil {
		return nil, err
	}
	return []store.KeySignature{s}, nil
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
