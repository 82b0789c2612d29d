package wellknown

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hearth/api/httpx"
)

func TestSupport(t *testing.T) {
	for _, tc := range []struct {
		support Support
		want    string
	}{
		{Support{}, `{"errcode":"M_NOT_FOUND"`},
		{Support{Page: "https://example.org/help"}, `{"support_page":"https://example.org/help"}`},
		{
			Support{MatrixID: "@anna:example.org", Email: "anna@example.org", SecurityEmail: "sec@example.org"},
			`{"contacts":[{"matrix_id":"@anna:example.org","email_address":"anna@example.org","role":"m.role.admin"},{"email_address":"sec@example.org","role":"m.role.security"}]}`,
		},
	} {
		router := httpx.NewRouter(httpx.Config{Log: slog.New(slog.DiscardHandler)})
		router.Add((&API{Support: tc.support}).Routes()...)
		rec := httptest.NewRecorder()
		router.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/.well-known/matrix/support", nil))
		if got := strings.TrimSpace(rec.Body.String()); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%+v: %s", tc.support, got)
		}
	}
}
