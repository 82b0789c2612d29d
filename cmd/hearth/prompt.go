package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// prompter asks a person. Interactive says whether there is one.
type prompter interface {
	Interactive() bool
	Line(prompt string) (string, error)
	Password(prompt string) (string, error)
}

// terminal is the person at the keyboard. Prompts go to standard error, so that
// standard output stays what the verb prints.
type terminal struct {
	in  *os.File
	out io.Writer
}

func (t terminal) Interactive() bool { return term.IsTerminal(int(t.in.Fd())) }

func (t terminal) Line(prompt string) (string, error) {
	fmt.Fprint(t.out, prompt)
	line, err := bufio.NewReader(t.in).ReadString('\n') // a terminal gives one line at a time
	return strings.TrimRight(line, "\r\n"), err
}

func (t terminal) Password(prompt string) (string, error) {
	fmt.Fprint(t.out, prompt)
	b, err := term.ReadPassword(int(t.in.Fd()))
	fmt.Fprintln(t.out)
	return string(b), err
}

// passwordFlags are the three ways to give a password.
type passwordFlags struct{ password, file string }

func (p *passwordFlags) add(f *flags) {
	f.StringVar(&p.password, "password", "", "the `password` (other users of this machine may see it in ps)")
	f.StringVar(&p.file, "password-file", "", "`file` with the password, - for standard input")
}

// get returns the password that was given, or asks twice.
func (p *passwordFlags) get(e *env) (string, error) {
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
	return askTwice(e)
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

func askTwice(e *env) (string, error) {
	first, err := e.prompt.Password("Password: ")
	if err != nil {
		return "", err
	}
	if first == "" {
		return "", errors.New("the password must not be empty")
	}
	second, err := e.prompt.Password("Confirm password: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the passwords are not the same")
	}
	return first, nil
}
