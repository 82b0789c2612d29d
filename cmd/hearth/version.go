package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionInfo struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// versionOf reads what the Go tool stamped into the binary: a tag, or a
// pseudo-version with the commit and "+dirty".
func versionOf() versionInfo {
	v := versionInfo{"devel", runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	return v
}

func runVersion(_ context.Context, e *env, args []string) error {
	f := newFlags(e, "hearth version").withJSON()
	if _, err := f.parse(args); err != nil {
		return err
	}
	v := versionOf()
	if f.json {
		return printJSON(e.stdout, v)
	}
	fmt.Fprintf(e.stdout, "hearth %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
	return nil
}
