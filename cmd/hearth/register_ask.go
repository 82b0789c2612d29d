package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
)

// ask asks for what the flags left open. Unlike every other verb it asks even
// without a terminal, because scripts pipe their answers into Synapse's.
func (r *registration) ask(ctx context.Context, e *env) error {
	in := &answers{ctx: ctx, e: e, r: bufio.NewReader(e.stdin)}
	var err error
	if r.user == "" {
		if r.user, err = in.user(); err != nil {
			return err
		}
	}
	if r.user == "" {
		fmt.Fprintln(e.stdout, "Invalid user name")
		return errSilent
	}
	if r.password == "" {
		if r.password, err = in.password("Password: "); err != nil {
			return err
		}
		if r.password == "" {
			fmt.Fprintln(e.stdout, "Password cannot be blank.")
			return errSilent
		}
		again, err := in.password("Confirm password: ")
		if err != nil {
			return err
		}
		if again != r.password {
			fmt.Fprintln(e.stdout, "Passwords do not match")
			return errSilent
		}
	}
	if r.admin || r.noAdmin {
		return nil
	}
	answer, err := in.line("Make admin [no]: ")
	r.admin = answer == "y" || answer == "yes" || answer == "true"
	return err
}

// answers reads a person's answers, or a pipe's.
type answers struct {
	ctx context.Context
	e   *env
	r   *bufio.Reader
}

func (in *answers) line(prompt string) (string, error) {
	fmt.Fprint(in.e.stdout, prompt)
	return in.read()
}

func (in *answers) read() (string, error) {
	line, err := unlessDone(in.ctx, func() (string, error) { return in.r.ReadString('\n') })
	if errors.Is(err, io.EOF) && line != "" {
		err = nil
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the input ended before all questions were answered")
	}
	return strings.TrimRight(line, "\r\n"), err
}

func (in *answers) user() (string, error) {
	me := os.Getenv("LOGNAME")
	if u, err := user.Current(); me == "" && err == nil {
		me = u.Username
	}
	if me == "" {
		return in.line("New user localpart: ")
	}
	name, err := in.line(fmt.Sprintf("New user localpart [%s]: ", me))
	if name == "" {
		name = me
	}
	return name, err
}

// password asks the terminal even if standard input is a pipe, as getpass does,
// and reads standard input only where there is no terminal at all.
func (in *answers) password(prompt string) (string, error) {
	if tty, ok := in.terminal(); ok {
		defer tty.Close()
		return hiddenLine(in.ctx, tty, tty, prompt)
	}
	fmt.Fprint(in.e.stderr, prompt)
	return in.read()
}

func (in *answers) terminal() (*os.File, bool) {
	if _, real := in.e.stdin.(*os.File); !real {
		return nil, false // a test's answers
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	return tty, err == nil
}
