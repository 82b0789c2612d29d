package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Load reads the file at path and then conf.d/*.toml beside it in the order of
// their names. A later file wins key by key; a list replaces the list before it.
//
// The error is always Problems.
func Load(path string) (*Config, error) {
	c := Default()
	c.file = path
	c.origins = map[string]Origin{}

	files, problems := readAll(path)
	if len(problems) > 0 {
		return nil, problems
	}
	l := loader{c: c, settings: settingsOf(c), folder: folderOf(path)}
	for _, f := range files {
		l.apply(f)
	}
	if len(l.problems) == 0 {
		l.checkWhole()
	}
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	c.finish()
	return c, nil
}

// finish fills in the values that follow from others.
func (c *Config) finish() {
	if c.TURN.Realm == "" {
		c.TURN.Realm = c.ServerName
	}
}

func folderOf(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path // the working directory is gone; relative is the best left
	}
	return filepath.Dir(abs)
}

func readAll(path string) ([]*file, Problems) {
	var files []*file
	var problems Problems
	names := []string{path}
	folder := filepath.Join(filepath.Dir(path), "conf.d")
	extra, err := os.ReadDir(folder) // sorted
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		problems = append(problems, Problem{Origin{File: folder}, unreadable(err)})
	}
	for _, entry := range extra {
		if filepath.Ext(entry.Name()) == ".toml" {
			names = append(names, filepath.Join(folder, entry.Name()))
		}
	}
	for _, name := range names {
		f, problem := readFile(name)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		files = append(files, f)
	}
	return files, problems
}

// setting is one key and the struct field that holds it.
type setting struct {
	key   string
	kind  string
	tag   fieldTag
	field reflect.Value
}

// settingsOf lists the settings of c in the order of the structs.
func settingsOf(c *Config) []setting {
	var list []setting
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			key, ok := f.Tag.Lookup("toml")
			if !ok {
				continue
			}
			is, leaf := f.Tag.Lookup("is")
			if !leaf {
				walk(v.Field(i), key+".")
				continue
			}
			list = append(list, setting{
				key: prefix + key, kind: is, field: v.Field(i),
				tag: fieldTag{choices: strings.Fields(f.Tag.Get("of"))},
			})
		}
	}
	walk(reflect.ValueOf(c).Elem(), "")
	return list
}

type loader struct {
	c        *Config
	settings []setting
	folder   string
	problems Problems
}

func (l *loader) problem(at Origin, format string, args ...any) {
	l.problems = append(l.problems, Problem{at, fmt.Sprintf(format, args...)})
}

// apply sets what f says.
func (l *loader) apply(f *file) {
	start := len(l.problems)
	bad := map[string]bool{}
	for _, s := range f.sections {
		if !l.sectionOK(s) {
			bad[s.name] = true
		}
	}
	for _, e := range f.entries {
		name, _ := splitKey(e.key)
		if !bad[name] {
			l.set(e)
		}
	}
	slices.SortStableFunc(l.problems[start:], func(a, b Problem) int { return a.At.Line - b.At.Line })
}

// splitKey parts "turn.udp" into section and name.
func splitKey(key string) (section, name string) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:]
	}
	return "", key
}

func (l *loader) sectionNames() []string {
	var names []string
	for _, s := range l.settings {
		if sec, _ := splitKey(s.key); sec != "" && !slices.Contains(names, sec) {
			names = append(names, sec)
		}
	}
	return names
}

// sectionOK reports an unknown section, and a known one written as a list.
func (l *loader) sectionOK(s section) bool {
	names := l.sectionNames()
	known := slices.Contains(names, s.name)
	near := nearest(s.name, names)
	switch {
	case known && s.array:
		l.problem(s.at, "[[%s]] is a list of sections; write [%s]", s.name, s.name)
	case known:
		return true
	case l.find(s.name) != nil:
		l.problem(s.at, "%s is a setting and not a section; write %s", s.name, l.example(s.name))
	case near != "":
		l.problem(s.at, "unknown section [%s]; did you mean [%s]?", s.name, near)
	default:
		l.problem(s.at, "unknown section [%s]; the sections are %s", s.name, strings.Join(names, ", "))
	}
	return false
}

func (l *loader) find(key string) *setting {
	for i := range l.settings {
		if l.settings[i].key == key {
			return &l.settings[i]
		}
	}
	return nil
}

// example is a line that sets key to its present value.
func (l *loader) example(key string) string {
	s := l.find(key)
	_, name := splitKey(key)
	return name + " = " + kinds[s.kind].write(s.field.Interface())
}

func (l *loader) set(e entry) {
	s := l.find(e.key)
	if s == nil {
		l.unknown(e)
		return
	}
	tag := s.tag
	tag.folder = l.folder
	v, err := kinds[s.kind].parse(e.value, tag)
	if err != nil {
		at := e.valueAt
		if ie, ok := errors.AsType[*itemError](err); ok && ie.index < len(e.items) {
			at = e.items[ie.index]
		}
		l.problem(at, "%s%s%v", s.key, joint(err.Error()), err)
		return
	}
	s.field.Set(reflect.ValueOf(v))
	l.c.origins[s.key] = e.at
}

// joint connects a key with a sentence that goes on ("is a list; ...") or one
// that quotes the value first.
func joint(text string) string {
	if text[0] >= 'a' && text[0] <= 'z' {
		return " "
	}
	return ": "
}

// unknown reports a key that does not exist, with the likeliest key that does:
// a misspelling in the same section, or the same name in another one.
func (l *loader) unknown(e entry) {
	sec, name := splitKey(e.key)
	if slices.Contains(l.sectionNames(), e.key) {
		l.problem(e.at, "%s is a section; write it on a line of its own as [%s]", e.key, e.key)
		return
	}
	var here, elsewhere []string
	for _, s := range l.settings {
		osec, oname := splitKey(s.key)
		if osec == sec {
			here = append(here, oname)
		} else if oname == name {
			elsewhere = append(elsewhere, osec)
		}
	}
	place := "at the top level"
	if sec != "" {
		place = "in [" + sec + "]"
	}
	switch near := nearest(name, here); {
	case near != "":
		l.problem(e.at, "unknown key %q %s; did you mean %q?", name, place, near)
	case len(elsewhere) > 0 && elsewhere[0] == "":
		l.problem(e.at, "unknown key %q %s; write it above the first [section]", name, place)
	case len(elsewhere) > 0:
		l.problem(e.at, "unknown key %q %s; did you mean %q in [%s]?", name, place, name, elsewhere[0])
	default:
		l.problem(e.at, "unknown key %q %s; the keys here are %s", name, place, strings.Join(here, ", "))
	}
}
