package authrules

import (
	"crypto/ed25519"
	"strings"

	"hearth/matrix/canonjson"
	"hearth/matrix/pdu"
	"hearth/matrix/signing"
)

// thirdPartyInvite is rule 5.4.1. tp is content.third_party_invite.
func (c *check) thirdPartyInvite(target string, tp []byte) error {
	// 5.4.1.1
	if c.membership(target) == "ban" {
		return ErrTPBanned
	}
	// 5.4.1.2
	signed, ok := canonjson.Get(tp, "signed")
	if !ok {
		return ErrTPNotSigned
	}
	// 5.4.1.3
	mxid, ok := canonjson.GetString(signed, "mxid")
	token, ok2 := canonjson.GetString(signed, "token")
	if !ok || !ok2 {
		return ErrTPForm
	}
	// 5.4.1.4
	if mxid != target {
		return ErrTPUser
	}
	// 5.4.1.5
	invite := c.st(typeThirdParty, token)
	if invite == nil {
		return ErrTPUnknown
	}
	// 5.4.1.6
	if invite.Sender != c.ev.Sender {
		return ErrTPSender
	}
	// 5.4.1.7, 5.4.1.8
	if !signedByAny(signed, thirdPartyKeys(invite)) {
		return ErrTPSignature
	}
	return nil
}

// thirdPartyKeys are the public keys of an m.room.third_party_invite.
func thirdPartyKeys(invite *pdu.Event) []ed25519.PublicKey {
	var keys []ed25519.PublicKey
	add := func(obj []byte) {
		text, _ := canonjson.GetString(obj, "public_key")
		if key, err := signing.DecodeBase64(text); err == nil && len(key) == ed25519.PublicKeySize {
			keys = append(keys, key)
		}
	}
	add(invite.Content)
	list, _ := invite.Get("public_keys")
	canonjson.EachElem(list, func(v []byte) bool {
		add(v)
		// More keys than anybody needs would make each check expensive.
		return len(keys) < maxThirdPartyKeys
	})
	return keys
}

// Bounds on the work that one event can ask for: each pair of a key and a
// signature costs some 40 µs.
const (
	maxThirdPartyKeys = 16
	maxThirdPartySigs = 16
)

// signedByAny reports whether a signature in the object matches a key. Who is
// said to have signed does not matter.
func signedByAny(obj []byte, keys []ed25519.PublicKey) bool {
	msg := signing.Message(nil, obj)
	sigs, _ := canonjson.Get(obj, "signatures")
	found, tried := false, 0
	canonjson.Each(sigs, func(_, server []byte) bool {
		canonjson.Each(server, func(id, raw []byte) bool {
			text, _ := canonjson.String(raw)
			sig, err := signing.DecodeBase64(text)
			if err != nil || !strings.HasPrefix(canonjson.Key(id), signing.Algorithm+":") {
				return true
			}
			tried++
			for _, k := range keys {
				found = found || signing.VerifyMessage(msg, sig, k) == nil
			}
			return !found && tried < maxThirdPartySigs
		})
		return !found && tried < maxThirdPartySigs
	})
	return found
}
