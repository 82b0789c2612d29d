package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"hearth/server/control"
)

func tokenVerbs() []verb {
	return []verb{
		{name: "create", args: "[--uses N] [--expires 7d] [--token T]", short: "make a registration token", run: runTokenCreate},
		{name: "list", args: "[--json]", short: "list the registration tokens", run: runTokenList},
		{name: "revoke", args: "TOKEN", short: "remove a registration token", run: runTokenRevoke},
	}
}

func runTokenCreate(ctx context.Context, e *env, args []string) error {
	var w where
	f := newFlags(e, "hearth token create").withWhere(&w).withJSON()
	token := f.String("token", "", "the token's `text` (default random)")
	uses := f.Int64("uses", 1, "how `many` accounts it may make, 0 for any number")
	expires := f.String("expires", "", "when it ends: 12h, 7d, or 2026-12-31 (default never)")
	if _, err := f.parse(args); err != nil {
		return err
	}
	if *uses < 0 {
		return usagef("--uses %d is negative", *uses)
	}
	t := control.RegistrationToken{Token: *token}
	if *uses > 0 {
		t.UsesAllowed = uses
	}
	if *expires != "" {
		now := time.Now()
		at, err := parseExpiry(*expires, now)
		if err != nil {
			return err
		}
		if !at.After(now) {
			return usagef("--expires %s is over already", *expires)
		}
		ms := at.UnixMilli()
		t.ExpiryMS = &ms
	}
	return e.onServer(ctx, w, func(a control.Admin) error {
		made, err := a.CreateToken(ctx, t)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(e.stdout, made)
		}
		fmt.Fprintln(e.stdout, made.Token)
		return nil
	})
}

// parseExpiry reads a time from now or a day, which ends at its midnight.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if at, err := time.ParseInLocation(time.DateOnly, s, now.Location()); err == nil {
		return at.AddDate(0, 0, 1), nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			return now.AddDate(0, 0, int(n)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return time.Time{}, usagef("--expires %q is no time; write for example 12h, 7d or 2026-12-31", s)
	}
	return now.Add(d), nil
}

func runTokenList(ctx context.Context, e *env, args []string) error {
	var w where
	f := newFlags(e, "hearth token list").withWhere(&w).withJSON()
	if _, err := f.parse(args); err != nil {
		return err
	}
	return e.onServer(ctx, w, func(a control.Admin) error {
		tokens, err := a.Tokens(ctx)
		if err != nil {
			return err
		}
		if f.json {
			if tokens == nil {
				tokens = []control.RegistrationToken{}
			}
			return printJSON(e.stdout, map[string]any{"registration_tokens": tokens})
		}
		tw := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(tw, "TOKEN\tUSED\tOF\tUNDER WAY\tENDS")
		for _, t := range tokens {
			of, ends := "any", "never"
			if t.UsesAllowed != nil {
				of = strconv.FormatInt(*t.UsesAllowed, 10)
			}
			if t.ExpiryMS != nil {
				ends = time.UnixMilli(*t.ExpiryMS).Format("2006-01-02 15:04")
			}
			fmt.Fprintf(tw, "%s\t%d\t%s\t%d\t%s\n", printable(t.Token), t.Completed, of, t.Pending, ends)
		}
		return tw.Flush()
	})
}

func runTokenRevoke(ctx context.Context, e *env, args []string) error {
	var w where
	f := newFlags(e, "hearth token revoke TOKEN").withWhere(&w).withJSON()
	names, err := f.parse(args, "token")
	if err != nil {
		return err
	}
	return e.onServer(ctx, w, func(a control.Admin) error {
		if err := a.RevokeToken(ctx, names[0]); err != nil {
			return err
		}
		if f.json {
			return printJSON(e.stdout, map[string]any{"token": names[0], "revoked": true})
		}
		fmt.Fprintf(e.stdout, "revoked %s\n", names[0])
		return nil
	})
}
