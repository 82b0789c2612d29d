package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPrivatePostgres(t *testing.T) {
	if postgresBin() == "" {
		t.Skip("no PostgreSQL server here: go run ./dev test installs one")
	}
	p, err := startPostgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := exec.CommandContext(t.Context(), filepath.Join(postgresBin(), "psql"), p.URL, "-Atc",
		"SELECT pg_encoding_to_char(encoding), datcollate, current_setting('fsync') FROM pg_database WHERE datname = 'postgres'")
	out, err := ask.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "UTF8|C|on" {
		t.Errorf("psql says %q (%v), want a UTF-8 database in byte order with fsync on", got, err)
	}
	p.Stop()
	if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there", p.dir)
	}
}

// TestSkipsAreJudged runs what go test -json prints for a skipped test.
func TestSkipsAreJudged(t *testing.T) {
	const lines = `
		{"Action":"run","Package":"hearth/a","Test":"TestX"}
		{"Action":"output","Package":"hearth/a","Test":"TestX","Output":"=== RUN   TestX\n"}
		{"Action":"output","Package":"hearth/a","Test":"TestX","Output":"    a_test.go:7: no network namespaces here\n"}
		{"Action":"output","Package":"hearth/a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}
		{"Action":"skip","Package":"hearth/a","Test":"TestX"}
		{"Action":"skip","Package":"hearth/no/test/files"}`
	var tests goTest
	r := report{goTest: &tests, lines: map[string][]string{}}
	for line := range strings.Lines(lines) {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			r.take(e)
		}
	}
	want := []string{"a TestX: a_test.go:7: no network namespaces here"}
	if !slices.Equal(tests.skips, want) {
		t.Errorf("skips = %q, want %q", tests.skips, want)
	}

	t.Setenv("CI", "")
	if err := tests.judgeSkips(); err != nil {
		t.Errorf("at home: %v, want no error", err)
	}
	t.Setenv("CI", "true")
	if err := tests.judgeSkips(); err == nil || !strings.Contains(err.Error(), want[0]) {
		t.Errorf("in CI: %v, want an error that names the skip", err)
	}
}

func TestNodeVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"v20.19.0\n": true, "v22.1.0\n": true, "v20.18.9\n": false, "v18.20.4\n": false, "": false,
	} {
		if got := newEnough(version); got != want {
			t.Errorf("newEnough(%q) = %v, want %v", version, got, want)
		}
	}
}

func TestFuzzTargets(t *testing.T) {
	got := fuzzTargets([]byte("FuzzA\nFuzzB\nok  \thearth/x\t0.1s\n?   \thearth/y\t[no test files]\nok  \thearth/z\t0.2s\nFuzzC\nok  \thearth/w\t0.1s\n"))
	want := []fuzzTarget{{"hearth/x", "FuzzA"}, {"hearth/x", "FuzzB"}, {"hearth/w", "FuzzC"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
