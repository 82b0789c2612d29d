package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"hearth/base/config"
	"hearth/homeserver/appservice"
	"hearth/matrix/mxid"
)

func configVerbs() []verb {
	return []verb{
		{name: "check", args: "[--config F] [--json]", short: "say everything that is wrong with the configuration", run: runConfigCheck},
		{name: "example", short: "print a commented configuration", run: runConfigExample},
		{name: "show", args: "[--config F] [--origin] [--json]", short: "print the values in force", run: runConfigShow},
	}
}

// finding is one problem of "config check --json".
type finding struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
}

func runConfigCheck(_ context.Context, e *env, args []string) error {
	var w where
	f := newFlags(e, "hearth config check").withWhere(&w).withJSON()
	if _, err := f.parse(args); err != nil {
		return err
	}
	cfg, err := w.load()
	problems, isProblems := errors.AsType[config.Problems](err)
	if err != nil && !isProblems {
		return err
	}
	if cfg != nil && err == nil {
		_, err := appservice.Load(cfg.AppServices.Files, mxid.ServerName(cfg.ServerName), slog.New(slog.DiscardHandler))
		if p, ok := errors.AsType[config.Problem](err); ok {
			problems = append(problems, p)
		} else if err != nil {
			return err
		}
	}
	notes := []string{}
	if cfg != nil {
		notes = append(notes, cfg.Notes()...)
	}
	if f.json {
		return e.checkJSON(problems, notes)
	}
	for _, p := range problems {
		fmt.Fprintln(e.stderr, p.Error())
	}
	if len(problems) > 0 {
		return errSilent
	}
	fmt.Fprintf(e.stdout, "the configuration of %s is good\n", cfg.ServerName)
	for _, note := range notes {
		fmt.Fprintf(e.stdout, "note: %s\n", note)
	}
	return nil
}

func (e *env) checkJSON(problems config.Problems, notes []string) error {
	findings := []finding{}
	for _, p := range problems {
		findings = append(findings, finding{p.At.File, p.At.Line, p.At.Column, p.Text})
	}
	err := printJSON(e.stdout, map[string]any{"ok": len(findings) == 0, "problems": findings, "notes": notes})
	if err == nil && len(findings) > 0 {
		err = errSilent
	}
	return err
}

func runConfigExample(_ context.Context, e *env, args []string) error {
	f := newFlags(e, "hearth config example")
	if _, err := f.parse(args); err != nil {
		return err
	}
	fmt.Fprint(e.stdout, config.Example())
	return nil
}

func runConfigShow(_ context.Context, e *env, args []string) error {
	var w where
	f := newFlags(e, "hearth config show").withWhere(&w).withJSON()
	origin := f.Bool("origin", false, "say where each value is from")
	if _, err := f.parse(args); err != nil {
		return err
	}
	cfg, err := w.load()
	if err != nil {
		return err
	}
	if !f.json {
		fmt.Fprint(e.stdout, cfg.TOML(*origin))
		return nil
	}
	type value struct {
		Key    string `json:"key"`
		Value  string `json:"value"` // as in TOML
		Origin string `json:"origin"`
	}
	values := []value{}
	for _, s := range cfg.Settings() {
		values = append(values, value(s))
	}
	return printJSON(e.stdout, map[string]any{"settings": values})
}
