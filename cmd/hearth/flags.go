package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"hearth/base/config"
)

// flags is a flag set that allows flags behind arguments ("user add alice
// --admin"), which people type and the standard package does not take.
type flags struct {
	*flag.FlagSet
	json bool
	help io.Writer
}

func newFlags(e *env, name string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), help: e.stdout}
	f.SetOutput(io.Discard) // errors are printed once, by env.code
	f.Usage = func() {}     // and help by parse
	return f
}

// withJSON adds --json.
func (f *flags) withJSON() *flags {
	f.BoolVar(&f.json, "json", false, "print JSON")
	return f
}

// parse reads args and returns the arguments among them, of which there must be
// as many as names; a last name in brackets is optional.
func (f *flags) parse(args []string, names ...string) ([]string, error) {
	var rest []string
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(f.help, "usage: %s\n", f.Name())
			f.SetOutput(f.help)
			f.PrintDefaults()
			return nil, err
		} else if err != nil {
			return nil, usagef("%v", err)
		}
		// Parse stops at an argument or behind "--".
		n := len(args) - f.NArg()
		ended := n > 0 && args[n-1] == "--"
		args = f.Args()
		if ended {
			rest, args = append(rest, args...), nil
		}
		if len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	if len(rest) < len(names) && names[len(rest)][0] != '[' {
		return nil, usagef("%s is missing", strings.ToUpper(names[len(rest)]))
	}
	if len(rest) > len(names) {
		return nil, usagef("what is %q? there are too many arguments", rest[len(names)])
	}
	return rest, nil
}

// apart parts short flags that were written in one, as getopt lets people do:
// "-apw" is "-a -p w".
func (f *flags) apart(args []string) []string {
	var out []string
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		if a == "--" {
			return append(append(out, a), args...)
		}
		if len(a) < 2 || a[0] != '-' {
			out = append(out, a)
			continue
		}
		name, _, value := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if f.Lookup(name) == nil && f.Lookup(a[1:2]) != nil {
			next := a[2:]
			if !f.takesValue(a[1:2]) {
				next = "-" + next
			}
			args = append([]string{next}, args...)
			a, name, value = a[:2], a[1:2], false
		}
		out = append(out, a)
		if f.takesValue(name) && !value && len(args) > 0 {
			out, args = append(out, args[0]), args[1:]
		}
	}
	return out
}

func (f *flags) takesValue(name string) bool {
	known := f.Lookup(name)
	if known == nil {
		return false
	}
	b, ok := known.Value.(interface{ IsBoolFlag() bool })
	return !ok || !b.IsBoolFlag()
}

// where says which server a verb is about.
type where struct {
	config string
	dir    string
}

// withWhere adds --config and --dir.
func (f *flags) withWhere(w *where) *flags {
	f.StringVar(&w.config, "config", "", "configuration `file` (default ./hearth.toml, then /etc/hearth/hearth.toml)")
	f.StringVar(&w.dir, "dir", "", "data `folder` of a trial server, instead of a configuration")
	return f
}

// usualPlaces are where a configuration is looked for, in this order.
var usualPlaces = []string{"hearth.toml", "/etc/hearth/hearth.toml"}

// file is the configuration file that w means.
func (w where) file() (string, error) {
	if w.config != "" {
		return w.config, nil
	}
	for _, path := range usualPlaces {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", usagef("there is no ./hearth.toml and no /etc/hearth/hearth.toml; give --config FILE, or make one with \"hearth config example > hearth.toml\"")
}

// load reads the configuration that w means. Without one, a trial server's
// folder in the working directory is the next best guess.
func (w where) load() (*config.Config, error) {
	if w.dir != "" && w.config != "" {
		return nil, usagef("give --config or --dir, not both")
	}
	if w.dir != "" {
		return trialConfig(w.dir, trialListen)
	}
	file, err := w.file()
	if err != nil {
		if _, noTrial := os.Stat(trialDir); noTrial == nil {
			return trialConfig(trialDir, trialListen)
		}
		return nil, err
	}
	return config.Load(file)
}
