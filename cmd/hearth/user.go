package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"hearth/server/control"
)

func userVerbs() []verb {
	return []verb{
		{name: "add", args: "NAME [--admin] [--password-file F]", short: "make an account", run: runUserAdd},
		{name: "list", args: "[--json]", short: "list the accounts", run: runUserList},
		{name: "password", args: "NAME [--password-file F] [--keep-devices]", short: "give an account a new password", run: runUserPassword},
		{name: "deactivate", args: "NAME [--erase] [--yes]", short: "close an account for ever", run: runUserDeactivate},
	}
}

func runUserAdd(ctx context.Context, e *env, args []string) error {
	var w where
	var pw passwordFlags
	f := newFlags(e, "hearth user add NAME").withWhere(&w).withJSON()
	pw.add(f)
	admin := f.Bool("admin", false, "may use the admin API")
	display := f.String("display-name", "", "`name` that others see (default NAME)")
	names, err := f.parse(args, "name")
	if err != nil {
		return err
	}
	cfg, err := w.load()
	if err != nil {
		return err
	}
	password, err := pw.get(ctx, e)
	if err != nil {
		return err
	}
	return e.withAdmin(ctx, cfg, func(a control.Admin) error {
		localpart, err := localpartOf(names[0], cfg.ServerName)
		if err != nil {
			return err
		}
		id, err := a.AddUser(ctx, localpart, password, *admin, *display)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(e.stdout, map[string]any{"user_id": id, "admin": *admin})
		}
		fmt.Fprintf(e.stdout, "made %s\n", id)
		return nil
	})
}

// localpartOf accepts "alice" and "@alice:this.server", since people have both
// at hand.
func localpartOf(name, server string) (string, error) {
	id, ok := strings.CutPrefix(name, "@")
	if !ok {
		return name, nil
	}
	localpart, of, _ := strings.Cut(id, ":")
	if of != "" && of != server {
		return "", fmt.Errorf("%s is of another server: this one is %s", name, server)
	}
	return localpart, nil
}

// pageSize is how many users are asked for at a time.
const pageSize = 500

func runUserList(ctx context.Context, e *env, args []string) error {
	var w where
	f := newFlags(e, "hearth user list").withWhere(&w).withJSON()
	if _, err := f.parse(args); err != nil {
		return err
	}
	return e.onServer(ctx, w, func(a control.Admin) error {
		users := []control.User{}
		for from := ""; ; from = users[len(users)-1].ID {
			page, err := a.Users(ctx, from, pageSize)
			if err != nil {
				return err
			}
			users = append(users, page...)
			if len(page) < pageSize {
				break
			}
		}
		if f.json {
			return printJSON(e.stdout, map[string]any{"users": users})
		}
		tw := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(tw, "USER\tNAME\tSINCE\tNOTES")
		for _, u := range users {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", u.ID, printable(u.DisplayName), day(u.CreatedMS), notesOf(u))
		}
		return tw.Flush()
	})
}

func notesOf(u control.User) string {
	var notes []string
	for _, n := range []struct {
		on   bool
		word string
	}{{u.Admin, "admin"}, {u.Guest, "guest"}, {u.Deactivated, "deactivated"}} {
		if n.on {
			notes = append(notes, n.word)
		}
	}
	return strings.Join(notes, ", ")
}

// printable keeps a display name from writing to the operator's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return '�'
		}
		return r
	}, s)
}

func day(ms int64) string { return time.UnixMilli(ms).Format(time.DateOnly) }

func runUserPassword(ctx context.Context, e *env, args []string) error {
	var w where
	var pw passwordFlags
	f := newFlags(e, "hearth user password NAME").withWhere(&w).withJSON()
	pw.add(f)
	keep := f.Bool("keep-devices", false, "leave the account's devices signed in")
	names, err := f.parse(args, "name")
	if err != nil {
		return err
	}
	cfg, err := w.load()
	if err != nil {
		return err
	}
	password, err := pw.get(ctx, e)
	if err != nil {
		return err
	}
	return e.withAdmin(ctx, cfg, func(a control.Admin) error {
		if err := a.SetPassword(ctx, names[0], password, !*keep); err != nil {
			return err
		}
		if f.json {
			return printJSON(e.stdout, map[string]any{"user": names[0], "devices_signed_out": !*keep})
		}
		fmt.Fprintf(e.stdout, "changed the password of %s\n", names[0])
		if !*keep {
			fmt.Fprintln(e.stdout, "all its devices were signed out (--keep-devices leaves them)")
		}
		return nil
	})
}

func runUserDeactivate(ctx context.Context, e *env, args []string) error {
	var w where
	f := newFlags(e, "hearth user deactivate NAME").withWhere(&w).withJSON()
	erase := f.Bool("erase", false, "hide the account's messages from people who join later")
	yes := f.Bool("yes", false, "do not ask")
	names, err := f.parse(args, "name")
	if err != nil {
		return err
	}
	cfg, err := w.load()
	if err != nil {
		return err
	}
	if !*yes {
		if err := confirm(ctx, e, fmt.Sprintf("Close %s for ever? It cannot be opened again, nor its name used again. [no]: ", names[0])); err != nil {
			return err
		}
	}
	return e.withAdmin(ctx, cfg, func(a control.Admin) error {
		if err := a.Deactivate(ctx, names[0], *erase); err != nil {
			return err
		}
		if f.json {
			return printJSON(e.stdout, map[string]any{"user": names[0], "deactivated": true, "erased": *erase})
		}
		fmt.Fprintf(e.stdout, "closed %s\n", names[0])
		return nil
	})
}

func confirm(ctx context.Context, e *env, question string) error {
	if !e.prompt.Interactive() {
		return usagef("this needs a yes and there is nobody to ask; give --yes")
	}
	answer, err := e.prompt.Line(ctx, question)
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}
