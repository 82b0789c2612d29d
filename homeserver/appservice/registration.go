package appservice

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"hearth/base/config"
	"hearth/matrix/mxid"
)

// Registration is how a service is introduced to this server
// (application-service-api/#registration).
type Registration struct {
	ID        string
	URL       string // "" for a service that is told nothing
	ASToken   string // what the service shows to this server
	HSToken   string // what this server shows to the service
	Sender    string // id of the service's own user
	Limited   bool   // whether its requests are counted
	Users     []Namespace
	Aliases   []Namespace
	Rooms     []Namespace
	Protocols []string
	// Ephemeral: it is told of typing, receipts, presence and messages to devices.
	Ephemeral bool
	// Encryption: it is told of devices and keys (MSC3202).
	Encryption bool
	// Devices: it makes devices for its users by itself (MSC4190).
	Devices bool
}

// Namespace is a part of the user ids, aliases or room ids that a service is
// interested in.
type Namespace struct {
	Regex     Regex
	Exclusive bool // nobody else may make one
}

// file is a registration as it is written. Keys that are not here mean nothing
// to Hearth and are let pass, as other servers do.
type file struct {
	ID          yaml.Node  `yaml:"id"`
	URL         yaml.Node  `yaml:"url"`
	ASToken     yaml.Node  `yaml:"as_token"`
	HSToken     yaml.Node  `yaml:"hs_token"`
	Sender      yaml.Node  `yaml:"sender_localpart"`
	RateLimited *bool      `yaml:"rate_limited"`
	Namespaces  namespaces `yaml:"namespaces"`
	Protocols   []string   `yaml:"protocols"`

	ReceiveEphemeral bool `yaml:"receive_ephemeral"`
	PushEphemeral    bool `yaml:"push_ephemeral"`
	OldEphemeral     bool `yaml:"de.sorunome.msc2409.push_ephemeral"`
	Encryption       bool `yaml:"org.matrix.msc3202"`
	Devices          bool `yaml:"io.element.msc4190"`
}

type namespaces struct {
	Users   []namespace `yaml:"users"`
	Aliases []namespace `yaml:"aliases"`
	Rooms   []namespace `yaml:"rooms"`
}

type namespace struct {
	Regex     yaml.Node `yaml:"regex"`
	Exclusive bool      `yaml:"exclusive"`
}

// maxFile bounds a registration, in bytes.
const maxFile = 1 << 20

// Load reads registration files for a server. Its errors say file, line, and
// what is wrong.
func Load(files []string, server mxid.ServerName, log *slog.Logger) ([]*Registration, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var all []*Registration
	ids, tokens, senders := map[string]string{}, map[string]string{}, map[string]string{}
	for _, name := range files {
		r, err := load(name, server, log)
		if err != nil {
			return nil, err
		}
		for _, unique := range []struct {
			seen        map[string]string
			value, what string
		}{{ids, r.ID, "id"}, {tokens, r.ASToken, "as_token"}, {senders, r.Sender, "sender_localpart"}} {
			if other, ok := unique.seen[unique.value]; ok {
				return nil, config.Problem{At: config.Origin{File: name}, Text: fmt.Sprintf("%s has the same %s; each application service needs its own", other, unique.what)}
			}
			unique.seen[unique.value] = name
		}
		all = append(all, r)
	}
	return all, nil
}

func load(name string, server mxid.ServerName, log *slog.Logger) (*Registration, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("the registration of an application service cannot be read: %w", err)
	}
	if info.Size() > maxFile {
		return nil, config.Problem{At: config.Origin{File: name}, Text: fmt.Sprintf("a registration has at most %d bytes; is this the right file?", maxFile)}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("the registration of an application service cannot be read: %w", err)
	}
	var f file
	if err := yaml.Unmarshal(text, &f); err != nil {
		return nil, located(name, err)
	}
	if err := unused(name, text, log); err != nil {
		return nil, err
	}
	p := parser{name: name}
	r := &Registration{
		ID: p.text(f.ID, "id"), URL: p.url(f.URL), ASToken: p.text(f.ASToken, "as_token"), HSToken: p.text(f.HSToken, "hs_token"),
		Limited: f.RateLimited == nil || *f.RateLimited, Protocols: f.Protocols,
		Ephemeral:  f.ReceiveEphemeral || f.PushEphemeral || f.OldEphemeral,
		Encryption: f.Encryption, Devices: f.Devices,
	}
	sender := p.text(f.Sender, "sender_localpart")
	r.Sender = "@" + sender + ":" + string(server)
	if _, err := mxid.ParseUserID(r.Sender); p.err == nil && err != nil {
		p.fail(f.Sender, "sender_localpart %q cannot be a user name", sender)
	}
	r.Users = p.namespaces(f.Namespaces.Users, "users")
	r.Aliases = p.namespaces(f.Namespaces.Aliases, "aliases")
	r.Rooms = p.namespaces(f.Namespaces.Rooms, "rooms")
	return r, p.err
}

// located is what the YAML parser finds wrong, as a problem of the configuration.
func located(name string, err error) error {
	text := err.Error()
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		text = wrong.Errors[0]
	}
	at := config.Origin{File: name}
	if line, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(text, "yaml: "), "line "), ": "); ok {
		if n, err := strconv.Atoi(line); err == nil {
			at.Line, at.Column, text = n, 1, rest
		}
	}
	return config.Problem{At: at, Text: text + "; write the file as the bridge makes it"}
}

// unused warns of the keys of a registration that mean nothing to Hearth.
func unused(name string, text []byte, log *slog.Logger) error {
	var doc struct {
		Known file                 `yaml:",inline"`
		Rest  map[string]yaml.Node `yaml:",inline"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return located(name, err)
	}
	for _, key := range slices.Sorted(maps.Keys(doc.Rest)) {
		log.Warn("a key in the registration of an application service means nothing to Hearth", "file", name, "line", doc.Rest[key].Line, "key", key)
	}
	return nil
}

// parser keeps the first thing that is wrong with a file.
type parser struct {
	name string
	err  error
}

func (p *parser) fail(at yaml.Node, format string, args ...any) {
	if p.err == nil {
		p.err = config.Problem{At: config.Origin{File: p.name, Line: max(at.Line, 1), Column: max(at.Column, 1)}, Text: fmt.Sprintf(format, args...)}
	}
}

func (p *parser) text(n yaml.Node, key string) string {
	switch {
	case n.Kind == 0:
		p.fail(n, "%s is missing", key)
	case n.Kind != yaml.ScalarNode || n.Value == "":
		p.fail(n, "%s must be a text that is not empty", key)
	}
	return n.Value
}

func (p *parser) url(n yaml.Node) string {
	switch {
	case n.Kind == 0:
		p.fail(n, "url is missing; write null if the application service is not to be told anything")
		return ""
	case n.Tag == "!!null" || n.Value == "":
		return ""
	}
	u, err := url.Parse(n.Value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		p.fail(n, "url %q is not an address; write for example \"http://127.0.0.1:29318\"", n.Value)
	}
	return strings.TrimSuffix(n.Value, "/")
}

func (p *parser) namespaces(list []namespace, key string) []Namespace {
	out := make([]Namespace, 0, len(list))
	for _, n := range list {
		re, err := compile(n.Regex.Value)
		if err != nil {
			p.fail(n.Regex, "namespaces.%s: %q is not a regular expression that Hearth can use: %s", key, n.Regex.Value, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
			continue
		}
		out = append(out, Namespace{Regex: re, Exclusive: n.Exclusive})
	}
	return out
}
