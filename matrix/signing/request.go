package signing

import (
	"crypto/ed25519"
	"errors"
	"strings"

	"hearth/matrix/canonjson"
)

// ErrHeader means that an Authorization header is not of the form X-Matrix.
var ErrHeader = errors.New("the Authorization header is no X-Matrix signature")

// Request is what the signature of a request between servers covers
// (server-server-api/#request-authentication).
type Request struct {
	Method, URI         string // as in the request line
	Origin, Destination string // names of servers, before any delegation
	Content             []byte // JSON, nil for a request without a body
}

// object is the canonical JSON that is signed.
func (r Request) object() ([]byte, error) {
	var obj []byte
	for _, f := range []struct{ name, value string }{
		{"method", r.Method}, {"uri", r.URI}, {"origin", r.Origin}, {"destination", r.Destination},
	} {
		obj = canonjson.With(nil, obj, f.name, canonjson.Quote(nil, f.value))
	}
	if r.Content == nil {
		return obj, nil
	}
	content, err := canonjson.Canonical(nil, r.Content, canonjson.Options{Numbers: canonjson.Free})
	return canonjson.With(nil, obj, "content", content), err
}

// Sign returns the Authorization header of a request. It fails if the content is
// not JSON.
func (r Request) Sign(keyID string, key ed25519.PrivateKey) (header string, err error) {
	obj, err := r.object()
	if err != nil {
		return "", err
	}
	sig := EncodeBase64(ed25519.Sign(key, Message(nil, obj)))
	return `X-Matrix origin="` + r.Origin + `",destination="` + r.Destination + `",key="` + keyID + `",sig="` + sig + `"`, nil
}

// Verify checks the signature that a request came with. It returns nil, an error
// of the content, or ErrBadSignature.
func (r Request) Verify(a Authorization, pub ed25519.PublicKey) error {
	obj, err := r.object()
	if err != nil {
		return err
	}
	sig, err := DecodeBase64(a.Signature)
	if err != nil {
		return ErrBadSignature
	}
	return VerifyMessage(Message(nil, obj), sig, pub)
}

// Authorization is what an Authorization header says.
type Authorization struct {
	Origin, Destination string // Destination is "" from servers of old
	KeyID, Signature    string
}

// ParseAuthorization reads a header of the form X-Matrix (RFC 9110, section
// 11.4). Values of old servers may have colons without being quoted.
func ParseAuthorization(header string) (a Authorization, err error) {
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "X-Matrix") {
		return a, ErrHeader
	}
	for rest = strings.TrimLeft(rest, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			return a, ErrHeader
		}
		var value string
		if value, rest, ok = headerValue(strings.TrimLeft(after, " \t")); !ok {
			return a, ErrHeader
		}
		switch strings.ToLower(strings.TrimRight(name, " \t")) {
		case "origin":
			a.Origin = value
		case "destination":
			a.Destination = value
		case "key":
			a.KeyID = value
		case "sig", "signature":
			a.Signature = value
		}
	}
	if a.Origin == "" || a.KeyID == "" || a.Signature == "" {
		return a, ErrHeader
	}
	return a, nil
}

// headerValue takes a quoted or plain value off the front of s.
func headerValue(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], !strings.Contains(s[:end], `"`)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
