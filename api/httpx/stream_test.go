package httpx_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

// A failure before anything was sent is answered as any other; later, the client
// must not take half an answer for a whole one.
func TestStreamThatFails(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before int // bytes
		fails  bool
		status int // 0 for a broken connection
	}{
		{"small and whole", 10, false, http.StatusOK},
		{"large and whole", 1 << 20, false, http.StatusOK},
		{"fails at once", 10, true, http.StatusNotFound},
		{"fails late", 1 << 20, true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			router := httpx.NewRouter(httpx.Config{Log: slog.New(slog.DiscardHandler)})
			router.Add(httpx.Route{Pattern: "GET /all", In: httpx.Root, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := httpx.NewStream(w, r)
				_, err := s.Write([]byte(`"` + strings.Repeat("x", tc.before)))
				if tc.fails {
					err = errors.Join(err, mxerr.New(mxerr.NotFound, "gone"))
				}
				s.Close([]byte(`"`), err)
			})})
			server := httptest.NewServer(router)
			defer server.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/all", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			switch {
			case tc.status == 0:
				if err == nil {
					t.Errorf("the client got %d bytes and believes that is all", len(body))
				}
			case err != nil || res.StatusCode != tc.status:
				t.Errorf("%d, %v, want %d", res.StatusCode, err, tc.status)
			case !tc.fails && len(body) != tc.before+2:
				t.Errorf("%d bytes, want %d", len(body), tc.before+2)
			}
		})
	}
}
