// Command hearth is the whole server and the operator's tool for it: one verb
// per file. Verbs work while the server runs, through its control socket, and
// when it is stopped, by opening the data directory.
//
// It refuses to know how anything is done: it reads flags, calls the package
// that does the work, and prints what came of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
)

// Exit codes of every verb.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// env is the world outside, so that tests can bring their own.
type env struct {
	name      string // how the program was called, for hints that can be copied
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
	prompt    prompter
	newServer newServerFunc
}

// verb is one command or a group of them.
type verb struct {
	name  string
	args  string // as in the usage line
	short string
	run   func(ctx context.Context, e *env, args []string) error
	sub   []verb
}

// usageError is a mistake in the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// errSilent and errWrongUse fail a verb that has said everything already.
var (
	errSilent   = errors.New("failed")
	errWrongUse = errors.New("wrong use")
)

func verbs() []verb {
	return []verb{
		{name: "trial", args: "[--dir D] [--listen A]", short: "try Hearth on this machine, with nothing to configure", run: runTrial},
		{name: "serve", args: "[--config F]", short: "run the server", run: runServe},
		{name: "config", short: "check, show or make the configuration", sub: configVerbs()},
		{name: "user", short: "manage accounts", sub: userVerbs()},
		{name: "token", short: "manage registration tokens", sub: tokenVerbs()},
		{
			name: "register-new-matrix-user", args: "[-u USER] [-p PASSWORD] [-a] (-c CONFIG | -k SECRET) [URL]",
			short: "Synapse's tool of that name", run: runRegister,
		},
		{name: "version", args: "[--json]", short: "say which Hearth this is", run: runVersion},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// After the first signal the default comes back: a second one ends at once.
	context.AfterFunc(ctx, stop)
	e := &env{
		name: os.Args[0], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		prompt: terminal{os.Stdin, os.Stderr}, newServer: newServer,
	}
	os.Exit(e.main(ctx, os.Args))
}

// main runs the verb that argv names and returns the exit code.
func (e *env) main(ctx context.Context, argv []string) int {
	if filepath.Base(argv[0]) == "register_new_matrix_user" {
		return e.code(runRegister(ctx, e, argv[1:]), "register_new_matrix_user")
	}
	return e.dispatch(ctx, "hearth", verbs(), argv[1:])
}

func (e *env) dispatch(ctx context.Context, path string, list []verb, args []string) int {
	if len(args) == 0 {
		printVerbs(e.stderr, path, list)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		printVerbs(e.stdout, path, list)
		return exitOK
	case "--version":
		args[0] = "version"
	}
	for _, v := range list {
		if v.name != args[0] {
			continue
		}
		if v.sub != nil {
			return e.dispatch(ctx, path+" "+v.name, v.sub, args[1:])
		}
		return e.code(v.run(ctx, e, args[1:]), path+" "+v.name+" "+v.args)
	}
	fmt.Fprintf(e.stderr, "%s: there is no %q\n\n", path, args[0])
	printVerbs(e.stderr, path, list)
	return exitUsage
}

// code prints err as one line and turns it into an exit code.
func (e *env) code(err error, usage string) int {
	ue, isUsage := errors.AsType[*usageError](err)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.Is(err, errWrongUse):
		return exitUsage
	case isUsage:
		fmt.Fprintf(e.stderr, "%s\nusage: %s\n", ue.text, usage)
		return exitUsage
	}
	fmt.Fprintln(e.stderr, oneLine(err))
	return exitFailed
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", " ")), " ")
}

func printVerbs(w io.Writer, path string, list []verb) {
	fmt.Fprintf(w, "usage: %s <command> [flags]\n\n", path)
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, v := range list {
		fmt.Fprintf(tw, "  %s\t%s\n", v.name, v.short)
		for _, s := range v.sub {
			fmt.Fprintf(tw, "    %s %s\t%s\n", v.name, s.name, s.short)
		}
	}
	tw.Flush()
	if path == "hearth" {
		fmt.Fprintf(w, "\n\"%s <command> -h\" lists the flags. Exit codes: 0 done, 1 failed, 2 wrong use.\n", path)
	}
}
