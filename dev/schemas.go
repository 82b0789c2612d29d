package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// schemasFile is where the tests look for what answers must look like.
const schemasFile = "api/spectest/schemas.json"

// schemas takes the shapes of all answers of the APIs for clients and for other
// servers out of a checkout of the Matrix specification, whose folder data is the argument, and
// writes them to one file: a list of operations, and the schemas that they share.
func schemas(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: go run ./dev schemas <folder \"data\" of the Matrix specification>")
	}
	s := &specification{root: args[0], files: map[string]any{}, defs: map[string]any{}}
	var names []string
	for _, api := range []string{"client-server", "server-server"} {
		some, err := filepath.Glob(filepath.Join(args[0], "api", api, "*.yaml"))
		if err != nil || len(some) == 0 {
			return fmt.Errorf("there is no api/%s/*.yaml in %s (%w)", api, args[0], err)
		}
		names = append(names, some...)
	}
	var operations []specOperation
	for _, name := range names {
		ops, err := s.operations(strings.TrimPrefix(name, args[0]+"/"))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		operations = append(operations, ops...)
	}
	out := &bytes.Buffer{}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(map[string]any{
		"$comment":   "Taken from the Matrix specification, (c) The Matrix.org Foundation C.I.C., Apache License 2.0, by go run ./dev schemas.",
		"operations": operations, "$defs": s.defs,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(schemasFile, out.Bytes(), 0o644)
}

// specOperation is one operation with the schemas of its JSON answers by status.
type specOperation struct {
	ID        string         `json:"id"`
	Method    string         `json:"method"`
	Path      string         `json:"path"`
	Responses map[string]any `json:"responses"`
}

// specification reads files of YAML that refer to each other.
type specification struct {
	root  string
	files map[string]any // by name below root
	defs  map[string]any // schemas that others refer to, by a name made of file and pointer
}

func (s *specification) file(name string) (any, error) {
	if doc, ok := s.files[name]; ok {
		return doc, nil
	}
	b, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		return nil, err
	}
	var doc any
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.files[name] = doc
	return doc, nil
}

func (s *specification) operations(name string) (all []specOperation, err error) {
	doc, err := s.file(name)
	if err != nil {
		return nil, err
	}
	base := ""
	if servers, ok := member(doc, "servers").([]any); ok && len(servers) > 0 {
		base, _ = member(member(member(servers[0], "variables"), "basePath"), "default").(string)
	}
	for path, methods := range object(member(doc, "paths")) {
		for method, op := range object(methods) {
			id, ok := member(op, "operationId").(string)
			if !ok {
				continue
			}
			o := specOperation{ID: id, Method: strings.ToUpper(method), Path: base + path, Responses: map[string]any{}}
			for status, res := range object(member(op, "responses")) {
				if o.Responses[status], err = s.answer(name, res); err != nil {
					return nil, fmt.Errorf("%s %s: %w", id, status, err)
				}
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b specOperation) int { return strings.Compare(a.ID+a.Path, b.ID+b.Path) })
	return all, nil
}

// answer returns the schema of a response, nil if it is not JSON.
func (s *specification) answer(file string, res any) (any, error) {
	for {
		ref, ok := member(res, "$ref").(string)
		if !ok {
			break
		}
		var err error
		if file, res, err = s.follow(file, ref); err != nil {
			return nil, err
		}
	}
	schema := member(member(member(res, "content"), "application/json"), "schema")
	if schema == nil {
		return nil, nil
	}
	return s.schema(file, schema)
}

// follow finds what a reference in a file means.
func (s *specification) follow(file, ref string) (string, any, error) {
	name, pointer, _ := strings.Cut(ref, "#")
	if name != "" {
		file = filepath.Join(filepath.Dir(file), name)
	}
	at, err := s.file(file)
	for _, key := range strings.FieldsFunc(pointer, func(r rune) bool { return r == '/' }) {
		at = member(at, key)
	}
	if err == nil && at == nil {
		err = fmt.Errorf("%s: nothing is at %s", file, ref)
	}
	return file, at, err
}

// notShape are keywords that say nothing about the shape of a value, or in a
// way of the specification's own.
var notShape = []string{"description", "example", "examples", "title", "format", "deprecated", "default", "$schema", "externalDocs"}

// named are keywords under which the keys are names and not keywords.
var named = []string{"properties", "patternProperties", "$defs"}

// schema returns a schema in which all references are to s.defs.
func (s *specification) schema(file string, v any) (any, error) {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = s.schema(file, v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any, map[any]any:
		return s.keywords(file, object(v))
	}
	return v, nil
}

func (s *specification) keywords(file string, keywords map[string]any) (any, error) {
	out := map[string]any{}
	for key, v := range keywords {
		if slices.Contains(notShape, key) || strings.HasPrefix(key, "x-") {
			continue
		}
		var err error
		switch {
		case key == "$ref":
			out[key], err = s.shared(file, v.(string))
		case slices.Contains(named, key):
			members := map[string]any{}
			for name, sub := range object(v) {
				if members[name], err = s.schema(file, sub); err != nil {
					return nil, err
				}
			}
			out[key] = members
		case key == "enum" || key == "const" || key == "required":
			out[key] = v
		default:
			out[key], err = s.schema(file, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// shared puts what a reference means into s.defs, once.
func (s *specification) shared(file, ref string) (string, error) {
	to, v, err := s.follow(file, ref)
	if err != nil {
		return "", err
	}
	_, pointer, _ := strings.Cut(ref, "#")
	name := strings.Trim(strings.NewReplacer("/", ".", ".yaml", "").Replace(to+pointer), ".")
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = true // a schema may contain itself
		if s.defs[name], err = s.schema(to, v); err != nil {
			return "", err
		}
	}
	return "#/$defs/" + name, nil
}

func member(v any, key string) any { return object(v)[key] }

// object is v as a JSON object: YAML also has numbers for keys.
func object(v any) map[string]any {
	switch m := v.(type) {
	case map[string]any:
		return m
	case map[any]any:
		out := map[string]any{}
		for k := range maps.Keys(m) {
			switch name := k.(type) {
			case string:
				out[name] = m[k]
			case int:
				out[strconv.Itoa(name)] = m[k]
			}
		}
		return out
	}
	return nil
}
