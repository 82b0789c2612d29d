package captcha

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, response string
		status         int
		answer         string
		wrong, failed  bool
	}{
		{name: "solved", response: "r", status: 200, answer: `{"success":true,"hostname":"x"}`},
		{name: "not solved", response: "r", status: 200, answer: `{"success":false,"error-codes":["invalid-input-response"]}`, wrong: true},
		{name: "nothing sent", status: 200, answer: `{"success":true}`, wrong: true},
		{name: "too much sent", response: strings.Repeat("r", maxResponse+1), status: 200, answer: `{"success":true}`, wrong: true},
		{name: "the private key is wrong", response: "r", status: 200, answer: `{"success":false,"error-codes":["invalid-input-secret"]}`, failed: true},
		{name: "no JSON", response: "r", status: 200, answer: `<html>`, failed: true},
		{name: "an answer without end", response: "r", status: 200, answer: strings.Repeat(" ", maxAnswer) + `{"success":true}`, failed: true},
		{name: "elsewhere", response: "r", status: 302, answer: `{"success":true}`, failed: true},
		{name: "broken", response: "r", status: 500, answer: `{"success":true}`, failed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.FormValue("secret") != "s" || r.FormValue("response") != c.response || r.FormValue("remoteip") != "192.0.2.1" {
					t.Errorf("%s %v", r.Method, r.Form)
				}
				w.Header().Set("Location", "/")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.answer)
			}))
			defer gateway.Close()
			err := New(gateway.URL, "s").Check(t.Context(), c.response, "192.0.2.1")
			if errors.Is(err, ErrWrong) != c.wrong || (err != nil && !errors.Is(err, ErrWrong)) != c.failed {
				t.Errorf("%v", err)
			}
		})
	}
}
