package server_test

import (
	_ "embed"
	"regexp"
	"strings"
	"testing"

	"hearth/api/httpx"
	"hearth/base/limit"
)

//go:embed testdata/operations.tsv
var operationsTSV string

// operation is one line of the specification's list of endpoints.
type operation struct{ method, path, id, file string }

func operations(t *testing.T) (all []operation) {
	t.Helper()
	for i, line := range strings.Split(strings.TrimSpace(operationsTSV), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			t.Fatalf("operations.tsv:%d: %d columns, want 4", i+1, len(f))
		}
		if i > 0 { // the head of the table
			all = append(all, operation{f[0], f[1], f[2], f[3]})
		}
	}
	return all
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// shape is a pattern without the names of its wildcards. The specification
// tells two operations on one path apart by a space at the end.
func shape(pattern string) string {
	return wildcard.ReplaceAllString(strings.TrimSuffix(strings.TrimSpace(pattern), "{$}"), "{}")
}

// TestEveryOperationHasARoute holds the route table against the specification.
// What is served under v3 is also served by its old name r0.
func TestEveryOperationHasARoute(t *testing.T) {
	h := newHouse(t, "", nil)
	served := map[string]bool{}
	for _, route := range h.server.Routes() {
		for _, pattern := range route.Patterns() {
			served[shape(pattern)] = true
		}
	}
	for _, op := range operations(t) {
		for _, path := range []string{op.path, strings.Replace(op.path, "/client/v3/", "/client/r0/", 1)} {
			if !served[shape(op.method+" "+path)] {
				t.Errorf("%s (%s): no route for %s %s", op.id, op.file, op.method, path)
			}
		}
	}
}

// TestEveryLimitHasARate: a route that names a limit nobody has set would not
// be limited at all.
func TestEveryLimitHasARate(t *testing.T) {
	rates := limit.New(limit.Default())
	for _, route := range newHouse(t, "", nil).server.Routes() {
		if route.Limit != "" && !rates.Has(route.Limit) {
			t.Errorf("%s: there is no rate for %q", route.Pattern, route.Limit)
		}
	}
}

// TestNobodyFloods: whatever changes something is limited.
func TestNobodyFloods(t *testing.T) {
	free := map[string]string{
		"POST /logout":      "once per token",
		"POST /logout/all":  "once per token",
		"POST /publicRooms": "only reads",
	}
	for _, route := range newHouse(t, "", nil).server.Routes() {
		changes := !strings.HasPrefix(route.Pattern, "GET ") && !strings.HasSuffix(route.Pattern, "/sync")
		if changes && route.Auth != httpx.Admin && route.Limit == "" && free[route.Pattern] == "" {
			t.Errorf("%s is not limited", route.Pattern)
		}
	}
}
