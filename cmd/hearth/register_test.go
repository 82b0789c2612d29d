package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The vector on which Synapse's own code and ours agree.
func TestRegistrationMAC(t *testing.T) {
	got := registrationMAC("shared_secret", "thisisanonce", "pepper_roni", "pizza", true, "")
	if want := "48715842ad67d5dc9a9ee938a3bda4fcfae8d7c7"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// synapse is a server with shared-secret registration; it hands out one nonce.
func synapse(t *testing.T, secret string) (url string, got *map[string]any) {
	got = new(map[string]any)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_synapse/admin/v1/register" {
			http.NotFound(w, r)
			return
		}
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(`{"nonce":"n1"}`))
			return
		}
		var b map[string]any
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
			t.Error(err)
		}
		*got = b
		userType, _ := b["user_type"].(string)
		user, _ := b["username"].(string)
		password, _ := b["password"].(string)
		mac := registrationMAC(secret, "n1", user, password, b["admin"] == true, userType)
		switch {
		case b["nonce"] != "n1" || b["mac"] != mac:
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"errcode":"M_UNKNOWN","error":"HMAC incorrect"}`))
		case user == "taken":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"errcode":"M_USER_IN_USE","error":"User ID already taken."}`))
		case user == "broken":
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte(`<html>nginx</html>`))
		default:
			_, _ = w.Write([]byte(`{"user_id":"@x:a.test","access_token":"t"}`))
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

func TestRegisterTool(t *testing.T) {
	url, body := synapse(t, "s3cret")
	t.Setenv("LOGNAME", "root")
	const sending = "Sending registration request...\n"
	for _, tc := range []struct {
		what, args, stdin string
		want              said
		user              string
		admin             bool
	}{
		{what: "all by flags", args: "-u alice -p pw -a -k s3cret " + url, want: said{0, sending + "Success!\n", ""}, user: "alice", admin: true},
		{what: "long flags, URL first", args: url + "/ --user=bob --password=pw --no-admin --shared-secret=s3cret", want: said{0, sending + "Success!\n", ""}, user: "bob"},
		{
			what: "all by questions", args: "-k s3cret " + url, stdin: "carol\npw\npw\nyes\n",
			want: said{0, "New user localpart [root]: Make admin [no]: " + sending + "Success!\n", "Password: Confirm password: "}, user: "carol", admin: true,
		},
		{
			what: "the defaults", args: "-k s3cret " + url, stdin: "\npw\npw\n\n",
			want: said{0, "New user localpart [root]: Make admin [no]: " + sending + "Success!\n", "Password: Confirm password: "}, user: "root",
		},
		{what: "blank password", args: "-u a -k s3cret " + url, stdin: "\n", want: said{1, "Password cannot be blank.\n", "Password: "}},
		{what: "passwords differ", args: "-u a -k s3cret " + url, stdin: "x\ny\n", want: said{1, "Passwords do not match\n", "Password: Confirm password: "}},
		{what: "input ends", args: "-u a -k s3cret " + url, want: said{1, "", "Password: the input ended before all questions were answered\n"}},
		{what: "wrong secret", args: "-u a -p pw --no-admin -k other " + url, want: said{1, sending + "ERROR! Received 403 Forbidden\nHMAC incorrect\n", ""}},
		{what: "taken", args: "-u taken -p pw -a -k s3cret " + url, want: said{1, sending + "ERROR! Received 400 Bad Request\nUser ID already taken.\n", ""}},
		{what: "taken, and that is fine", args: "-u taken -p pw -a --exists-ok -k s3cret " + url, want: said{0, sending + "User already exists. Skipping.\n", ""}},
		{what: "a proxy in the way", args: "-u broken -p pw -a -k s3cret " + url, want: said{1, sending + "ERROR! Received 502 Bad Gateway\n", ""}},
		{what: "not a homeserver", args: "-u a -p pw -a -k s3cret " + url + "/nowhere", want: said{1, "ERROR! Received 404 Not Found\n", ""}},
		{what: "short flags in one", args: "-aualice -ppw -ks3cret " + url, want: said{0, sending + "Success!\n", ""}, user: "alice", admin: true},
		{what: "values like flags", args: "-u b -p -apw --no-admin -k s3cret -- " + url, want: said{0, sending + "Success!\n", ""}, user: "b"},
		{what: "bot", args: "-u b -p pw --no-admin -t bot -k s3cret " + url, want: said{0, sending + "Success!\n", ""}, user: "b"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			w := newWorld(t)
			w.stdin = tc.stdin
			*body = nil
			got := w.run(append([]string{"register-new-matrix-user"}, strings.Fields(tc.args)...)...)
			if got != tc.want {
				t.Errorf("\ngot  %+q\nwant %+q", []string{got.out, got.err}, []string{tc.want.out, tc.want.err})
			}
			if tc.user != "" && ((*body)["username"] != tc.user || (*body)["admin"] != tc.admin) {
				t.Errorf("sent %v", *body)
			}
		})
	}
}

func TestRegisterToolWrongUse(t *testing.T) {
	w := newWorld(t)
	for args, want := range map[string]string{
		"-u a":                             "one of the arguments -c/--config -k/--shared-secret is required",
		"-k x -c y":                        "argument -k/--shared-secret: not allowed with argument -c/--config",
		"-k x -a --no-admin":               "argument --no-admin: not allowed with argument -a/--admin",
		"-k x -p y --password-file z":      "argument --password-file: not allowed with argument -p/--password",
		"-k x http://a.test http://b.test": `what is "http://b.test"? there are too many arguments`,
	} {
		want = "usage: " + registerUsage + "\nregister_new_matrix_user: error: " + want + "\n"
		if got := w.run(append([]string{"register-new-matrix-user"}, strings.Fields(args)...)...); got != (said{exitUsage, "", want}) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

// With Hearth's own configuration the tool works while the server is stopped too.
func TestRegisterToolOnAStoppedServer(t *testing.T) {
	w := newWorld(t)
	w.writeConfig("[listen]\nhttp = \"127.0.0.1:1\"\n[registration]\nshared_secret = \"s\"\n")
	const sending = "Sending registration request...\n"
	for _, tc := range []struct {
		args string
		want said
	}{
		{"-u alice -p pw -a -c hearth.toml", said{0, sending + "Success!\n", ""}},
		{"-u alice -p pw -a -c hearth.toml", said{1, sending + "ERROR! Received 400 Bad Request\nThe name alice is taken\n", ""}},
		{"-u alice -p pw -a --exists-ok -c hearth.toml", said{0, sending + "User already exists. Skipping.\n", ""}},
	} {
		if got := w.run(append([]string{"register-new-matrix-user"}, strings.Fields(tc.args)...)...); got != tc.want {
			t.Errorf("%s: %+v", tc.args, got)
		}
	}
	if got := w.run("register-new-matrix-user", "-u", "b", "-p", "pw", "-a", "-c", "hearth.toml", "http://127.0.0.1:1"); got.code != 1 || !strings.Contains(got.err, "connection refused") {
		t.Errorf("a server that was named and is not there: %+v", got)
	}
}

// The tool is found under Synapse's name too.
func TestRegisterToolByItsOldName(t *testing.T) {
	url, _ := synapse(t, "s3cret")
	w := newWorld(t)
	var out strings.Builder
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &out, prompt: nobody{}, newServer: w.server.open}
	code := e.main(t.Context(), []string{"/usr/bin/register_new_matrix_user", "-u", "a", "-p", "pw", "-a", "-k", "s3cret", url})
	if code != 0 || !strings.HasSuffix(out.String(), "Success!\n") {
		t.Errorf("%d %s", code, &out)
	}
}

func TestRegisterToolReadsConfigs(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secretFile := write("secret", "from a file\n")
	listeners := `
# a comment
server_name: "a.test"
listeners:
  - port: 8448
    tls: true
    type: http
    resources:
      - names: [client, federation]
  - port: 9000
    type: metrics
  - type: http
    port: 8118   # the one
    tls: false
    bind_addresses: ['::1', '127.0.0.1']
    resources:
      - names:
          - client
        compress: false
database:
  name: sqlite3
  port: 5432
registration_shared_secret: 'it''s'   # quoted
`
	for _, tc := range []struct{ what, file, text, secret, url string }{
		{"one line, single quotes", "a.yaml", "registration_shared_secret: 'abc#1'\n", "abc#1", ""},
		{"plain", "b.yaml", "registration_shared_secret: abc # said here\n", "abc", ""},
		{"double quotes", "c.yaml", `registration_shared_secret: "a\"b"`, `a"b`, ""},
		{"from another file", "d.yaml", "registration_shared_secret_path: " + secretFile, "from a file", ""},
		{"a whole homeserver.yaml", "homeserver.yaml", listeners, "it's", "http://localhost:8118"},
		{"flow lists", "e.yaml", "registration_shared_secret: x\nlisteners:\n- port: 1\n  type: http\n  resources:\n  - names: [federation]\n- port: 2\n  type: http\n  resources:\n  - {names: [client]}\n- port: 3\n  type: http\n  resources:\n  - names: [federation, client]\n", "x", "http://localhost:2"},
		{"all in flow style", "f.yaml", "registration_shared_secret: x\nlisteners: [{port: 8119, type: http, tls: false, resources: [{names: [client]}]}]\n", "x", "http://localhost:8119"},
		{"on many lines", "g.yaml", "registration_shared_secret: |\n  a\n  b\n", "a\nb\n", ""},
		{"Hearth's own", "hearth.toml", "server_name = \"a.test\"\n[listen]\nhttp = \":8420\"\n[registration]\nshared_secret = \"toml\"\n", "toml", "http://localhost:8420"},
	} {
		c, err := readSecretConfigs([]string{write(tc.file, tc.text)})
		if err != nil {
			t.Errorf("%s: %v", tc.what, err)
			continue
		}
		secret, err := c.sharedSecret()
		if secret != tc.secret || c.url != tc.url || err != nil {
			t.Errorf("%s: %q %q %v", tc.what, secret, c.url, err)
		}
	}

	write("conf.d/secret.toml", "[registration]\nshared_secret = \"in conf.d\"\n")
	if c, err := readSecretConfigs([]string{filepath.Join(dir, "hearth.toml")}); err != nil || c.secret != "in conf.d" {
		t.Errorf("conf.d: %+v %v", c, err)
	}
	if c, err := readSecretConfigs([]string{write("1.yaml", "registration_shared_secret: one"), write("2.yaml", "registration_shared_secret: two")}); err != nil || c.secret != "two" {
		t.Errorf("two files: %+v %v", c, err)
	}
	for text, want := range map[string]string{
		"registration_shared_secret: 12345":                                   "registration_shared_secret is not a string.",
		"server_name: a.test":                                                 "No 'registration_shared_secret' or",
		"registration_shared_secret: a\nregistration_shared_secret_path: /b":  "Conflicting options",
		"registration_shared_secret_path: " + write("empty", " \n"):           "must not be empty",
		"registration_shared_secret_path: " + filepath.Join(dir, "not", "me"): "Error accessing file",
	} {
		c, err := readSecretConfigs([]string{write("bad.yaml", text)})
		if err == nil {
			_, err = c.sharedSecret()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
