package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// fuzz gives every fuzz target of the module some time of its own. The seeds
// of the targets also run in every go test.
func fuzz(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	flags.Usage = func() {}
	each := flags.Duration("time", 30*time.Second, "time for each target")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return flag.ErrHelp
	}
	list := exec.CommandContext(ctx, "go", "test", "-list=^Fuzz", "./...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("go test -list: %w\n%s", err, out)
	}
	var failed []error
	for _, target := range fuzzTargets(out) {
		say("%s in %s", target.name, target.pkg)
		run := shell(ctx, "go", "test", "-run=^$", "-fuzz=^"+target.name+"$", "-fuzztime="+each.String(), target.pkg)
		if err := run.Run(); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", target.name, err))
		}
	}
	return errors.Join(failed...)
}

type fuzzTarget struct{ pkg, name string }

// fuzzTargets reads what go test -list prints: the names in a package, then
// the package's own line.
func fuzzTargets(list []byte) []fuzzTarget {
	var all []fuzzTarget
	var names []string
	for lines := bufio.NewScanner(bytes.NewReader(list)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 1:
			names = append(names, f[0])
		case len(f) > 1 && f[0] == "ok":
			for _, name := range names {
				all = append(all, fuzzTarget{f[1], name})
			}
			names = nil
		}
	}
	return all
}
