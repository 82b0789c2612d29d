package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"strings"
	"time"
)

// This is register_new_matrix_user as Synapse 1.163 has it: the same flags, the
// same questions, the same words, and prompts on standard output, so that guides
// and scripts (expect(1) among them) go on working. It speaks HTTP to any server
// with Synapse's shared-secret registration.

const defaultServerURL = "http://localhost:8008"

// registration is what the flags say.
type registration struct {
	user, password, passwordFile, userType string
	admin, noAdmin, existsOK               bool
	configs                                listFlag
	secret, url                            string
}

// listFlag is a flag that may be given many times.
type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

func parseRegistration(e *env, args []string) (*registration, error) {
	var r registration
	f := newFlags(e, "register_new_matrix_user [-u USER] [--exists-ok] [-p PASSWORD | --password-file FILE] [-t TYPE] [-a | --no-admin] (-c CONFIG | -k SECRET) [server_url]")
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
	rest, err := f.parse(args, "[server_url]")
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
		r.url = conf.url
	}
	if r.url == "" {
		r.url = defaultServerURL
		fmt.Fprintf(e.stderr, "Unable to find a suitable HTTP listener in the configuration file. Trying %s as a last resort.\n", r.url)
	}
	return nil
}

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

// registerTimeout is ample: hashing the password is the slowest part.
const registerTimeout = time.Minute

func (r *registration) send(ctx context.Context, e *env) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	url := strings.TrimRight(r.url, "/") + "/_synapse/admin/v1/register"
	var answer struct {
		Nonce string `json:"nonce"`
		Code  string `json:"errcode"`
		Error string `json:"error"`
	}
	status, err := exchange(ctx, http.MethodGet, url, nil, &answer)
	if err != nil {
		return err
	}
	if status.code != http.StatusOK {
		return failedWith(e, status, answer.Error)
	}
	fmt.Fprintln(e.stdout, "Sending registration request...")
	status, err = exchange(ctx, http.MethodPost, url, r.body(answer.Nonce), &answer)
	switch {
	case err != nil:
		return err
	case status.code != http.StatusOK && r.existsOK && answer.Code == "M_USER_IN_USE":
		fmt.Fprintln(e.stdout, "User already exists. Skipping.")
	case status.code != http.StatusOK:
		return failedWith(e, status, answer.Error)
	default:
		fmt.Fprintln(e.stdout, "Success!")
	}
	return nil
}

func (r *registration) body(nonce string) any {
	b := map[string]any{
		"nonce": nonce, "username": r.user, "password": r.password, "admin": r.admin, "user_type": nil,
		"mac": registrationMAC(r.secret, nonce, r.user, r.password, r.admin, r.userType),
	}
	if r.userType != "" {
		b["user_type"] = r.userType
	}
	return b
}

// registrationMAC proves the shared secret: HMAC-SHA1 in hex over the fields with
// NUL between them.
func registrationMAC(secret, nonce, user, password string, admin bool, userType string) string {
	role := "notadmin"
	if admin {
		role = "admin"
	}
	fields := []string{nonce, user, password, role}
	if userType != "" {
		fields = append(fields, userType)
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(strings.Join(fields, "\x00")))
	return hex.EncodeToString(mac.Sum(nil))
}

type httpStatus struct {
	code int
	text string // "400 Bad Request"
}

// exchange sends body as JSON and reads the answer into res. Answers that are
// not JSON leave res as it is.
func exchange(ctx context.Context, method, url string, body, res any) (httpStatus, error) {
	var data bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&data).Encode(body); err != nil {
			return httpStatus{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, &data)
	if err != nil {
		return httpStatus{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return httpStatus{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return httpStatus{}, err
	}
	_ = json.Unmarshal(text, res) // a proxy's HTML says nothing that the status does not
	return httpStatus{answer.StatusCode, answer.Status}, nil
}

func failedWith(e *env, status httpStatus, text string) error {
	fmt.Fprintf(e.stdout, "ERROR! Received %s\n", status.text)
	if status.code < 500 && text != "" {
		fmt.Fprintln(e.stdout, text)
	}
	return errSilent
}
