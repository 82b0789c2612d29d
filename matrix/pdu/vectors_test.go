package pdu

import (
	"crypto/ed25519"
	"testing"

	"hearth/matrix/canonjson"
	"hearth/matrix/roomver"
	"hearth/matrix/signing"
)

// The examples of appendices/#event-signing. They are events of version 1 that
// lack fields, so they are signed by the steps, not by Build.
func TestEventSigningVectors(t *testing.T) {
	seed, err := signing.DecodeBase64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	v1, _ := roomver.Get("1")
	for _, tc := range []struct{ name, in, hash, sig string }{
		{
			"minimal",
			`{"room_id":"!x:domain","sender":"@a:domain","origin":"domain","origin_server_ts":1000000,"signatures":{},"hashes":{},"type":"X","content":{},"prev_events":[],"auth_events":[],"depth":3,"unsigned":{"age_ts":1000000}}`,
			"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
			"KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
		},
		{
			"with redactable content",
			`{"content":{"body":"Here is the message content"},"event_id":"$0:domain","origin":"domain","origin_server_ts":1000000,"type":"m.room.message","room_id":"!r:domain","sender":"@u:domain","signatures":{},"unsigned":{"age_ts":1000000}}`,
			"onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
			"Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
		},
	} {
		ev, err := canonjson.Canonical(nil, []byte(tc.in), canonjson.Options{})
		if err != nil {
			t.Fatal(err)
		}
		sum := ContentHash(ev)
		hash := signing.EncodeBase64(sum[:])
		if hash != tc.hash {
			t.Errorf("%s: hash %s", tc.name, hash)
		}
		ev = canonjson.With(nil, ev, "hashes", []byte(`{"sha256":"`+hash+`"}`))
		sig := signing.EncodeBase64(ed25519.Sign(key, appendRedacted(nil, v1, ev, false)))
		if sig != tc.sig {
			t.Errorf("%s: signature %s", tc.name, sig)
		}
	}
}
