package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxFile bounds what is read as configuration: somebody will point --config at
// a database one day.
const maxFile = 1 << 20

// entry is one "key = value" of a file.
type entry struct {
	key     string // dotted, with its section: "turn.udp"
	value   any
	at      Origin   // the key
	valueAt Origin   // the value
	items   []Origin // the elements, if the value is a list
}

// section is one "[name]" line.
type section struct {
	name  string
	at    Origin
	array bool // written [[name]]
}

// file is what one file says, in its order.
type file struct {
	path     string
	entries  []entry
	sections []section
}

// readFile parses one file. Problems of TOML itself (syntax, duplicate keys)
// come back with the place that go-toml found; positions of good values come
// from its parser, which the decoder does not tell.
func readFile(path string) (*file, *Problem) {
	data, err := readBounded(path)
	if err != nil {
		return nil, &Problem{Origin{File: path}, unreadable(err)}
	}
	// Windows' editors put a byte order mark in front of what they save.
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	values := map[string]any{}
	if err := toml.Unmarshal(data, &values); err != nil {
		return nil, syntaxProblem(path, data, err)
	}
	r := reader{file: &file{path: path}, data: data, values: values}
	r.p.Reset(data)
	r.read()
	return r.file, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	return data, err
}

func unreadable(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return `does not exist; write one with "hearth config example"`
	case errors.Is(err, fs.ErrPermission):
		return "cannot be read: permission denied; let the user that runs hearth read it (chmod 0640 and chgrp)"
	}
	return fmt.Sprintf("cannot be read: %v; name a TOML file", err)
}

func syntaxProblem(path string, data []byte, err error) *Problem {
	var de *toml.DecodeError
	if !errors.As(err, &de) {
		return &Problem{Origin{File: path}, fmt.Sprintf("is not TOML: %v; see \"hearth config example\"", err)}
	}
	line, column := de.Position()
	at := Origin{path, line, column}
	text := strings.TrimPrefix(de.Error(), "toml: ")
	if strings.Contains(text, "already") {
		name := strings.Join(de.Key(), ".")
		return &Problem{at, fmt.Sprintf("%s is written twice; keep one of the two", name)}
	}
	return &Problem{at, text + "; " + syntaxHint(data, line)}
}

// syntaxHint guesses the slip from the line that TOML stumbled on.
func syntaxHint(data []byte, line int) string {
	lines := strings.Split(string(data), "\n")
	l := ""
	if line <= len(lines) {
		l = strings.TrimSpace(lines[line-1])
	}
	key, value, hasValue := strings.Cut(l, "=")
	colon := strings.Index(l, ":")
	switch {
	case strings.HasPrefix(l, "["):
		return `write a section as [name]`
	case !hasValue && colon > 0:
		return fmt.Sprintf("TOML has = where YAML has a colon: write %s = ...", strings.TrimSpace(l[:colon]))
	case !hasValue:
		return `write key = value`
	}
	value = strings.TrimSpace(value)
	if value != "" && !strings.ContainsAny(value, `"'[{#`) {
		return fmt.Sprintf("write %s = %s", strings.TrimSpace(key), tomlString(value))
	}
	return `write key = value, with text in "quotes"`
}

// reader collects the entries of one file from its syntax tree.
type reader struct {
	file   *file
	p      unstable.Parser
	data   []byte
	values map[string]any
}

func (r *reader) read() {
	prefix := []string(nil)
	for r.p.NextExpression() {
		switch e := r.p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			var at Origin
			prefix, at = r.keyOf(e.Key())
			r.file.sections = append(r.file.sections,
				section{strings.Join(prefix, "."), at, e.Kind == unstable.ArrayTable})
		case unstable.KeyValue:
			r.keyValue(prefix, e)
		}
	}
}

// keyValue adds one entry, or the entries of an inline table.
func (r *reader) keyValue(prefix []string, e *unstable.Node) {
	name, at := r.keyOf(e.Key())
	path := append(append([]string(nil), prefix...), name...)
	if v := e.Value(); v.Kind == unstable.InlineTable {
		r.file.sections = append(r.file.sections, section{strings.Join(path, "."), at, false})
		for it := v.Children(); it.Next(); {
			r.keyValue(path, it.Node())
		}
		return
	}
	en := entry{key: strings.Join(path, "."), at: at, value: r.lookup(path), valueAt: r.valueAfter(e)}
	if v := e.Value(); v.Kind == unstable.Array {
		for it := v.Children(); it.Next(); {
			at := en.valueAt // good enough for a list in a list, which has no range
			if raw := it.Node().Raw; raw.Length > 0 {
				at = r.at(raw.Offset)
			}
			en.items = append(en.items, at)
		}
	}
	r.file.entries = append(r.file.entries, en)
}

// keyOf returns the parts of a dotted key and the place of the first one.
func (r *reader) keyOf(it unstable.Iterator) (parts []string, at Origin) {
	for it.Next() {
		n := it.Node()
		if parts == nil {
			at = r.at(n.Raw.Offset)
		}
		parts = append(parts, string(n.Data))
	}
	return parts, at
}

// valueAfter finds where the value of e starts. The parser records no range for
// lists, so it is found behind the equals sign.
func (r *reader) valueAfter(e *unstable.Node) Origin {
	end := uint32(0)
	for it := e.Key(); it.Next(); {
		n := it.Node()
		end = n.Raw.Offset + n.Raw.Length
	}
	for int(end) < len(r.data)-1 && strings.IndexByte(" \t=", r.data[end]) >= 0 {
		end++
	}
	return r.at(end)
}

func (r *reader) at(offset uint32) Origin {
	pos := r.p.Shape(unstable.Range{Offset: offset}).Start
	return Origin{r.file.path, pos.Line, pos.Column}
}

// lookup finds the decoded value of a dotted key. Keys inside [[arrays]] have
// none; those sections are a problem of their own.
func (r *reader) lookup(path []string) any {
	var v any = r.values
	for _, k := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}
