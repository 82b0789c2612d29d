package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// prompter asks a person. Interactive says whether there is one. Ctrl-C, which
// ends ctx, ends a question too.
type prompter interface {
	Interactive() bool
	Line(ctx context.Context, prompt string) (string, error)
	Password(ctx context.Context, prompt string) (string, error)
}

// terminal is the person at the keyboard. Prompts go to standard error, so that
// standard output stays what the verb prints.
type terminal struct {
	in  *os.File
	out io.Writer
}

func (t terminal) Interactive() bool { return term.IsTerminal(int(t.in.Fd())) }

func (t terminal) Line(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(t.out, prompt)
	return unlessDone(ctx, func() (string, error) {
		line, err := bufio.NewReader(t.in).ReadString('\n') // a terminal gives one line at a time
		return strings.TrimRight(line, "\r\n"), err
	})
}

func (t terminal) Password(ctx context.Context, prompt string) (string, error) {
	return hiddenLine(ctx, t.in, t.out, prompt)
}

// hiddenLine reads a line from a terminal that does not echo it, and leaves the
// terminal as it was even when the question is cut short.
func hiddenLine(ctx context.Context, tty *os.File, out io.Writer, prompt string) (string, error) {
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", err
	}
	fmt.Fprint(out, prompt)
	defer fmt.Fprintln(out)
	line, err := unlessDone(ctx, func() (string, error) {
		b, err := term.ReadPassword(int(tty.Fd()))
		return string(b), err
	})
	return line, errors.Join(err, term.Restore(int(tty.Fd()), before))
}

// unlessDone waits for read or for the end of ctx. A read that nobody waits for
// ends with the process, which has nothing else left to do.
func unlessDone(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := read()
		done <- result{line, err}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done():
		return "", errors.New("interrupted")
	}
}

// passwordFlags are the three ways to give a password.
type passwordFlags struct{ password, file string }

func (p *passwordFlags) add(f *flags) {
	f.StringVar(&p.password, "password", "", "the `password` (other users of this machine may see it in ps)")
	f.StringVar(&p.file, "password-file", "", "`file` with the password, - for standard input")
}

// get returns the password that was given, or asks twice.
func (p *passwordFlags) get(ctx context.Context, e *env) (string, error) {
	switch {
	case p.password != "" && p.file != "":
		return "", usagef("give --password or --password-file, not both")
	case p.password != "":
		return p.password, nil
	case p.file != "":
		return readPassword(e, p.file)
	case !e.prompt.Interactive():
		return "", usagef("there is no password and nobody to ask; give --password-file FILE (- for standard input)")
	}
	return askTwice(ctx, e)
}

func readPassword(e *env, file string) (string, error) {
	r := e.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("password file: %w", err)
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", errors.New("the password file is empty")
	}
	return password, nil
}

func askTwice(ctx context.Context, e *env) (string, error) {
	first, err := e.prompt.Password(ctx, "Password: ")
	if err != nil {
		return "", err
	}
	if first == "" {
		return "", errors.New("the password must not be empty")
	}
	second, err := e.prompt.Password(ctx, "Confirm password: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the passwords are not the same")
	}
	return first, nil
}
