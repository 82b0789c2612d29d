package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// A kind reads and writes one sort of value.
type kind struct {
	// parse turns what TOML gave (string, int64, float64, bool, []any, ...) into
	// the field's Go value. Its error reads "what is wrong; what to write instead".
	parse func(v any, tag fieldTag) (any, error)
	write func(v any) string // the TOML literal of a parsed value
}

// fieldTag is what the struct tags of a setting say, and the folder that
// relative paths start at.
type fieldTag struct {
	choices []string
	folder  string
}

var kinds = map[string]kind{
	"servername": {parseServerName, quote},
	"address":    {parseAddress, quote},
	"networks":   {parseNetworks, writeNetworks},
	"external":   {parseExternal, writeExternal},
	"choice":     {parseChoice, quote},
	"path":       {parsePath, quote},
	"paths":      {parsePaths, writePaths},
	"text":       {parseText, quote},
	"secret":     {parseText, quote},
	"url":        {parseURL, quote},
	"database":   {parseDatabase, quote},
	"switch":     {parseSwitch, func(v any) string { return strconv.FormatBool(v.(bool)) }},
	"count":      {parseCount, func(v any) string { return strconv.Itoa(v.(int)) }},
	"duration":   {parseDuration, writeDuration},
	"size":       {parseSize, writeSize},
	"quota":      {parseQuota, writeQuota},
	"ports":      {parsePorts, func(v any) string { return quote(v.(PortRange).String()) }},
	"peers":      {parsePeers, writePeers},
}

func quote(v any) string { return tomlString(v.(string)) }

// tomlString writes s as a TOML basic string (TOML 1.0, "String"), whose
// escapes are fewer than Go's.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// itemError is about one element of a list.
type itemError struct {
	index int
	err   error
}

func (e *itemError) Error() string { return e.err.Error() }

// typeName says what TOML type v has, in words for a sentence.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a decimal number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

func wantString(v any, example string) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("is %s; write a string, for example %s", typeName(v), example)
	}
	return s, nil
}

func parseText(v any, _ fieldTag) (any, error) {
	s, err := wantString(v, `"words"`)
	return s, err
}

func parseSwitch(v any, _ fieldTag) (any, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	return nil, fmt.Errorf("is %s; write true or false, without quotes", typeName(v))
}

func parseChoice(v any, tag fieldTag) (any, error) {
	quoted := make([]string, len(tag.choices))
	for i, c := range tag.choices {
		quoted[i] = strconv.Quote(c)
	}
	options := strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
	s, err := wantString(v, options)
	if err != nil {
		return nil, err
	}
	for _, c := range tag.choices {
		if s == c {
			return s, nil
		}
	}
	if near := nearest(s, tag.choices); near != "" {
		return nil, fmt.Errorf("%q is not a choice; did you mean %q?", s, near)
	}
	return nil, fmt.Errorf("%q is not a choice; write %s", s, options)
}

// parsePath makes a relative path start at the configuration's folder, because
// a service's working directory is nothing an operator can see.
func parsePaths(v any, tag fieldTag) (any, error) {
	return parseItems(v, `["bridge.yaml"]`, func(s string) (string, error) {
		path, err := parsePath(s, tag)
		if err == nil && path == "" {
			err = errors.New(`an empty path; write for example "bridge.yaml"`)
		}
		if err != nil {
			return "", err
		}
		return path.(string), nil
	})
}

func writePaths(v any) string { return writeList(v.([]string), func(s string) string { return s }) }

func parsePath(v any, tag fieldTag) (any, error) {
	s, err := wantString(v, `"/var/lib/hearth"`)
	if err != nil || s == "" || filepath.IsAbs(s) {
		return s, err
	}
	if strings.HasPrefix(s, "~") {
		return nil, fmt.Errorf("%q starts with ~, which only a shell understands; write the whole path", s)
	}
	return filepath.Join(tag.folder, s), nil
}
