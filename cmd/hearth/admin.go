package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"hearth/base/config"
	"hearth/base/lockdir"
	"hearth/base/logx"
	"hearth/matrix/mxerr"
	"hearth/server/control"
)

// onServer calls fn with the server that w means.
func (e *env) onServer(ctx context.Context, w where, fn func(control.Admin) error) error {
	cfg, err := w.load()
	if err != nil {
		return err
	}
	return e.withAdmin(ctx, cfg, fn)
}

// withAdmin calls fn with the running server of cfg, or with its data if the
// server is stopped.
func (e *env) withAdmin(ctx context.Context, cfg *config.Config, fn func(control.Admin) error) error {
	client, err := control.Dial(socketOf(cfg))
	switch {
	case err == nil:
		defer client.Close()
		return plain(fn(client))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be opened by you; run this with sudo, or as %s", socketOf(cfg), ownerOf(cfg.Storage.Dir))
	case !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED):
		return err
	}
	return e.withData(ctx, cfg, fn)
}

// withData opens the data of a stopped server for one command.
func (e *env) withData(ctx context.Context, cfg *config.Config, fn func(control.Admin) error) (err error) {
	if err := mayOpen(cfg.Storage.Dir); err != nil {
		return err
	}
	lock, err := lockdir.Take(cfg.Storage.Dir)
	if held, ok := errors.AsType[*lockdir.InUseError](err); ok {
		return fmt.Errorf("a server has the data directory %s (pid %d) but its control socket does not answer; it may be starting or stopping, try again", held.Dir, held.PID)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	log, err := logx.New(e.stderr, "warn", "auto")
	if err != nil {
		return err
	}
	srv, err := e.newServer(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		err = errors.Join(err, srv.Stop(drain))
	}()
	return plain(fn(srv.Admin()))
}

// plain drops the error code, which is for clients: the sentence is enough for a
// person.
func plain(err error) error {
	if e, ok := errors.AsType[*mxerr.Error](err); ok {
		return errors.New(e.Text)
	}
	return err
}

// mayOpen refuses what would leave files that the service cannot read: root
// working in another user's data directory.
func mayOpen(dir string) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no data directory %s yet; start the server once", dir)
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if ok && os.Geteuid() == 0 && st.Uid != 0 {
		return fmt.Errorf("the server is stopped and its data belongs to %s; start it, or run this as that user (sudo -u %[1]s)", ownerOf(dir))
	}
	return nil
}

func ownerOf(path string) string {
	fi, err := os.Stat(path)
	if err != nil {
		return "its owner"
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return "its owner"
	}
	id := strconv.FormatUint(uint64(st.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
