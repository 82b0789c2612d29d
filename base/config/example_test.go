package config

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write example.toml anew")

// makeExample writes the example file from the comments of the structs: a key
// at its default is "#key = value", without a space, and can be switched on by
// removing the "#".
func makeExample(t *testing.T) string {
	src, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Configuration of Hearth. Only server_name must be set; a line that starts with\n" +
		"# \"#\" and no space shows a default. Files conf.d/*.toml beside this file are read\n" +
		"# after it, and win.\n\n")
	values := map[string]string{}
	for _, s := range settingsOf(Default()) {
		values[s.key] = kinds[s.kind].write(s.field.Interface())
	}
	structs := map[string]*ast.GenDecl{}
	for _, d := range src.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			structs[g.Specs[0].(*ast.TypeSpec).Name.Name] = g
		}
	}
	var walk func(name, prefix string)
	walk = func(name, prefix string) {
		g := structs[name]
		first := true
		for _, f := range g.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType).Fields.List {
			if f.Tag == nil {
				continue
			}
			key := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("toml")
			value, leaf := values[prefix+key]
			if !leaf {
				sub := f.Type.(*ast.Ident).Name
				doc := strings.TrimPrefix(structs[sub].Doc.Text(), sub+" is ")
				b.WriteString("\n# " + strings.ToUpper(doc[:1]) + strings.TrimSpace(doc[1:]) + "\n[" + key + "]\n")
				walk(sub, key+".")
				continue
			}
			if doc := strings.TrimSpace(f.Doc.Text()); doc != "" {
				if !first {
					b.WriteString("\n")
				}
				b.WriteString("# " + strings.ReplaceAll(doc, "\n", "\n# ") + "\n")
			}
			first = false
			if key == "server_name" {
				b.WriteString("server_name = \"example.com\"\n")
				continue
			}
			b.WriteString("#" + key + " = " + value + "\n")
		}
	}
	walk("Config", "")
	return b.String()
}

func TestExampleIsFresh(t *testing.T) {
	want := makeExample(t)
	if *update {
		if err := os.WriteFile("example.toml", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if Example() != want {
		t.Error("example.toml is older than the comments in config.go: run go generate ./base/config")
	}
}

// The example as it is, and with every line switched on, is the default.
func TestExampleIsTheDefault(t *testing.T) {
	switchedOn := regexp.MustCompile(`(?m)^#(\w+ = )`).ReplaceAllString(Example(), "$1")
	if switchedOn == Example() {
		t.Fatal("nothing was switched on")
	}
	for name, text := range map[string]string{"as it is": Example(), "switched on": switchedOn} {
		path := filepath.Join(t.TempDir(), "hearth.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := Default()
		want.ServerName = "example.com"
		want.finish()
		if g, w := got.TOML(false), want.TOML(false); g != w {
			t.Errorf("%s:\n%s\nwant\n%s", name, g, w)
		}
	}
}
