// Command dev is the project's own driver: it builds and starts a trial
// server, and it installs what the tests need and runs them.
//
// It knows the machine (apt, PostgreSQL's server program, Node) so that neither
// the product nor its tests have to.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

const usage = `Usage, from the root of the checkout:

  go run ./dev run [flags of hearth trial]   build Hearth, start a trial server on http://localhost:8420
  go run ./dev test                          install what tests need, then run all of them
  go run ./dev test [-v] unit|store|e2e      run a part: all but e2e on SQLite | both databases | whole servers and browsers
  go run ./dev lint                          gofumpt, go vet, staticcheck
  go run ./dev fuzz [-time 30s]              run every fuzz target for a while
  go run ./dev schemas <folder>              take the shapes of answers from a checkout of the specification
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if _, err := os.Stat("dev/main.go"); err != nil {
		return errors.New("run this from the root of the checkout: go run ./dev …")
	}
	if len(args) == 0 {
		return flag.ErrHelp
	}
	switch verb, args := args[0], args[1:]; verb {
	case "run":
		return run(ctx, args)
	case "test":
		return test(ctx, args)
	case "lint":
		return lint(ctx)
	case "fuzz":
		return fuzz(ctx, args)
	case "schemas":
		return schemas(args)
	default:
		return flag.ErrHelp
	}
}

// run builds the server and becomes it, so that Ctrl-C and the exit code are
// the server's own.
func run(ctx context.Context, args []string) error {
	say("go build ./cmd/hearth (the first time takes a minute or two)")
	build := shell(ctx, "go", "build", "-o", "hearth", "./cmd/hearth")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		return fmt.Errorf("cannot build cmd/hearth: %w", err)
	}
	return syscall.Exec("./hearth", append([]string{"./hearth", "trial"}, args...), os.Environ())
}

// shell prepares a command whose output is ours. When ctx ends it is asked to
// stop, and killed if it has not after ten seconds.
func shell(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// say announces what comes next, in a form that no test runner's output has.
func say(format string, args ...any) {
	fmt.Printf("\n# "+format+"\n", args...)
}
