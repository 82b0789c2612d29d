package authrules

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"hearth/matrix/pdu"
	"hearth/matrix/signing"
)

func identityKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string('a'+n), 32)))
}

func public(k ed25519.PrivateKey) string {
	return signing.EncodeBase64(k.Public().(ed25519.PublicKey))
}

// dave is invited by bob under a mail address, and id.example says that dave has
// that address.
func TestThirdPartyInvites(t *testing.T) {
	key, other := identityKey(0), identityKey(1)
	signed := func(obj string, k ed25519.PrivateKey, server, id string) string {
		out, err := signing.Sign([]byte(obj), server, id, k)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	const claim = `{"mxid":"` + dave + `","token":"tok"}`
	good := signed(claim, key, "id.example", "ed25519:0")
	invite := func(roomKeys, tp string) func(w *world) *pdu.Event {
		return func(w *world) *pdu.Event {
			token := "tok"
			w.state[Tuple{"m.room.third_party_invite", token}] = w.event("m.room.third_party_invite", bob, &token, roomKeys)
			user := dave
			return w.event("m.room.member", bob, &user, `{"membership":"invite","third_party_invite":`+tp+`}`)
		}
	}
	one := fmt.Sprintf(`{"public_key":%q}`, public(key))
	many := fmt.Sprintf(`{"public_key":%q,"public_keys":[{"public_key":"rubbish"},7,{"public_key":%q}]}`, public(other), public(key))
	is := func(s string) string { return `{"display_name":"d","signed":` + s + `}` }
	runRules(t, []rule{
		{"good", 0, 0, invite(one, is(good)), nil},
		{"one key of many", 0, 0, invite(many, is(good)), nil},
		{"with other fields in it", 0, 0, invite(one, is(signed(`{"mxid":"`+dave+`","token":"tok","more":{"a":[1]}}`, key, "x", "ed25519:0"))), nil},
		{"one signature of many", 0, 0, invite(one, is(signed(signed(claim, other, "aaa", "ed25519:0"), key, "bbb", "ed25519:1"))), nil},
		{"padded key", 0, 0, invite(fmt.Sprintf(`{"public_key":"%s="}`, public(key)), is(good)), nil},
		{"the sender may have left", 0, 0, func(w *world) *pdu.Event {
			ev := invite(one, is(good))(w)
			w.member(bob, "leave")
			return ev
		}, nil},
		{"banned", 0, 0, func(w *world) *pdu.Event { w.member(dave, "ban"); return invite(one, is(good))(w) }, ErrTPBanned},
		{"nothing signed", 0, 0, invite(one, `{}`), ErrTPNotSigned},
		{"null", 0, 0, invite(one, `null`), ErrTPNotSigned},
		{"no token", 0, 0, invite(one, is(`{"mxid":"`+dave+`"}`)), ErrTPForm},
		{"no mxid", 0, 0, invite(one, is(`{"token":"tok"}`)), ErrTPForm},
		{"signed is a string", 0, 0, invite(one, is(`"yes"`)), ErrTPForm},
		{"for somebody else", 0, 0, invite(one, is(signed(`{"mxid":"`+carol+`","token":"tok"}`, key, "x", "ed25519:0"))), ErrTPUser},
		{"unknown token", 0, 0, invite(one, is(signed(`{"mxid":"`+dave+`","token":"nope"}`, key, "x", "ed25519:0"))), ErrTPUnknown},
		{"another sender", 0, 0, func(w *world) *pdu.Event {
			ev := invite(one, is(good))(w)
			token := "tok"
			w.state[Tuple{"m.room.third_party_invite", token}] = w.event("m.room.third_party_invite", carol, &token, one)
			return ev
		}, ErrTPSender},
		{"another key", 0, 0, invite(fmt.Sprintf(`{"public_key":%q}`, public(other)), is(good)), ErrTPSignature},
		{"no key", 0, 0, invite(`{}`, is(good)), ErrTPSignature},
		{"short key", 0, 0, invite(`{"public_key":"AAAA"}`, is(good)), ErrTPSignature},
		{"no signature", 0, 0, invite(one, is(claim)), ErrTPSignature},
		{"forged", 0, 0, invite(one, is(strings.Replace(good, `"mxid"`, `"more":1,"mxid"`, 1))), ErrTPSignature},
		{"another algorithm", 0, 0, invite(one, is(strings.Replace(good, "ed25519:", "rsa:", 1))), ErrTPSignature},
	})
}

func TestThirdPartyWorkIsBounded(t *testing.T) {
	keys := `{"public_keys":[` + strings.Repeat(fmt.Sprintf(`{"public_key":%q},`, public(identityKey(1))), 500) + `{}]}`
	w := newWorld(t, 11)
	token := "tok"
	ev := w.event("m.room.third_party_invite", bob, &token, keys)
	if n := len(thirdPartyKeys(ev)); n != maxThirdPartyKeys {
		t.Errorf("%d keys", n)
	}
}
