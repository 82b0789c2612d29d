package pdu

import (
	"crypto/ed25519"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
	"hearth/matrix/signing"
)

// Message is what signatures of e cover: the redacted event without signatures.
func (e *Event) Message() []byte {
	return appendRedacted(make([]byte, 0, len(e.JSON)), e.Version, e.JSON, false)
}

// Verify checks the signature of server with the key keyID, whose public half is
// pub. It returns nil, signing.ErrNoSignature or signing.ErrBadSignature.
func (e *Event) Verify(server mxid.ServerName, keyID string, pub ed25519.PublicKey) error {
	sig, err := signing.Signature(e.JSON, string(server), keyID)
	if err != nil {
		return err
	}
	return signing.VerifyMessage(e.Message(), sig, pub)
}

// KeyIDs lists the ed25519 keys with which server signed e.
func (e *Event) KeyIDs(server mxid.ServerName) []string {
	return signing.KeyIDs(e.JSON, string(server))
}

// Sign returns e with the signature of one more server, as an invited user's
// server and the server that vouches for a restricted join add them. The id
// stays the same.
func (e *Event) Sign(server mxid.ServerName, keyID string, key ed25519.PrivateKey) (*Event, error) {
	old, _ := canonjson.Get(e.JSON, "signatures")
	sigs := signing.Add(old, string(server), keyID, ed25519.Sign(key, e.Message()))
	out := canonjson.With(make([]byte, 0, len(e.JSON)+len(sigs)), e.JSON, "signatures", sigs)
	if len(out) > MaxSize {
		return nil, errTooLarge()
	}
	return Parse(e.Version, e.ID, out)
}
