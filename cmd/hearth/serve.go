package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"hearth/base/config"
	"hearth/base/lockdir"
	"hearth/base/logx"
	"hearth/server"
	"hearth/server/control"
)

// drainTime is how long a server that was told to stop may take.
const drainTime = 5 * time.Second

// running is what the verbs need of a server.
type running interface {
	Start(ctx context.Context) error // listening when it returns
	Stop(ctx context.Context) error
	Admin() control.Admin // good from New to Stop, started or not
}

// newServerFunc assembles a server on the data of cfg. A server that was never
// started must be stopped too.
type newServerFunc func(ctx context.Context, cfg *config.Config, log *slog.Logger) (running, error)

func runServe(ctx context.Context, e *env, args []string) error {
	var w where
	f := newFlags(e, "hearth serve [--config F]")
	f.StringVar(&w.config, "config", "", "configuration `file` (default ./hearth.toml, then /etc/hearth/hearth.toml)")
	if _, err := f.parse(args); err != nil {
		return err
	}
	file, err := w.file()
	if err != nil {
		return err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	return e.serve(ctx, cfg, func(log *slog.Logger) {
		for _, note := range cfg.Notes() {
			log.Info("configuration", "note", note)
		}
		log.Info("ready", "server_name", cfg.ServerName, "http", cfg.Listen.HTTP, "https", cfg.Listen.HTTPS,
			"turn_udp", cfg.TURN.UDP, "dir", cfg.Storage.Dir, "version", server.Version())
	})
}

// gcPercent trades a little CPU for memory: small machines are where most
// Hearths live. GOGC in the environment takes precedence.
const gcPercent = 60

// serve runs a server until ctx ends, and calls ready when it listens.
func (e *env) serve(ctx context.Context, cfg *config.Config, ready func(*slog.Logger)) (err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log, err := logx.New(e.stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	lock, err := lockdir.Take(cfg.Storage.Dir)
	if err != nil {
		return cfg.At("storage.dir", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	// The server outlives ctx by the time it takes to drain.
	srv, err := e.newServer(context.WithoutCancel(ctx), cfg, log)
	if err != nil {
		return err
	}
	defer func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		err = errors.Join(err, srv.Stop(drain))
	}()
	if err := srv.Start(ctx); err != nil {
		return err
	}
	stopControl, err := serveControl(cfg, srv.Admin(), log)
	if err != nil {
		return err
	}
	defer stopControl()

	ready(log)
	notifySystemd("READY=1")
	<-ctx.Done()
	notifySystemd("STOPPING=1")
	log.Info("stopping")
	return nil
}

// serveControl answers the operator's commands until the returned func is called.
func serveControl(cfg *config.Config, a control.Admin, log *slog.Logger) (stop func(), err error) {
	ln, err := control.Listen(socketOf(cfg))
	if err != nil {
		return nil, err
	}
	srv := &http.Server{
		Handler:           control.Handler(a),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("control socket failed: hearth user and hearth token need a restart", "err", err)
		}
	}()
	return func() {
		srv.Close()
		<-done
	}, nil
}

func socketOf(cfg *config.Config) string {
	return filepath.Join(cfg.Storage.Dir, control.SocketName)
}

// notifySystemd tells a service manager that asked for it (sd_notify(3)). When
// nobody listens there is nobody to tell.
func notifySystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, state)
}
