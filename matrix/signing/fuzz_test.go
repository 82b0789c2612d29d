package signing_test

import (
	"testing"

	"hearth/matrix/signing"
)

// FuzzParseAuthorization: whatever a stranger sends is read or refused, and what
// is read can be checked.
func FuzzParseAuthorization(f *testing.F) {
	for _, s := range []string{
		`X-Matrix origin="a.test",destination="b.test",key="ed25519:k",sig="ab+/"`, `X-Matrix origin=a:80,key="\"",sig=`, "X-Matrix ,,=,", `x-matrix a="\`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		a, err := signing.ParseAuthorization(header)
		if err != nil {
			return
		}
		if a.Origin == "" || a.KeyID == "" || a.Signature == "" {
			t.Errorf("%q: %+v", header, a)
		}
		if (signing.Request{Method: "GET", URI: "/", Origin: a.Origin}).Verify(a, make([]byte, 32)) == nil {
			t.Errorf("%q is signed by nobody", header)
		}
	})
}
