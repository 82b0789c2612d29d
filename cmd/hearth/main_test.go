package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"hearth/base/config"
	"hearth/base/lockdir"
	"hearth/matrix/mxerr"
	"hearth/server/control"
)

// world is a machine with an operator on it.
type world struct {
	t      *testing.T
	server *fakeServer
	person *person // nil when nobody is at the keyboard
	stdin  string
}

// said is what a verb printed, and its exit code.
type said struct {
	code     int
	out, err string
}

func newWorld(t *testing.T) *world {
	t.Chdir(t.TempDir())
	return &world{t: t, server: &fakeServer{}}
}

func (w *world) run(args ...string) said {
	w.t.Helper()
	return w.runCtx(w.t.Context(), args...)
}

func (w *world) runCtx(ctx context.Context, args ...string) said {
	var out, errOut bytes.Buffer
	e := &env{
		name: "hearth", stdin: strings.NewReader(w.stdin), stdout: &out, stderr: &errOut,
		prompt: prompts(w.person), newServer: w.server.open,
	}
	code := e.main(ctx, append([]string{"hearth"}, args...))
	return said{code, out.String(), errOut.String()}
}

func prompts(p *person) prompter {
	if p == nil {
		return nobody{}
	}
	return p
}

// person answers prompts.
type person struct{ answers, asked []string }

func (p *person) Interactive() bool { return true }
func (p *person) Password(ctx context.Context, prompt string) (string, error) {
	return p.Line(ctx, prompt)
}

func (p *person) Line(_ context.Context, prompt string) (string, error) {
	p.asked = append(p.asked, prompt)
	if len(p.answers) == 0 {
		return "", io.EOF
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	return a, nil
}

// nobody must not be asked.
type nobody struct{}

func (nobody) Interactive() bool { return false }
func (nobody) Line(_ context.Context, p string) (string, error) {
	return "", errors.New("asked nobody: " + p)
}

func (nobody) Password(_ context.Context, p string) (string, error) {
	return "", errors.New("asked nobody: " + p)
}

// fakeServer is a server whose accounts live as long as the test.
type fakeServer struct {
	mu      sync.Mutex
	users   []control.User
	tokens  []control.RegistrationToken
	log     []string
	opened  *config.Config
	refuses error // what opening it says
	onStart func()
}

func (s *fakeServer) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *fakeServer) open(_ context.Context, cfg *config.Config, _ *slog.Logger) (running, error) {
	if s.refuses != nil {
		return nil, s.refuses
	}
	s.opened = cfg
	s.note("open")
	return s, nil
}

func (s *fakeServer) Start(context.Context) error {
	s.note("start")
	if s.onStart != nil {
		s.onStart()
	}
	return nil
}
func (s *fakeServer) Stop(context.Context) error { s.note("stop"); return nil }
func (s *fakeServer) Admin() control.Admin       { return s }

func (s *fakeServer) AddUser(_ context.Context, localpart, password string, admin bool, display string) (string, error) {
	id := "@" + localpart + ":" + s.opened.ServerName
	if slices.ContainsFunc(s.users, func(u control.User) bool { return u.ID == id }) {
		return "", mxerr.New(mxerr.UserInUse, "The name %s is taken", localpart)
	}
	s.note("password %s", password)
	s.users = append(s.users, control.User{ID: id, Admin: admin, DisplayName: display})
	return id, nil
}

func (s *fakeServer) Users(_ context.Context, from string, limit int) ([]control.User, error) {
	i := 0
	for i < len(s.users) && s.users[i].ID <= from {
		i++
	}
	return s.users[i:min(len(s.users), i+limit)], nil
}

func (s *fakeServer) SetPassword(_ context.Context, user, password string, logout bool) error {
	s.note("set %s %s %v", user, password, logout)
	return nil
}

func (s *fakeServer) Deactivate(_ context.Context, user string, erase bool) error {
	s.note("deactivate %s %v", user, erase)
	return nil
}

func (s *fakeServer) CreateToken(_ context.Context, t control.RegistrationToken) (control.RegistrationToken, error) {
	if t.Token == "" {
		t.Token = "random"
	}
	s.tokens = append(s.tokens, t)
	return t, nil
}

func (s *fakeServer) Tokens(context.Context) ([]control.RegistrationToken, error) {
	return s.tokens, nil
}

func (s *fakeServer) RevokeToken(_ context.Context, token string) error {
	if !slices.ContainsFunc(s.tokens, func(t control.RegistrationToken) bool { return t.Token == token }) {
		return mxerr.New(mxerr.NotFound, "There is no token %s", token)
	}
	return nil
}

// writeConfig makes ./hearth.toml with data in ./data.
func (w *world) writeConfig(more string) {
	w.t.Helper()
	if err := os.MkdirAll("data", 0o700); err != nil {
		w.t.Fatal(err)
	}
	text := "server_name = \"a.test\"\n[storage]\ndir = \"data\"\n" + more
	if err := os.WriteFile("hearth.toml", []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func TestVerbsOnAStoppedServer(t *testing.T) {
	w := newWorld(t)
	w.writeConfig("")
	w.stdin = "from a pipe\n"

	for _, tc := range []struct {
		args string
		want said
	}{
		{"user add alice --admin --password pw1", said{0, "made @alice:a.test\n", ""}},
		{"user add @bob:a.test --password-file - --display-name Bob --json", said{0, "{\n  \"admin\": false,\n  \"user_id\": \"@bob:a.test\"\n}\n", ""}},
		{"user add alice --password pw", said{1, "", "The name alice is taken\n"}},
		{"user add @eve:other.test --password pw", said{1, "", "@eve:other.test is of another server: this one is a.test\n"}},
		{"user password alice --password pw2", said{0, "changed the password of alice\nall its devices were signed out (--keep-devices leaves them)\n", ""}},
		{"user password alice --password pw3 --keep-devices", said{0, "changed the password of alice\n", ""}},
		{"user deactivate bob --erase --yes", said{0, "closed bob\n", ""}},
		{"token create", said{0, "random\n", ""}},
		{"token create --token summer --uses 0 --expires 2030-01-31", said{0, "summer\n", ""}},
		{"token revoke summer", said{0, "revoked summer\n", ""}},
		{"token revoke winter", said{1, "", "There is no token winter\n"}},
	} {
		if got := w.run(strings.Fields(tc.args)...); got != tc.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", tc.args, got, tc.want)
		}
	}
	log := strings.Join(w.server.log, "\n")
	for _, want := range []string{"password pw1", "password from a pipe", "set alice pw2 true", "set alice pw3 false", "deactivate bob true"} {
		if !strings.Contains(log, want) {
			t.Errorf("the server was not told %q but\n%s", want, log)
		}
	}
	if opens, stops := strings.Count(log, "open"), strings.Count(log, "stop"); opens != stops || strings.Contains(log, "start") {
		t.Errorf("%d opened, %d stopped, %q", opens, stops, log)
	}

	list := w.run("user", "list")
	if list.code != 0 || !strings.Contains(list.out, "@alice:a.test") || !strings.Contains(list.out, "admin") {
		t.Errorf("%+v", list)
	}
	var users struct{ Users []control.User }
	if err := json.Unmarshal([]byte(w.run("user", "list", "--json").out), &users); err != nil || len(users.Users) != 2 {
		t.Errorf("%+v %v", users, err)
	}
	tokens := w.run("token", "list")
	if want := "TOKEN   USED  OF   UNDER WAY  ENDS\nrandom  0     1    0          never\nsummer  0     any  0          2030-02-01 00:00\n"; tokens.out != want {
		t.Errorf("got\n%s\nwant\n%s", tokens.out, want)
	}
}

func TestUserListIsWhole(t *testing.T) {
	w := newWorld(t)
	w.writeConfig("")
	for i := range 2*pageSize + 1 {
		w.server.users = append(w.server.users, control.User{ID: fmt.Sprintf("@u%05d:a.test", i)})
	}
	if got := strings.Count(w.run("user", "list").out, "@u"); got != 2*pageSize+1 {
		t.Errorf("%d users listed", got)
	}
}

func TestNobodyIsAskedWithoutATerminal(t *testing.T) {
	w := newWorld(t)
	w.writeConfig("")
	for args, want := range map[string]string{
		"user add alice":        "there is no password and nobody to ask; give --password-file FILE (- for standard input)",
		"user password alice":   "there is no password and nobody to ask; give --password-file FILE (- for standard input)",
		"user deactivate alice": "this needs a yes and there is nobody to ask; give --yes",
	} {
		if got := w.run(strings.Fields(args)...); got.code != exitUsage || !strings.HasPrefix(got.err, want+"\nusage: hearth user") {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestPrompts(t *testing.T) {
	w := newWorld(t)
	w.writeConfig("")
	w.person = &person{answers: []string{"pw", "pw"}}
	if got := w.run("user", "add", "alice"); got.out != "made @alice:a.test\n" {
		t.Errorf("%+v", got)
	}
	w.person = &person{answers: []string{"pw", "pwd"}}
	if got := w.run("user", "add", "bob"); got != (said{1, "", "the passwords are not the same\n"}) {
		t.Errorf("%+v", got)
	}
	w.person = &person{answers: []string{""}}
	if got := w.run("user", "deactivate", "alice"); got != (said{1, "", "nothing was done\n"}) {
		t.Errorf("%+v", got)
	}
	w.person = &person{answers: []string{"yes"}}
	if got := w.run("user", "deactivate", "alice"); got.code != 0 || !strings.HasPrefix(w.person.asked[0], "Close alice for ever?") {
		t.Errorf("%+v", got)
	}
}

func TestWrongUse(t *testing.T) {
	w := newWorld(t)
	for args, want := range map[string]string{
		"":                                  "usage: hearth <command>",
		"dance":                             `hearth: there is no "dance"`,
		"user":                              "usage: hearth user <command>",
		"user add":                          "NAME is missing",
		"user add a b":                      `what is "b"? there are too many arguments`,
		"user add a --colour":               "flag provided but not defined: -colour",
		"user add a --config x --dir y":     "give --config or --dir, not both",
		"user list":                         "there is no ./hearth.toml and no /etc/hearth/hearth.toml",
		"token create --uses -1":            "--uses -1 is negative",
		"token create --expires 2020-01-01": "--expires 2020-01-01 is over already",
		"token create --expires soon":       `--expires "soon" is no time; write for example 12h, 7d or 2026-12-31`,
		"trial --listen 8420":               `--listen "8420" is not host:port`,
		"user add a --password x --password-file y --dir .": "give --password or --password-file, not both",
	} {
		if got := w.run(strings.Fields(args)...); got.code != exitUsage || !strings.HasPrefix(got.err, want) || got.out != "" {
			t.Errorf("%q: %+v, want %q", args, got, want)
		}
	}
	for _, args := range []string{"help", "user --help", "user add -h", "version", "version --json", "--version", "config example"} {
		if got := w.run(strings.Fields(args)...); got.code != exitOK || got.out == "" || got.err != "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestConfigVerbs(t *testing.T) {
	w := newWorld(t)
	w.writeConfig("[turn]\nsecret = \"hush\"\nudp = 3478\n")
	if got := w.run("config", "check"); got.code != 0 || !strings.HasPrefix(got.out, "the configuration of a.test is good\n") {
		t.Errorf("%+v", got)
	}
	show := w.run("config", "show", "--origin")
	if !strings.Contains(show.out, "udp = \":3478\"  # hearth.toml:6:1\n") || strings.Contains(show.out, "hush") {
		t.Errorf("%+v", show)
	}
	var shown struct{ Settings []map[string]string }
	if err := json.Unmarshal([]byte(w.run("config", "show", "--json").out), &shown); err != nil || shown.Settings[0]["value"] != `"a.test"` {
		t.Errorf("%v %v", shown, err)
	}

	// what it names is read, too
	w.writeConfig("[appservices]\nfiles = [\"irc.yaml\"]\n")
	if err := os.WriteFile("irc.yaml", []byte("id: irc\nurl: null\nas_token: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := w.run("config", "check"); got.code != 1 || !strings.HasSuffix(got.err, "irc.yaml:1:1: hs_token is missing\n") {
		t.Errorf("%+v", got)
	}

	w.writeConfig("[tunr]\nudp = 1\n[log]\nlevel = \"loud\"\n")
	want := "hearth.toml:4:2: unknown section [tunr]; did you mean [turn]?\n" +
		"hearth.toml:7:9: log.level: \"loud\" is not a choice; write \"debug\", \"info\", \"warn\" or \"error\"\n"
	if got := w.run("config", "check"); got != (said{1, "", want}) {
		t.Errorf("%+v", got)
	}
	var check struct {
		OK       bool
		Problems []finding
	}
	got := w.run("config", "check", "--json")
	if err := json.Unmarshal([]byte(got.out), &check); err != nil || got.code != 1 || check.OK || len(check.Problems) != 2 || check.Problems[0].Line != 4 {
		t.Errorf("%+v %v", got, err)
	}
	// a start stops at the first of them
	first, _, _ := strings.Cut(want, "\n")
	if got := w.run("serve", "--config", "hearth.toml"); got != (said{1, "", first + "\n"}) {
		t.Errorf("%+v", got)
	}
}

func TestServe(t *testing.T) {
	w := newWorld(t)
	w.writeConfig("")
	ctx, terminate := context.WithCancel(t.Context())
	started := make(chan struct{})
	w.server.onStart = func() { close(started) }
	result := make(chan said, 1)

	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	t.Setenv("NOTIFY_SOCKET", "notify")
	hears := func() string {
		b := make([]byte, 100)
		n, err := notify.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}

	go func() { result <- w.runCtx(ctx, "serve") }()
	<-started
	if got := hears(); got != "READY=1" {
		t.Fatalf("systemd hears %q", got)
	}

	// the verbs now go through the socket
	if got := w.run("user", "add", "alice", "--password", "pw"); got.out != "made @alice:a.test\n" {
		t.Errorf("%+v", got)
	}
	if got := w.run("user", "list"); !strings.Contains(got.out, "@alice:a.test") {
		t.Errorf("%+v", got)
	}
	// and a second server is told who has the data
	second := w.run("serve")
	if want := fmt.Sprintf("(pid %d)", os.Getpid()); second.code != 1 || !strings.HasPrefix(second.err, "hearth.toml:3:1: data directory ") ||
		!strings.Contains(second.err, want) || strings.Count(second.err, "\n") != 1 {
		t.Errorf("%+v", second)
	}

	terminate()
	if got := hears(); got != "STOPPING=1" {
		t.Errorf("systemd hears %q", got)
	}
	end := <-result
	if end.code != 0 || !strings.Contains(end.err, `"msg":"ready"`) {
		t.Errorf("%+v", end)
	}
	if want := []string{"open", "start", "password pw", "stop"}; !slices.Equal(w.server.log, want) {
		t.Errorf("got %q, want %q", w.server.log, want)
	}
	lock, err := lockdir.Take("data")
	if err != nil {
		t.Fatalf("the data is still locked: %v", err)
	}
	// A server that is there but does not answer is not opened twice.
	if got := w.run("user", "list"); got.code != 1 || !strings.Contains(got.err, "a server has the data directory") {
		t.Errorf("%+v", got)
	}
	lock.Release()
}

func TestServerThatCannotOpen(t *testing.T) {
	w := newWorld(t)
	w.writeConfig("")
	w.server.refuses = errors.New("the database is newer than this program\n  schema 9, known 3")
	if got := w.run("serve"); got != (said{1, "", "the database is newer than this program schema 9, known 3\n"}) {
		t.Errorf("%+v", got)
	}
}

func TestTrial(t *testing.T) {
	w := newWorld(t)
	ctx, terminate := context.WithCancel(t.Context())
	w.server.onStart = terminate
	got := w.runCtx(ctx, "trial")
	if got.code != 0 || got.err != "" {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{"http://localhost:8420", "UDP 8421, TCP 8422", "Sign-up is open", "data in hearth-trial"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("the welcome lacks %q:\n%s", want, got.out)
		}
	}
	c := w.server.opened
	if c.Listen.HTTP != "127.0.0.1:8420" || c.TURN.UDP != "127.0.0.1:8421" || c.TURN.TCP != "127.0.0.1:8422" || c.Registration.Mode != "open" {
		t.Errorf("%+v", c)
	}
	if dir, _ := filepath.Abs("hearth-trial"); c.Storage.Dir != dir {
		t.Errorf("data in %s", c.Storage.Dir)
	}
	// the verbs find a trial server by its folder, named or not
	for _, args := range []string{"user list", "user list --dir hearth-trial"} {
		if got := w.run(strings.Fields(args)...); got.code != 0 {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestTrialThatOthersCanReach(t *testing.T) {
	w := newWorld(t)
	ctx, terminate := context.WithCancel(t.Context())
	w.server.onStart = terminate
	got := w.runCtx(ctx, "trial", "--listen", "0.0.0.0:9000", "--dir", "d")
	open := w.server.opened.OpenOnlyFrom
	if open == nil || !open("127.0.0.1") || !open("::1") || open("192.0.2.1") || open("") {
		t.Error("sign-up is not open to this machine alone")
	}
	if !strings.Contains(got.out, "hearth token create --dir d") || !strings.Contains(got.out, "http://localhost:9000") {
		t.Errorf("%s", got.out)
	}
}
