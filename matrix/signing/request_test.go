package signing_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"hearth/matrix/signing"
)

// TestRequestsAreSigned: what one server signs another one believes, and nothing
// that differs from it.
func TestRequestsAreSigned(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := signing.Request{Method: "PUT", URI: "/_matrix/federation/v1/send/1?x=%2F", Origin: "a.test", Destination: "b.test:8448", Content: []byte(`{"b":1, "a":{}}`)}
	header, err := signed.Sign("ed25519:k", key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := signing.ParseAuthorization(header)
	if err != nil || a.Origin != "a.test" || a.Destination != "b.test:8448" || a.KeyID != "ed25519:k" {
		t.Fatalf("%+v, %v", a, err)
	}
	same := signed
	same.Content = []byte(`{"a":{},"b":1}`)
	if err := same.Verify(a, pub); err != nil {
		t.Errorf("the same request: %v", err)
	}
	for name, change := range map[string]func(r *signing.Request){
		"method":      func(r *signing.Request) { r.Method = "GET" },
		"path":        func(r *signing.Request) { r.URI = "/_matrix/federation/v1/send/1?x=/" },
		"origin":      func(r *signing.Request) { r.Origin = "c.test" },
		"destination": func(r *signing.Request) { r.Destination = "c.test" },
		"content":     func(r *signing.Request) { r.Content = []byte(`{"a":{},"b":2}`) },
		"no content":  func(r *signing.Request) { r.Content = nil },
	} {
		other := signed
		change(&other)
		if err := other.Verify(a, pub); !errors.Is(err, signing.ErrBadSignature) {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

func TestAuthorizationHeaders(t *testing.T) {
	want := signing.Authorization{Origin: "a.test:80", Destination: "b.test", KeyID: "ed25519:k", Signature: "ab+/"}
	for _, good := range []string{
		`X-Matrix origin="a.test:80",destination="b.test",key="ed25519:k",sig="ab+/"`,
		`x-matrix   Origin=a.test:80 , DESTINATION="b\.test" ,sig=ab+/,key=ed25519:k,unknown="x, y"`,
	} {
		if got, err := signing.ParseAuthorization(good); err != nil || got != want {
			t.Errorf("%s: %+v, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "Bearer token", "X-Matrix", "X-Matrix nonsense", `X-Matrix origin="a.test`, `X-Matrix origin="a.test\`, `X-Matrix origin=a"b,key=k,sig=s`,
		`X-Matrix key="k",sig="s"`, `X-Matrix origin="a",sig="s"`, `X-Matrix origin="a",key="k"`, "X-Matrix " + strings.Repeat(",", 100),
	} {
		if got, err := signing.ParseAuthorization(bad); !errors.Is(err, signing.ErrHeader) {
			t.Errorf("%s: %+v, %v", bad, got, err)
		}
	}
}
