package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// lint runs the few linters that find bugs, and the formatter.
func lint(ctx context.Context) error {
	say("gofumpt, go vet, staticcheck")
	var failed []error
	format := exec.CommandContext(ctx, "go", "tool", "gofumpt", "-l", ".")
	format.Stderr = os.Stderr
	out, err := format.Output()
	if err != nil || len(out) > 0 {
		failed = append(failed, errors.New("gofumpt wants to change these (go tool gofumpt -w .):\n"+string(out)))
	}
	for _, args := range [][]string{{"vet", "./..."}, {"tool", "staticcheck", "./..."}} {
		cmd := shell(ctx, "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // as the tests are built, so that nothing is compiled twice
		if err := cmd.Run(); err != nil {
			failed = append(failed, fmt.Errorf("go %s: %w", args[0], err))
		}
	}
	return errors.Join(failed...)
}
