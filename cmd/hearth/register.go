package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// This is register_new_matrix_user as Synapse 1.163 has it: the same flags, the
// same questions, the same words, and prompts on standard output, so that guides
// and scripts (expect(1) among them) go on working. It speaks HTTP to any server
// with Synapse's shared-secret registration.

const defaultServerURL = "http://localhost:8008"

const registerUsage = "register_new_matrix_user [-h] [-u USER] [--exists-ok] [-p PASSWORD | --password-file PASSWORD_FILE] [-t USER_TYPE] [-a | --no-admin] (-c CONFIG | -k SHARED_SECRET) [server_url]"

// registration is what the flags say.
type registration struct {
	user, password, passwordFile, userType string
	admin, noAdmin, existsOK               bool
	configs                                listFlag
	secret, url                            string
	own                                    string // Hearth's configuration, if no URL was given: the server may be stopped
}

// listFlag is a flag that may be given many times.
type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

func parseRegistration(e *env, args []string) (*registration, error) {
	var r registration
	f := newFlags(e, registerUsage)
	for _, name := range []string{"u", "user"} {
		f.StringVar(&r.user, name, "", "localpart of the new `user`; asked for if missing")
	}
	for _, name := range []string{"p", "password"} {
		f.StringVar(&r.password, name, "", "`password`; asked for if missing")
	}
	f.StringVar(&r.passwordFile, "password-file", "", "`file` with the password")
	for _, name := range []string{"t", "user_type"} {
		f.StringVar(&r.userType, name, "", "user `type`: bot or support")
	}
	for _, name := range []string{"a", "admin"} {
		f.BoolVar(&r.admin, name, false, "make the user an admin")
	}
	f.BoolVar(&r.noAdmin, "no-admin", false, "do not make the user an admin, and do not ask")
	f.BoolVar(&r.existsOK, "exists-ok", false, "leave a user alone that exists already, and succeed")
	for _, name := range []string{"c", "config"} {
		f.Var(&r.configs, name, "configuration `file` with the shared secret: Synapse's YAML or Hearth's TOML; may be repeated")
	}
	for _, name := range []string{"k", "shared-secret"} {
		f.StringVar(&r.secret, name, "", "the shared `secret` itself")
	}
	rest, err := f.parse(f.apart(args), "[server_url]")
	if err != nil {
		return nil, err
	}
	if len(rest) == 1 {
		r.url = rest[0]
	}
	switch {
	case r.password != "" && r.passwordFile != "":
		return nil, usagef("argument --password-file: not allowed with argument -p/--password")
	case r.admin && r.noAdmin:
		return nil, usagef("argument --no-admin: not allowed with argument -a/--admin")
	case len(r.configs) > 0 && r.secret != "":
		return nil, usagef("argument -k/--shared-secret: not allowed with argument -c/--config")
	case len(r.configs) == 0 && r.secret == "":
		return nil, usagef("one of the arguments -c/--config -k/--shared-secret is required")
	}
	return &r, nil
}

func runRegister(ctx context.Context, e *env, args []string) error {
	err := register(ctx, e, args)
	if ue, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(e.stderr, "usage: %s\nregister_new_matrix_user: error: %s\n", registerUsage, ue.text)
		return errWrongUse
	}
	return err
}

func register(ctx context.Context, e *env, args []string) error {
	r, err := parseRegistration(e, args)
	if err != nil {
		return err
	}
	if err := r.fromConfigs(e); err != nil {
		return err
	}
	if r.passwordFile != "" {
		text, err := os.ReadFile(r.passwordFile)
		if err != nil {
			return bail(fmt.Sprintf("Error accessing file %s: %v", r.passwordFile, err))
		}
		r.password = strings.TrimSpace(string(text))
	}
	if err := r.ask(ctx, e); err != nil {
		return err
	}
	return r.send(ctx, e)
}

// fromConfigs fills in the secret and the URL.
func (r *registration) fromConfigs(e *env) error {
	if len(r.configs) == 0 {
		if r.url == "" {
			r.url = defaultServerURL
			fmt.Fprintf(e.stderr, "No server url or configuration file given. Defaulting to %s.\n", r.url)
		}
		return nil
	}
	conf, err := readSecretConfigs(r.configs)
	if err != nil {
		return err
	}
	if r.secret, err = conf.sharedSecret(); err != nil {
		return err
	}
	if r.url == "" {
		r.url, r.own = conf.url, conf.own
	}
	if r.url == "" {
		r.url = defaultServerURL
		fmt.Fprintf(e.stderr, "Unable to find a suitable HTTP listener in the configuration file. Trying %s as a last resort.\n", r.url)
	}
	return nil
}
