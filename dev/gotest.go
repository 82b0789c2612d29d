package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"slices"
	"strings"
)

// goTest runs go test, prints what go test prints, and keeps account of the
// tests that skipped themselves.
type goTest struct {
	verbose bool
	env     []string
	skips   []string // "package Test: reason"
}

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// name is the test that e is about.
func (e event) name() string { return strings.TrimPrefix(e.Package, "hearth/") + " " + e.Test }

// run is go test with args; extra goes into its environment.
func (t *goTest) run(ctx context.Context, extra []string, args ...string) error {
	cmd := shell(ctx, "go", append([]string{"test", "-json", "-timeout=20m"}, args...)...)
	cmd.Env = append(slices.Clone(t.env), extra...)
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	report := report{goTest: t, lines: map[string][]string{}}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Action == "" {
			fmt.Println(lines.Text()) // not from a test: the go command itself
			continue
		}
		report.take(e)
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	return nil
}

// report prints a run as it goes: the lines of go test itself at once, those
// of a test when it has failed.
type report struct {
	*goTest
	lines map[string][]string // of the tests that run now
}

func (r *report) take(e event) {
	switch {
	case e.Action == "build-output" || e.Action == "output" && e.Test == "":
		if r.verbose || e.Output != "PASS\n" {
			fmt.Print(e.Output)
		}
	case e.Action == "output" && r.verbose:
		fmt.Print(e.Output)
		r.keep(e)
	case e.Action == "output":
		r.keep(e)
	case e.Action == "fail" && e.Test == "":
		r.unfinished(e.Package)
	case e.Action == "fail":
		r.print(e.name())
	case e.Action == "skip" && e.Test != "":
		r.skip(e)
	case e.Action == "pass":
		delete(r.lines, e.name())
	}
}

// keep holds what a test printed until it is known to be of interest. The
// lines that only say which test runs are not.
func (r *report) keep(e event) {
	if !strings.HasPrefix(e.Output, "=== ") {
		r.lines[e.name()] = append(r.lines[e.name()], e.Output)
	}
}

func (r *report) print(test string) {
	if !r.verbose {
		fmt.Print(strings.Join(r.lines[test], ""))
	}
	delete(r.lines, test)
}

// unfinished prints what the tests of pkg said that neither passed nor failed:
// they hung, or took the process down.
func (r *report) unfinished(pkg string) {
	for test := range r.lines {
		if strings.HasPrefix(test, event{Package: pkg}.name()) {
			r.print(test)
		}
	}
}

func (r *report) skip(e event) {
	var why []string
	for _, line := range r.lines[e.name()] {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "--- SKIP") {
			why = append(why, line)
		}
	}
	delete(r.lines, e.name())
	if excused(strings.Join(why, " ")) {
		fmt.Println("skipped, and this machine cannot run it:", e.name())
		return
	}
	skip := e.name() + ": " + strings.Join(why, " ")
	fmt.Println("skipped", skip)
	r.skips = append(r.skips, skip)
}

// excused is true of the one reason to skip that no package can mend: some
// machines have no IPv6. It is looked up here, not believed.
func excused(why string) bool {
	if !strings.Contains(why, "no IPv6") {
		return false
	}
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return true
	}
	l.Close()
	return false
}

// judgeSkips fails the run for its skipped tests where CI=true: all that tests
// need was installed, so a test that did not run there runs nowhere.
func (t *goTest) judgeSkips() error {
	if len(t.skips) == 0 || os.Getenv("CI") != "true" {
		return nil
	}
	return fmt.Errorf("%d tests were skipped, and CI has what they need:\n  %s", len(t.skips), strings.Join(t.skips, "\n  "))
}

// jsonv2 is the experiment that the oracle of the auth rules is built with
// (maunium.net/go/mautrix); tests beside it carry the same build tag.
const jsonv2 = "goexperiment.jsonv2"

// oracles runs the tests that compare Hearth with another implementation and
// that need GOEXPERIMENT=jsonv2. They are pure, so without the race detector.
func (t *goTest) oracles(ctx context.Context) error {
	var dirs []string
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "node_modules" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		head, _, _ := strings.Cut(string(text), "\npackage ")
		if dir := "./" + path.Dir(name); strings.Contains(head, "//go:build "+jsonv2) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return err
	})
	if err != nil || len(dirs) == 0 {
		return err
	}
	say("GOEXPERIMENT=jsonv2 go test %s", strings.Join(dirs, " "))
	return t.run(ctx, []string{"GOEXPERIMENT=jsonv2"}, dirs...)
}
