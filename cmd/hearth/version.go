package main

import (
	"context"
	"fmt"
	"runtime"

	"hearth/server"
)

func runVersion(_ context.Context, e *env, args []string) error {
	f := newFlags(e, "hearth version").withJSON()
	if _, err := f.parse(args); err != nil {
		return err
	}
	if f.json {
		return printJSON(e.stdout, map[string]string{
			"version": server.Version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		})
	}
	fmt.Fprintf(e.stdout, "hearth %s (%s, %s/%s)\n", server.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
