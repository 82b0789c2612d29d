package main

import (
	"context"
	"errors"
	"log/slog"

	"hearth/base/config"
)

// newServer assembles the server of package server.
func newServer(context.Context, *config.Config, *slog.Logger) (running, error) {
	return nil, errors.New("this build has no server in it")
}
