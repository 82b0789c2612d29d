package wellknown

import (
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"hearth/api/httpx"
)

func TestClientsFindTheServer(t *testing.T) {
	for _, tc := range []struct {
		name, base, host, from, proto, want string
	}{
		{"configured", "https://matrix.example.org/", "example.org", "192.0.2.1:5", "", "https://matrix.example.org"},
		{"trial on this machine", "", "localhost:8420", "127.0.0.1:5", "", "http://localhost:8420"},
		{"behind our proxy", "", "example.org", "10.0.0.1:5", "https", "https://example.org"},
		{"somebody plays proxy", "", "example.org", "192.0.2.1:5", "https", "http://example.org"},
		{"our proxy says nonsense", "", "example.org", "10.0.0.1:5", "gopher", "http://example.org"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &API{BaseURL: tc.base, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
			rt := httpx.NewRouter(httpx.Config{Log: slog.New(slog.DiscardHandler)})
			rt.Add(a.Routes()...)
			r := httptest.NewRequest("GET", "/.well-known/matrix/client", nil)
			r.Host, r.RemoteAddr = tc.host, tc.from
			if tc.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tc.proto)
			}
			w := httptest.NewRecorder()
			rt.ServeHTTP(w, r)
			body, _ := io.ReadAll(w.Body)
			want := `{"m.homeserver":{"base_url":"` + tc.want + `"}}`
			if w.Code != 200 || strings.TrimSpace(string(body)) != want {
				t.Errorf("answer is %d %s, want %s", w.Code, body, want)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Error("browsers may not read it")
			}
		})
	}
}
