package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// tool is a program of the system that tests need.
type tool struct {
	why    string
	debian []string // packages that bring it
	there  func() bool
}

var tools = map[string]tool{
	"gcc":        {"go test -race needs a C compiler", []string{"gcc", "libc6-dev"}, inPath("gcc")},
	"ip":         {"tests make network namespaces", []string{"iproute2"}, inPath("ip")},
	"coturn":     {"its turnutils_* programs are clients for our TURN server", []string{"coturn"}, inPath("turnutils_uclient")},
	"chromium":   {"two of its pages talk and call through Hearth", []string{"chromium", "fonts-dejavu-core"}, inPath("chromium")},
	"npm":        {"the browser tests are JavaScript", []string{"nodejs", "npm"}, inPath("npm")},
	"postgresql": {"every store and engine test runs on it too", []string{"postgresql"}, func() bool { return postgresBin() != "" }},
}

func inPath(program string) func() bool {
	return func() bool {
		_, err := exec.LookPath(program)
		return err == nil
	}
}

// install sees to it that the named tools are there. It uses apt as root, and
// otherwise says what to install.
func install(ctx context.Context, names ...string) error {
	var packages, missing []string
	for _, name := range names {
		if t := tools[name]; !t.there() {
			packages = append(packages, t.debian...)
			missing = append(missing, fmt.Sprintf("  %-11s %s", name, t.why))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Geteuid() != 0 || !inPath("apt-get")() {
		return fmt.Errorf("these are missing:\n%s\nInstall them and run this again. On Debian or Ubuntu:\n  sudo apt-get update && sudo apt-get install -y --no-install-recommends %s",
			strings.Join(missing, "\n"), strings.Join(packages, " "))
	}
	say("apt-get install %s", strings.Join(packages, " "))
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...),
	} {
		apt := shell(ctx, "apt-get", args...)
		apt.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if err := apt.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	for _, name := range names {
		if !tools[name].there() {
			return fmt.Errorf("apt-get installed %s, but %s is still not to be found", strings.Join(tools[name].debian, " "), name)
		}
	}
	return nil
}

// The oldest Node.js that the packages of the browser tests run on, and the one
// to take where the system's own is older, as in Debian 12.
const (
	nodeMajor, nodeMinor = 20, 19
	newerNode            = "node@22.23.3"
)

// installNode sees to Node.js, and runs npm ci for the browser tests unless it
// already ran for the same lock file.
func installNode(ctx context.Context) error {
	if err := install(ctx, "npm"); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "node", "--version").Output(); err != nil || !newEnough(string(out)) {
		if err := installNewerNode(ctx); err != nil {
			return err
		}
	}
	const dir, stamp = "e2e/browser", "e2e/browser/node_modules/.installed"
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	sum := fmt.Appendf(nil, "%x", sha256.Sum256(lock))
	if old, err := os.ReadFile(stamp); err == nil && bytes.Equal(old, sum) {
		return nil
	}
	say("npm ci (%s)", dir)
	npm := shell(ctx, "npm", "ci", "--loglevel=error")
	npm.Dir = dir
	if err := npm.Run(); err != nil {
		return fmt.Errorf("npm ci in %s: %w", dir, err)
	}
	return os.WriteFile(stamp, sum, 0o644)
}

// installNewerNode puts a Node.js in front of the system's, for this process and
// those that it starts.
func installNewerNode(ctx context.Context) error {
	dir, err := toolsDir()
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, "node_modules", "node", "bin")
	if _, err := os.Stat(filepath.Join(bin, "node")); err != nil {
		say("npm install %s", newerNode)
		if err := shell(ctx, "npm", "install", "--prefix", dir, "--loglevel=error", newerNode).Run(); err != nil {
			return fmt.Errorf("npm install %s, because the browser tests need Node.js %d.%d or newer: %w", newerNode, nodeMajor, nodeMinor, err)
		}
	}
	return os.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// toolsDir is where tools go that are not the system's.
func toolsDir() (string, error) { return filepath.Abs(filepath.Join("artefacts", "tools")) }

// newEnough reads what node --version prints, such as "v20.19.0".
func newEnough(version string) bool {
	m := regexp.MustCompile(`^v(\d+)\.(\d+)\.`).FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > nodeMajor || major == nodeMajor && minor >= nodeMinor
}

// postgresBin is the folder with PostgreSQL's server programs, the newest
// that is installed, or "". Debian keeps them out of PATH.
func postgresBin() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is well-formed
	version := func(p string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p))))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 && version(found[0]) >= 14 {
		return filepath.Dir(found[0])
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(p)
	}
	return ""
}

// s3Server is an S3-compatible server that media tests store files in.
const s3Server = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

// installS3 builds it, unless that was done before, and returns its path.
func installS3(ctx context.Context) (string, error) {
	dir, err := toolsDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	say("go install %s", s3Server)
	install := shell(ctx, "go", "install", s3Server)
	install.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0")
	if err := install.Run(); err != nil {
		return "", fmt.Errorf("go install %s: %w", s3Server, err)
	}
	return path, nil
}
