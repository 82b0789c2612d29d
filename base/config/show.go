package config

import (
	_ "embed"
	"net/url"
	"strings"
)

//go:embed example.toml
var example string

// Example is a commented file with every setting at its default.
func Example() string { return example }

// Setting is one effective value, for "hearth config show".
type Setting struct {
	Key    string // dotted: "turn.udp"
	Value  string // as a TOML literal; secrets are "********"
	Origin string // "file:line:column", or "default"
}

// Settings lists every setting in the order of the example file. Secrets, and
// the password in a database URL, are hidden.
func (c *Config) Settings() []Setting {
	var out []Setting
	for _, s := range settingsOf(c) {
		origin := "default"
		if o, ok := c.origins[s.key]; ok {
			origin = o.String()
		}
		out = append(out, Setting{s.key, hide(s.kind, kinds[s.kind].write(s.field.Interface())), origin})
	}
	return out
}

func hide(kind, literal string) string {
	switch {
	case literal == `""`:
		return literal
	case kind == "secret":
		return `"********"`
	case kind == "database":
		return tomlString(withoutPassword(strings.Trim(literal, `"`)))
	}
	return literal
}

// withoutPassword hides the password of a PostgreSQL URL, which may also be a
// query parameter.
func withoutPassword(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return "********"
	}
	if q := u.Query(); q.Has("password") {
		q.Set("password", "********")
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}

// TOML writes the effective configuration as a file that can be read again,
// but for the hidden secrets. With origins, each line says where it is from.
func (c *Config) TOML(origins bool) string {
	var b strings.Builder
	section := ""
	for _, s := range c.Settings() {
		sec, name := splitKey(s.Key)
		if sec != section {
			section = sec
			b.WriteString("\n[" + sec + "]\n")
		}
		b.WriteString(name + " = " + s.Value)
		if origins {
			b.WriteString("  # " + s.Origin)
		}
		b.WriteString("\n")
	}
	return b.String()
}
