package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// secretConfig is what the register tool needs of a server's configuration.
type secretConfig struct {
	secret     string
	secretPath string
	url        string // of a plain HTTP listener on this machine
}

// bail is a complaint in the words of Synapse's tool.
type bail string

func (b bail) Error() string { return string(b) }

// sharedSecret finds the one secret, or complains as Synapse's tool does.
func (c *secretConfig) sharedSecret() (string, error) {
	switch {
	case c.secret == "" && c.secretPath == "":
		return "", bail("No 'registration_shared_secret' or 'registration_shared_secret_path' defined in config.")
	case c.secret != "" && c.secretPath != "":
		return "", bail("Conflicting options 'registration_shared_secret' and 'registration_shared_secret_path' are both defined in config file.")
	case c.secret != "":
		return c.secret, nil
	}
	text, err := os.ReadFile(c.secretPath)
	if err != nil {
		return "", bail(fmt.Sprintf("Error accessing file %s: %v", c.secretPath, err))
	}
	if c.secret = strings.TrimSpace(string(text)); c.secret == "" {
		return "", bail("The secret given via `registration_shared_secret_path` must not be empty.")
	}
	return c.secret, nil
}

// readSecretConfigs merges the files; later ones win.
func readSecretConfigs(files []string) (*secretConfig, error) {
	c := new(secretConfig)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("argument -c/--config: can't open '%s': %w", file, errors.Unwrap(err))
		}
		if filepath.Ext(file) != ".toml" {
			if err := c.readYAML(string(text)); err != nil {
				return nil, err
			}
			continue
		}
		extra, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "conf.d", "*.toml")) // fails on a bad pattern only
		for _, part := range append([]string{file}, extra...) {
			if err := c.readTOML(part); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// readTOML reads Hearth's own configuration, or one file of its conf.d, which
// need not be complete.
func (c *secretConfig) readTOML(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var f struct {
		Listen       struct{ HTTP any }
		Registration struct {
			SharedSecret string `toml:"shared_secret"`
		}
	}
	if err := toml.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if f.Registration.SharedSecret != "" {
		c.secret = f.Registration.SharedSecret
	}
	switch addr := f.Listen.HTTP.(type) {
	case int64:
		c.url = fmt.Sprintf("http://localhost:%d", addr)
	case string:
		if host, port, err := net.SplitHostPort(addr); err == nil {
			if host == "" || host == "0.0.0.0" || host == "::" {
				host = "localhost"
			}
			c.url = "http://" + net.JoinHostPort(host, port)
		}
	}
	return nil
}

var (
	topKey     = regexp.MustCompile(`(?m)^([A-Za-z_]+):[ \t]*(.*)$`)
	notString  = regexp.MustCompile(`^(?i:[-+]?[0-9][0-9_.]*|true|false|yes|no|on|off|[\[{|>&*!].*)$`)
	listItem   = regexp.MustCompile(`(?m)^\s*-\s+(?:port|type|tls|bind_addresses|bind_address|x_forwarded|resources|path|mode):`)
	itemPort   = regexp.MustCompile(`(?m)^\s*(?:-\s+)?port:\s*(\d+)`)
	itemHTTP   = regexp.MustCompile(`(?m)^\s*(?:-\s+)?type:\s*['"]?http['"]?\s*(?:#.*)?$`)
	itemTLS    = regexp.MustCompile(`(?mi)^\s*(?:-\s+)?tls:\s*(?:true|yes|on)\b`)
	itemClient = regexp.MustCompile(`(?m)\bnames:\s*\[[^\]]*\bclient\b|^\s*-\s+['"]?client['"]?\s*$`)
)

// readYAML reads the three keys that the tool needs from Synapse's YAML: two
// strings on one line each, and the listeners. Nothing else of YAML is
// understood, and nothing else in those files matters here.
func (c *secretConfig) readYAML(text string) error {
	for _, m := range topKey.FindAllStringSubmatch(text, -1) {
		into := map[string]*string{
			"registration_shared_secret":      &c.secret,
			"registration_shared_secret_path": &c.secretPath,
		}[m[1]]
		if into == nil {
			continue
		}
		s, ok := yamlString(m[2])
		if !ok {
			return bail(m[1] + " is not a string.")
		}
		*into = s
	}
	if block := yamlBlock(text, "listeners"); block != "" {
		c.url = clientListener(block)
	}
	return nil
}

// yamlString reads a scalar on one line. Nothing, ~ and null are the empty string.
func yamlString(s string) (value string, ok bool) {
	s = strings.TrimSpace(s)
	switch {
	case strings.HasPrefix(s, "'"):
		end := regexp.MustCompile(`^'((?:[^']|'')*)'\s*(?:#.*)?$`).FindStringSubmatch(s)
		if end == nil {
			return "", false
		}
		return strings.ReplaceAll(end[1], "''", "'"), true
	case strings.HasPrefix(s, `"`):
		end := regexp.MustCompile(`^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$`).FindStringSubmatch(s)
		if end == nil {
			return "", false
		}
		return regexp.MustCompile(`\\(["\\/])`).ReplaceAllString(end[1], "$1"), true
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	if s == "" || s[0] == '#' || s == "~" || s == "null" {
		return "", true
	}
	return s, !notString.MatchString(s)
}

// yamlBlock returns the lines below a top-level key, up to the next one.
func yamlBlock(text, key string) string {
	_, rest, ok := strings.Cut("\n"+text, "\n"+key+":")
	if !ok {
		return ""
	}
	if end := topKey.FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	return rest
}

// clientListener is the URL of the first plain HTTP listener for clients, or "".
func clientListener(block string) string {
	starts := listItem.FindAllStringIndex(block, -1)
	for i, start := range starts {
		end := len(block)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		item := block[start[0]:end]
		port := itemPort.FindStringSubmatch(item)
		if port != nil && itemHTTP.MatchString(item) && !itemTLS.MatchString(item) && itemClient.MatchString(item) {
			return "http://localhost:" + port[1]
		}
	}
	return ""
}
