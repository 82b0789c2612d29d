package server

import "runtime/debug"

// Version is the release that this program was built from, "devel" for a build
// of a working tree.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
