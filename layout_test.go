package hearth

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// order lists every package from the ground up. A package may import only
// packages on lines above its own. To add one, put its line right below the
// highest package it needs.
var order = strings.Fields(`
	matrix/mxerr
	matrix/mxid
	matrix/canonjson
	matrix/signing
	matrix/roomver
	matrix/pdu
	matrix/authrules
	matrix/stateres
	matrix/pushrule

	base/contain
	base/limit
	base/netguard
	base/mail
	base/mail/mailtest
	base/sms
	base/captcha
	base/blob
	base/blob/s3test
	base/config
	base/logx
	base/fold
	base/lockdir
	base/trie
	base/notify
	base/db
	base/db/dbtest
	base/store
	base/store/storetest

	auth/password

	homeserver/room
	homeserver/account
	homeserver/rendezvous
	homeserver/sticky
	homeserver/personal
	homeserver/delayed
	homeserver/notice
	homeserver/typing
	homeserver/receipt
	homeserver/presence
	homeserver/directory
	homeserver/steward
	homeserver/people
	homeserver/spaces
	homeserver/media
	homeserver/fedclient
	homeserver/fedclient/fedtest
	homeserver/push
	homeserver/pusher
	homeserver/e2ee
	homeserver/relation
	homeserver/search
	homeserver/feed
	homeserver/appservice

	calls/turn

	api/spectest
	api/httpx
	api/page
	api/files
	api/clientapi
	api/adminapi
	api/fedapi
	api/wellknown
	api/webui

	server/control
	server

	cmd/hearth

	e2e
	e2e/gosdk
	e2e/complement
	e2e/hostile
	e2e/browser
	e2e/crash
	e2e/faults
	dev
	.
`)

// mayImport says which packages may use a module that Hearth did not write.
// "*" stands for all. A module without a line may be used in tests only.
var mayImport = map[string][]string{
	"github.com/dlclark/regexp2":               {"homeserver/appservice"},
	"github.com/jackc/pgx/v5":                  {"base/db", "base/db/dbtest"},
	"github.com/minio/minio-go/v7":             {"base/blob"},
	"github.com/pelletier/go-toml/v2":          {"base/config", "cmd/hearth"},
	"github.com/pion":                          {"calls/turn"},
	"github.com/santhosh-tekuri/jsonschema/v6": {"api/spectest"},
	"github.com/emersion":                      {"base/mail/mailtest"},
	"github.com/wneessen/go-mail":              {"base/mail"},
	"go.yaml.in/yaml/v3":                       {"cmd/hearth", "dev", "homeserver/appservice"},
	"golang.org/x/crypto":                      {"*"},
	"golang.org/x/image":                       {"homeserver/media"},
	"golang.org/x/net":                         {"*"},
	"golang.org/x/sync":                        {"*"},
	"golang.org/x/sys":                         {"*"},
	"golang.org/x/term":                        {"base/logx", "cmd/hearth"},
	"golang.org/x/text":                        {"*"},
	"modernc.org/sqlite":                       {"base/db"},
	"rsc.io/qr":                                {"api/webui", "cmd/hearth"},
	"zombiezen.com/go/sqlite":                  {"base/db"},
}

// impure are the standard packages that matrix/ must do without: words have no
// files, no network, no database and no log.
var impure = []string{"database/sql", "log", "log/slog", "net", "os"}

func TestImportsPointDown(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sources(t) {
		from := slices.Index(order, f.pkg)
		if from < 0 {
			if !seen[f.pkg] {
				t.Errorf("package %s has no line in order", f.pkg)
			}
			seen[f.pkg] = true
			continue
		}
		seen[f.pkg] = true
		for _, to := range f.imports {
			if to, ours := strings.CutPrefix(to, "hearth/"); ours && slices.Index(order, to) >= from {
				t.Errorf("%s imports %s, which is not above it in order", f.name, to)
			}
		}
	}
	for _, pkg := range order {
		if !seen[pkg] {
			t.Errorf("order has a line for %s, but there is no such package", pkg)
		}
	}
}

func TestWalls(t *testing.T) {
	for _, f := range sources(t) {
		for _, to := range f.imports {
			if err := wall(f.pkg, to); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		}
	}
}

// wall says why pkg may not import to, which is not a package of ours or nil.
func wall(pkg, to string) error {
	if !strings.Contains(to, ".") {
		if strings.HasPrefix(pkg, "matrix/") && slices.Contains(impure, to) {
			return fmt.Errorf("matrix/ is pure and may not import %s", to)
		}
		return nil
	}
	for module, users := range mayImport {
		if to == module || strings.HasPrefix(to, module+"/") {
			if users[0] == "*" || slices.Contains(users, pkg) {
				return nil
			}
			return fmt.Errorf("only %s may import %s", strings.Join(users, ", "), module)
		}
	}
	return fmt.Errorf("module of %s has no line in mayImport", to)
}

// TestEveryPackageSaysWhatItIs wants one package comment in each package, in
// the form that go doc shows: "Package db …", or "Command hearth …".
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]int{}
	for _, f := range sources(t) {
		if f.doc == "" {
			said[f.pkg] += 0
			continue
		}
		said[f.pkg]++
		want := "Package " + f.clause + " "
		if f.clause == "main" {
			want = "Command " + path.Base(f.pkg) + " "
		}
		if !strings.HasPrefix(f.doc, want) {
			t.Errorf("%s: the package comment does not begin with %q", f.name, want)
		}
	}
	for pkg, n := range said {
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", pkg, n)
		}
	}
}

// source is what this test needs to know of one Go file that is not a test.
type source struct {
	name    string // path from the root
	pkg     string // its folder, as in order
	clause  string // the name in its package clause
	doc     string // its package comment, if any
	imports []string
}

// sources reads every Go file of the module but tests and what is in folders
// that the go command skips too.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, describe(name, f))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func describe(name string, f *ast.File) source {
	s := source{name: name, pkg: path.Dir(name), clause: f.Name.Name, doc: f.Doc.Text()}
	for _, im := range f.Imports {
		to, err := strconv.Unquote(im.Path.Value)
		if err == nil { // the parser has refused anything else
			s.imports = append(s.imports, to)
		}
	}
	return s
}
