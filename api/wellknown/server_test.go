package wellknown

import (
	"net/http"
	"testing"

	"hearth/api/httpx"
)

func TestOtherServersAreToldWhereItIs(t *testing.T) {
	for base, want := range map[string]string{
		"https://matrix.example.org":       "matrix.example.org:443",
		"https://matrix.example.org:8443/": "matrix.example.org:8443",
		"https://[2001:db8::1]":            "[2001:db8::1]:443",
		"http://matrix.example.org":        "",
		"":                                 "",
	} {
		a := API{BaseURL: base, Federates: true}
		got, err := a.getWellKnownServer(t.Context(), &http.Request{}, httpx.None{})
		if got.Server != want || (err == nil) != (want != "") {
			t.Errorf("%s: %v, %v", base, got, err)
		}
		alone := API{BaseURL: base}
		if got, err := alone.getWellKnownServer(t.Context(), &http.Request{}, httpx.None{}); err == nil {
			t.Errorf("a server that is alone: %v", got)
		}
	}
}
