package signing

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"hearth/matrix/canonjson"
)

// specKey is the key of appendices/#cryptographic-test-vectors.
func specKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	seed, err := DecodeBase64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func TestJSONSigningVectors(t *testing.T) {
	key := specKey(t)
	for _, tc := range []struct{ in, want string }{
		{`{}`, `{"signatures":{"domain":{"ed25519:1":"K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"}}}`},
		{`{"one": 1, "two": "Two"}`, `{"one":1,"signatures":{"domain":{"ed25519:1":"KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"}},"two":"Two"}`},
	} {
		got, err := Sign([]byte(tc.in), "domain", "ed25519:1", key)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s\n got %s, %v\nwant %s", tc.in, got, err, tc.want)
		}
		if err := Verify(got, "domain", "ed25519:1", key.Public().(ed25519.PublicKey)); err != nil {
			t.Errorf("%s: %v", got, err)
		}
	}
}

func TestUnsignedAndOtherSignaturesAreNotCovered(t *testing.T) {
	key := specKey(t)
	pub := key.Public().(ed25519.PublicKey)
	obj, err := Sign([]byte(`{"one":1,"two":"Two","unsigned":{"age":5},"signatures":{"other":{"ed25519:x":"abc"}}}`), "domain", "ed25519:1", key)
	if err != nil {
		t.Fatal(err)
	}
	if want := "KqmLSbO39/Bzb0QIYE82zqLwsA"; !strings.Contains(string(obj), want) || !strings.Contains(string(obj), `"other":{"ed25519:x":"abc"}`) {
		t.Errorf("signed as %s", obj)
	}
	later := canonjson.With(nil, obj, "unsigned", []byte(`{"age":6}`))
	if err := Verify(later, "domain", "ed25519:1", pub); err != nil {
		t.Errorf("with another age: %v", err)
	}
	forged := canonjson.With(nil, obj, "one", []byte("2"))
	if err := Verify(forged, "domain", "ed25519:1", pub); !errors.Is(err, ErrBadSignature) {
		t.Errorf("with another value: %v", err)
	}
}

func TestSignaturesThatDoNotCount(t *testing.T) {
	key := specKey(t)
	pub := key.Public().(ed25519.PublicKey)
	good, err := Sign([]byte(`{}`), "domain", "ed25519:1", key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, obj, server, key string
		pub                    ed25519.PublicKey
		want                   error
	}{
		{"good", string(good), "domain", "ed25519:1", pub, nil},
		{"other server", string(good), "elsewhere", "ed25519:1", pub, ErrNoSignature},
		{"other key id", string(good), "domain", "ed25519:2", pub, ErrNoSignature},
		{"other key", string(good), "domain", "ed25519:1", make([]byte, 32), ErrBadSignature},
		{"short key", string(good), "domain", "ed25519:1", pub[:31], ErrBadSignature},
		{"not base64", `{"signatures":{"domain":{"ed25519:1":"!!"}}}`, "domain", "ed25519:1", pub, ErrBadSignature},
		{"short", `{"signatures":{"domain":{"ed25519:1":"AAAA"}}}`, "domain", "ed25519:1", pub, ErrBadSignature},
		{"not a string", `{"signatures":{"domain":{"ed25519:1":1}}}`, "domain", "ed25519:1", pub, ErrBadSignature},
		{"not an object", `{"signatures":[]}`, "domain", "ed25519:1", pub, ErrNoSignature},
		{"unsigned", `{}`, "domain", "ed25519:1", pub, ErrNoSignature},
	} {
		if err := Verify([]byte(tc.obj), tc.server, tc.key, tc.pub); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	for _, in := range []string{`[]`, `{"a":1.5}`, `{`, ``} {
		if got, err := Sign([]byte(in), "domain", "ed25519:1", specKey(t)); err == nil {
			t.Errorf("%q signed as %s", in, got)
		}
	}
}

// The examples of appendices/#unpadded-base64, and what the spec wants accepted.
func TestBase64(t *testing.T) {
	for plain, enc := range map[string]string{"": "", "f": "Zg", "fo": "Zm8", "foo": "Zm9v", "foob": "Zm9vYg", "fooba": "Zm9vYmE", "foobar": "Zm9vYmFy"} {
		if got := EncodeBase64([]byte(plain)); got != enc {
			t.Errorf("%q encoded as %q", plain, got)
		}
		padded := enc + strings.Repeat("=", (4-len(enc)%4)%4)
		for _, in := range []string{enc, padded} {
			if got, err := DecodeBase64(in); err != nil || string(got) != plain {
				t.Errorf("%q decoded as %q, %v", in, got, err)
			}
		}
	}
	for _, in := range []string{"+/8", "-_8"} {
		if got, err := DecodeBase64(in); err != nil || string(got) != "\xfb\xff" {
			t.Errorf("%q decoded as %q, %v", in, got, err)
		}
	}
	if got, err := DecodeBase64("a b"); err == nil {
		t.Errorf("with a space: %q", got)
	}
}

func TestParseKeyID(t *testing.T) {
	if name, err := ParseKeyID("ed25519:a_1Z"); err != nil || name != "a_1Z" {
		t.Errorf("%q, %v", name, err)
	}
	for _, id := range []string{"", "ed25519", "ed25519:", "rsa:1", "ed25519:a b", "ed25519:a:b", "ed25519:" + strings.Repeat("a", 250)} {
		if name, err := ParseKeyID(id); err == nil {
			t.Errorf("%q has the name %q", id, name)
		}
	}
}

func TestKeyIDs(t *testing.T) {
	obj := []byte(`{"signatures":{"a":{"curve:1":"","ed25519:1":"","ed25519:2":""},"b":{}}}`)
	if got := strings.Join(KeyIDs(obj, "a"), " "); got != "ed25519:1 ed25519:2" {
		t.Errorf("a: %q", got)
	}
	if got := KeyIDs(obj, "b"); got != nil {
		t.Errorf("b: %q", got)
	}
}
