package httpx

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// neighbours believe who says a name, and remember what it would have signed.
type neighbours struct{ signed string }

func (n *neighbours) Authenticate(_ context.Context, method, uri string, headers []string, content []byte) (mxid.ServerName, error) {
	n.signed = method + " " + uri + " " + string(content)
	if len(headers) != 1 {
		return "", mxerr.New(mxerr.Unauthorized, "who is there?")
	}
	return mxid.ServerName(headers[0]), nil
}

// TestRequestsOfOtherServers: the body that was signed reaches the handler, and no
// body is not the same as an empty one.
func TestRequestsOfOtherServers(t *testing.T) {
	var n neighbours
	rt := NewRouter(Config{Peers: &n, Log: slog.New(slog.DiscardHandler)})
	rt.Add(Route{Pattern: "PUT /x/{id}", In: Root, Auth: Peer, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, string(Origin(r.Context()))+" "+string(body))
	})})
	for _, tc := range []struct{ body, signed, answer string }{
		{`{"a": 1}`, `PUT /x/a%2Fb?y {"a":1}`, `a.test {"a":1}`},
		{`{}`, `PUT /x/a%2Fb?y {}`, `a.test {}`},
		{``, `PUT /x/a%2Fb?y `, `a.test `},
	} {
		r := httptest.NewRequest("PUT", "/x/a%2Fb?y", strings.NewReader(tc.body))
		r.Header.Set("Authorization", "a.test")
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, r)
		if n.signed != tc.signed || w.Body.String() != tc.answer {
			t.Errorf("%q: signed %q, answer %q", tc.body, n.signed, w.Body)
		}
	}
	for body, want := range map[string]int{`{}`: 401, `[1]`: 400, `{`: 400, `{"a":"` + strings.Repeat("x", DefaultMaxBody) + `"}`: 413} {
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, httptest.NewRequest("PUT", "/x/1", strings.NewReader(body)))
		if w.Code != want {
			t.Errorf("%.20q: %d, want %d", body, w.Code, want)
		}
	}
}
