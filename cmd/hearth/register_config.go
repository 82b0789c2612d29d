package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

// secretConfig is what the register tool needs of a server's configuration.
type secretConfig struct {
	secret     string
	secretPath string
	url        string // of a plain HTTP listener on this machine
	own        string // the file, if it is Hearth's and not Synapse's
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
			return nil, usagef("argument -c/--config: can't open '%s': %v", file, errors.Unwrap(err))
		}
		if filepath.Ext(file) != ".toml" {
			if err := c.readYAML(file, text); err != nil {
				return nil, err
			}
			continue
		}
		c.own = file
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

// readYAML reads the three keys that the tool needs of Synapse's YAML.
func (c *secretConfig) readYAML(file string, text []byte) error {
	var f map[string]yaml.Node
	if err := yaml.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for key, into := range map[string]*string{
		"registration_shared_secret":      &c.secret,
		"registration_shared_secret_path": &c.secretPath,
	} {
		switch node := f[key]; {
		case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!str":
			*into = node.Value
		case !node.IsZero() && node.ShortTag() != "!!null":
			return bail(key + " is not a string.")
		}
	}
	if node := f["listeners"]; !node.IsZero() {
		var all []yamlListener
		if node.Decode(&all) == nil { // else the usual address is as good as any
			c.url = clientListener(all)
		}
	}
	return nil
}

type yamlListener struct {
	Port      int
	Type      string
	TLS       bool
	Resources []struct{ Names []string }
}

// clientListener is the URL of the first plain HTTP listener for clients, or "".
func clientListener(all []yamlListener) string {
	for _, l := range all {
		for _, r := range l.Resources {
			if l.Type == "http" && l.Port > 0 && !l.TLS && slices.Contains(r.Names, "client") {
				return fmt.Sprintf("http://localhost:%d", l.Port)
			}
		}
	}
	return ""
}
