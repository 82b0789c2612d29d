package hostile

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/api/httpx"
	"hearth/base/db/dbtest"
)

// TestBadInput tries every attack on every route, on both databases.
func TestBadInput(t *testing.T) {
	for engine, database := range map[string]func(testing.TB) string{
		"sqlite":   func(testing.TB) string { return "" },
		"postgres": dbtest.Postgres,
	} {
		t.Run(engine, func(t *testing.T) {
			source := database(t)
			http.DefaultClient.CloseIdleConnections()
			before := runtime.NumGoroutine()
			v := newVictim(t, source)
			for _, route := range v.server.Routes() {
				v.settle(t)
				for _, a := range attacks(route) {
					v.try(t, route, a)
				}
			}
			v.stop(t)
			nothingRuns(t, before)
		})
	}
}

// nothingRuns waits for the goroutines of a stopped server to be gone.
func nothingRuns(t *testing.T, before int) {
	t.Helper()
	end := time.After(10 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); runtime.NumGoroutine() > before; {
		select {
		case <-tick.C:
		case <-end:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines are left behind:\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// answer is what came back.
type answer struct {
	status int
	code   string
	body   []byte
}

// try makes one request and judges the answer: whatever was sent, it is never
// the server's fault, and a refusal is a Matrix error.
func (v *victim) try(t *testing.T, route httpx.Route, a attack) {
	t.Helper()
	got, err := v.ask(t.Context(), route, a)
	if err != nil {
		t.Errorf("%s, %s: no answer: %v", route.Pattern, a.name, err)
		return
	}
	complain := func(want string) {
		t.Helper()
		t.Errorf("%s, %s: %d %.200q, want %s", route.Pattern, a.name, got.status, got.body, want)
	}
	switch {
	case got.status >= 500:
		complain("no 5xx")
	case got.status >= 400 && got.code == "":
		complain("a Matrix error")
	case a.want != nil && !slices.Contains(a.want, got.code):
		complain(strings.Join(a.want, " or "))
	}
}

// ask makes the request, a second time if the one before has signed the caller
// out.
func (v *victim) ask(ctx context.Context, route httpx.Route, a attack) (answer, error) {
	if a.caller == alice && route.Auth == httpx.Admin {
		a.caller = operator
	}
	got, err := v.askOnce(ctx, route, a)
	if err == nil && got.code == "M_UNKNOWN_TOKEN" && a.caller != nonsense {
		if err := v.signIn(ctx, a.caller); err != nil {
			return answer{}, err
		}
		return v.askOnce(ctx, route, a)
	}
	return got, err
}

// about is whose id is in the path of a route.
func about(route httpx.Route) caller {
	if route.Auth == httpx.Admin {
		return carol
	}
	return alice
}

func (v *victim) askOnce(ctx context.Context, route httpx.Route, a attack) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	method, path, _ := strings.Cut(route.Patterns()[0], " ")
	target := v.url + v.fill(path, about(route), a.path)
	if a.query != "" {
		target += "?" + a.query
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(a.body))
	if err != nil {
		return answer{}, err
	}
	if token := v.people[a.caller].Token; token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := v.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	var refusal struct {
		Code  string          `json:"errcode"`
		Text  string          `json:"error"`
		Flows json.RawMessage `json:"flows"`
	}
	got := answer{status: res.StatusCode, body: body}
	switch {
	case json.Unmarshal(body, &refusal) != nil:
	case refusal.Text != "":
		got.code = refusal.Code
	case res.StatusCode == http.StatusUnauthorized && refusal.Flows != nil:
		got.code = "authenticate first"
	}
	return got, nil
}
