package main

import (
	"context"
	"log/slog"

	"hearth/base/config"
	"hearth/server"
)

// newServer assembles the server of package server.
func newServer(ctx context.Context, cfg *config.Config, log *slog.Logger) (running, error) {
	s, err := server.New(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	return s, nil
}
