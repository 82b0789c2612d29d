// Package signing signs JSON objects with ed25519 and checks such signatures
// (appendices/#signing-json). It does not know whose keys are valid when, nor
// where to find them.
package signing

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"hearth/matrix/canonjson"
)

// Why a signature does not count.
var (
	ErrNoSignature  = errors.New("not signed with this key")
	ErrBadSignature = errors.New("signature does not match")
	ErrKeyID        = errors.New("key id is not ed25519:name")
)

// Algorithm is the only one that the spec has.
const Algorithm = "ed25519"

// ParseKeyID checks a signing key identifier such as "ed25519:a_1" and returns
// what follows the colon.
func ParseKeyID(id string) (name string, err error) {
	alg, name, ok := strings.Cut(id, ":")
	if !ok || alg != Algorithm || name == "" || len(id) > 255 {
		return "", ErrKeyID
	}
	for i := range len(name) {
		c := name[i]
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' {
			continue
		}
		return "", ErrKeyID
	}
	return name, nil
}

// EncodeBase64 writes unpadded base64 with the standard alphabet.
func EncodeBase64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// DecodeBase64 reads base64, padded or not, with the standard or the URL-safe
// alphabet (appendices/#unpadded-base64).
func DecodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}

// Message is what a signature of the canonical object obj covers: obj without
// signatures and unsigned.
func Message(dst, obj []byte) []byte {
	return canonjson.Without(dst, obj, "signatures", "unsigned")
}

// Sign returns obj in canonical form with the signature of server added to those
// it has. obj may be any JSON object. Errors are those of canonjson.Canonical.
func Sign(obj []byte, server, keyID string, key ed25519.PrivateKey) ([]byte, error) {
	obj, err := canonjson.Canonical(make([]byte, 0, len(obj)+256), obj, canonjson.Options{})
	if err != nil {
		return nil, err
	}
	if !canonjson.IsObject(obj) {
		return nil, fmt.Errorf("%w: not an object", canonjson.ErrSyntax)
	}
	sig := ed25519.Sign(key, Message(nil, obj))
	old, _ := canonjson.Get(obj, "signatures")
	return canonjson.With(nil, obj, "signatures", Add(old, server, keyID, sig)), nil
}

// Add returns the canonical signatures object with one more entry, or with the
// entry replaced. signatures may be nil.
func Add(signatures []byte, server, keyID string, sig []byte) []byte {
	entry, _ := canonjson.Get(signatures, server)
	entry = canonjson.With(nil, entry, keyID, canonjson.Quote(nil, EncodeBase64(sig)))
	return canonjson.With(nil, signatures, server, entry)
}

// Verify checks that the canonical object obj is signed by server with the key
// keyID, whose public half is pub. It returns nil, ErrNoSignature or
// ErrBadSignature.
func Verify(obj []byte, server, keyID string, pub ed25519.PublicKey) error {
	sig, err := Signature(obj, server, keyID)
	if err != nil {
		return err
	}
	return VerifyMessage(Message(nil, obj), sig, pub)
}

// VerifyMessage is Verify for a message and signature that were taken apart.
func VerifyMessage(msg, sig []byte, pub ed25519.PublicKey) error {
	// ed25519.Verify panics on a key of the wrong length.
	if len(pub) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize || !ed25519.Verify(pub, msg, sig) {
		return ErrBadSignature
	}
	return nil
}

// Signature returns the decoded signature of server and keyID in the canonical
// object obj. It returns ErrNoSignature, or ErrBadSignature if it is not base64.
func Signature(obj []byte, server, keyID string) ([]byte, error) {
	raw, ok := canonjson.Path(obj, "signatures", server, keyID)
	if !ok {
		return nil, ErrNoSignature
	}
	text, ok := canonjson.String(raw)
	if !ok {
		return nil, ErrBadSignature
	}
	sig, err := DecodeBase64(text)
	if err != nil {
		return nil, ErrBadSignature
	}
	return sig, nil
}

// KeyIDs lists the ed25519 keys that server signed the canonical object obj with.
func KeyIDs(obj []byte, server string) []string {
	var ids []string
	sigs, _ := canonjson.Path(obj, "signatures", server)
	canonjson.Each(sigs, func(key, _ []byte) bool {
		if id := canonjson.Key(key); strings.HasPrefix(id, Algorithm+":") {
			ids = append(ids, id)
		}
		return true
	})
	return ids
}
