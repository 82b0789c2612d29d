package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
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
	"text":       {parseText, quote},
	"secret":     {parseText, quote},
	"database":   {parseDatabase, quote},
	"switch":     {parseSwitch, func(v any) string { return strconv.FormatBool(v.(bool)) }},
	"count":      {parseCount, func(v any) string { return strconv.Itoa(v.(int)) }},
	"duration":   {parseDuration, writeDuration},
	"size":       {parseSize, writeSize},
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

func parseCount(v any, _ fieldTag) (any, error) {
	n, ok := v.(int64)
	if !ok {
		return nil, fmt.Errorf("is %s; write a whole number, for example 12", typeName(v))
	}
	if n < 0 || n > 1<<31-1 {
		return nil, fmt.Errorf("%d is out of range; write a number from 0 to 2147483647", n)
	}
	return int(n), nil
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

func parseServerName(v any, _ fieldTag) (any, error) {
	s, err := wantString(v, `"example.com"`)
	if err != nil {
		return nil, err
	}
	return s, checkServerName(s)
}

// checkServerName holds s against appendices/#server-name. Upper case is legal
// there but makes two servers of one name, so it is refused here.
func checkServerName(s string) error {
	if s == "" {
		return errors.New(`is empty; write your domain, for example "example.com"`)
	}
	if strings.Contains(s, "://") {
		return fmt.Errorf("%q is a URL; write only the name, for example %q", s, hostOfURL(s))
	}
	if strings.HasPrefix(s, "@") {
		return fmt.Errorf("%q is a user id; write only the part behind the colon", s)
	}
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
		if _, err := portNumber(port); err != nil {
			return fmt.Errorf("%q has the port %q; write a number from 1 to 65535 behind the colon, or no colon", s, port)
		}
	}
	if v6, ok := strings.CutPrefix(host, "["); ok {
		v6, ok = strings.CutSuffix(v6, "]")
		if a, err := netip.ParseAddr(v6); !ok || err != nil || !a.Is6() {
			return fmt.Errorf("%q is no IPv6 address in brackets; write for example \"[2001:db8::7]\"", s)
		}
		return nil
	}
	if lower := strings.ToLower(s); lower != s {
		return fmt.Errorf("%q has capital letters; write %q", s, lower)
	}
	if i := strings.IndexFunc(host, notInHostname); i >= 0 || host == "" || len(s) > 230 {
		return fmt.Errorf("%q is not a host name; use only a-z, 0-9, \"-\" and \".\", for example \"example.com\"", s)
	}
	return nil
}

func notInHostname(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
}

func hostOfURL(s string) string {
	if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "example.com"
}

// portNumber allows no sign and no leading zero, unlike strconv alone.
func portNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' || s[0] == '+' {
		return 0, errors.New("not a port")
	}
	return uint16(n), nil
}

// parseAddress wants somewhere to listen: "host:port", ":port", a bare port
// number, or "" for nowhere. Port 0 asks the system for a free one.
func parseAddress(v any, _ fieldTag) (any, error) {
	if n, ok := v.(int64); ok {
		if n < 1 || n > 65535 {
			return nil, fmt.Errorf("%d is not a port; write a number from 1 to 65535", n)
		}
		return fmt.Sprintf(":%d", n), nil
	}
	s, err := wantString(v, `":8008" or "127.0.0.1:8008"`)
	if err != nil || s == "" {
		return s, err
	}
	if strings.Contains(s, "://") {
		return nil, fmt.Errorf("%q is a URL; write only the address and port, for example \"127.0.0.1:8008\"", s)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return nil, fmt.Errorf("%q has no port; write for example %q", s, net.JoinHostPort(a.String(), "8008"))
	}
	if _, err := portNumber(s); err == nil {
		return ":" + s, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not host:port; write for example \":8008\" or \"127.0.0.1:8008\"", s)
	}
	if _, err := portNumber(port); err != nil && port != "0" {
		return nil, fmt.Errorf("%q has the port %q; write a number from 1 to 65535", s, port)
	}
	if host == "" || host == "localhost" {
		return s, nil
	}
	if host == "*" {
		return nil, fmt.Errorf("%q has a star; write %q for every address of this machine", s, ":"+port)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return nil, fmt.Errorf("%q listens on the name %q; write an address of this machine, or %q for all of them", s, host, ":"+port)
	}
	return s, nil
}

func parseDatabase(v any, _ fieldTag) (any, error) {
	const example = `"postgres://user:password@localhost:5432/hearth"`
	s, err := wantString(v, example+` or ""`)
	if err != nil || s == "" {
		return s, err
	}
	u, err := url.Parse(s)
	if err != nil {
		// the cause would repeat the URL, and with it the password
		return nil, errors.New("is not a URL; write " + example + ", with special characters in the password as %XX")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New(`is not a PostgreSQL URL; write ` + example + `, or "" for the embedded database`)
	}
	if strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("names no database; write its name at the end, as in " + example)
	}
	return s, nil
}

// parseDuration reads Go's durations and, for operators, days ("7d").
func parseDuration(v any, _ fieldTag) (any, error) {
	const hint = `write a number and a unit, for example "30s", "15m", "24h" or "7d"`
	s, err := wantString(v, `"24h"`)
	if err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		if n, err = strconv.ParseUint(days, 10, 16); err == nil {
			d = time.Duration(n) * 24 * time.Hour
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not a duration; %s", s, hint)
	}
	if d < time.Second {
		return nil, fmt.Errorf("%q is shorter than a second; %s", s, hint)
	}
	return d, nil
}

func writeDuration(v any) string {
	d := v.(time.Duration)
	switch {
	case d%time.Hour == 0:
		return tomlString(fmt.Sprintf("%dh", d/time.Hour))
	case d%time.Minute == 0:
		return tomlString(fmt.Sprintf("%dm", d/time.Minute))
	}
	return tomlString(d.String())
}

// sizeUnits in the order in which suffixes must be tried, and bigger before
// smaller for writing.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"GiB", 1 << 30},
	{"GB", 1e9},
	{"MiB", 1 << 20},
	{"MB", 1e6},
	{"KiB", 1 << 10},
	{"KB", 1e3},
	{"G", 1 << 30},
	{"M", 1 << 20},
	{"K", 1 << 10},
	{"B", 1},
	{"", 1},
}

func parseSize(v any, _ fieldTag) (any, error) {
	const hint = `write for example "100MB"`
	if n, ok := v.(int64); ok && n > 0 {
		return n, nil
	}
	s, err := wantString(v, `"100MB"`)
	if err != nil {
		return nil, err
	}
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n <= 0 || n > (1<<50)/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return nil, fmt.Errorf("%q is not a size; %s", s, hint)
}

func writeSize(v any) string {
	n := v.(int64)
	for _, u := range sizeUnits {
		if n%u.bytes == 0 && u.bytes > 1 {
			return tomlString(strconv.FormatInt(n/u.bytes, 10) + u.suffix)
		}
	}
	return strconv.FormatInt(n, 10)
}
