package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// postgresEnv tells the tests of a PostgreSQL in which they may make and drop
// databases. If it is set already, that server is used.
const postgresEnv = "HEARTH_TEST_POSTGRES"

// part is a choice of the tests: what they need, and which packages.
type part struct {
	tools    []string
	node     bool
	postgres bool
	lint     bool
	oracles  bool
	s3       bool
	skip     func(pkg string) bool
}

func inE2E(pkg string) bool { return strings.HasPrefix(pkg, "hearth/e2e") }

// touchesStore is true of the packages whose tests run on both databases.
func touchesStore(pkg string) bool {
	return slices.ContainsFunc([]string{"hearth/base/db", "hearth/base/store", "hearth/homeserver/", "hearth/api/", "hearth/server"},
		func(prefix string) bool { return strings.HasPrefix(pkg, prefix) })
}

var parts = map[string]part{
	"": {
		tools: []string{"gcc", "ip", "coturn", "postgresql", "chromium"},
		node:  true, postgres: true, lint: true, oracles: true, s3: true,
		skip: func(string) bool { return false },
	},
	"unit":  {tools: []string{"gcc", "ip", "coturn"}, oracles: true, s3: true, skip: inE2E},
	"store": {tools: []string{"gcc", "postgresql"}, postgres: true, s3: true, skip: func(pkg string) bool { return !touchesStore(pkg) }},
	"e2e": {
		tools: []string{"gcc", "ip", "coturn", "postgresql", "chromium"},
		node:  true, postgres: true,
		skip: func(pkg string) bool { return !inE2E(pkg) },
	},
}

func test(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.Usage = func() {}
	verbose := flags.Bool("v", false, "print every test")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	p, known := parts[flags.Arg(0)]
	if !known || flags.NArg() > 1 {
		return flag.ErrHelp
	}
	if err := install(ctx, p.tools...); err != nil {
		return err
	}
	if p.node {
		if err := installNode(ctx); err != nil {
			return err
		}
	}
	var failed []error
	if p.lint {
		failed = append(failed, lint(ctx))
	}
	return errors.Join(append(failed, p.run(ctx, *verbose))...)
}

// parallel is how many tests of a package may run at a time, however many cores
// there are: those that run a server mostly wait for the disk.
const parallel = "-parallel=6"

// race is the race detector for all but what others have written in plain
// arithmetic on memory of their own: SQLite, translated from C, and the hash of
// passwords. Watching those was a third of the work.
var race = []string{"-race", "-gcflags=modernc.org/...=-race=false", "-gcflags=golang.org/x/crypto/argon2=-race=false"}

// run runs the tests of p, whole servers last and one package at a time: they
// wait for media in real time and want the machine for themselves.
func (p part) run(ctx context.Context, verbose bool) error {
	env, stop, err := p.environment(ctx)
	if err != nil {
		return err
	}
	defer stop()
	all, err := packages(ctx)
	if err != nil {
		return err
	}
	var small, whole []string
	for _, pkg := range slices.DeleteFunc(all, p.skip) {
		if inE2E(pkg) {
			whole = append(whole, pkg)
		} else {
			small = append(small, pkg)
		}
	}
	t := goTest{verbose: verbose, env: env}
	var failed []error
	if p.oracles {
		failed = append(failed, t.oracles(ctx))
	}
	if len(small) > 0 {
		say("go test -race, %d packages", len(small))
		failed = append(failed, t.run(ctx, nil, slices.Concat(race, []string{parallel}, small)...))
	}
	if len(whole) > 0 {
		say("go test -race, whole servers and their clients")
		failed = append(failed, t.run(ctx, nil, slices.Concat(race, []string{"-count=1", "-p=1"}, whole)...))
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return errors.Join(append(failed, t.judgeSkips())...)
}

// environment is what the tests find in their environment, and how to take it
// away again.
func (p part) environment(ctx context.Context) (env []string, stop func(), err error) {
	dir, err := filepath.Abs("artefacts")
	if err != nil {
		return nil, nil, err
	}
	env = append(os.Environ(), "CGO_ENABLED=1", "HEARTH_TEST_ARTEFACTS="+dir)
	if p.s3 {
		s3, err := installS3(ctx)
		if err != nil {
			return nil, nil, err
		}
		env = append(env, "HEARTH_TEST_S3="+s3)
	}
	if !p.postgres || os.Getenv(postgresEnv) != "" {
		return env, func() {}, nil
	}
	pg, err := startPostgres(ctx)
	if err != nil {
		return nil, nil, err
	}
	return append(env, postgresEnv+"="+pg.URL), pg.Stop, nil
}

// packages lists the import paths of the module.
func packages(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "./...") // what is broken, go test will say
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	return strings.Fields(string(out)), nil
}
