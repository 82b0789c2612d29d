package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// postgres is a private PostgreSQL server. It lives in a temporary folder and
// is gone when Stop returns.
type postgres struct {
	URL string // for HEARTH_TEST_POSTGRES; a superuser who may create databases

	dir    string
	server *exec.Cmd
	done   chan error
}

// startPostgres makes a new cluster as an operator would make one for Hearth
// (UTF-8, byte order) with fsync on, because tests kill it and us.
func startPostgres(ctx context.Context) (*postgres, error) {
	say("starting a private PostgreSQL (%s)", postgresBin())
	who, err := postgresUser()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hearth-postgres-")
	if err != nil {
		return nil, err
	}
	p := &postgres{dir: dir}
	if err := p.start(ctx, who); err != nil {
		p.Stop()
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	return p, nil
}

func (p *postgres) start(ctx context.Context, who *syscall.Credential) error {
	password := rand.Text()
	data, sockets, secret := filepath.Join(p.dir, "data"), filepath.Join(p.dir, "sockets"), filepath.Join(p.dir, "secret")
	if err := os.Mkdir(sockets, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	if who != nil {
		for _, name := range []string{p.dir, sockets, secret} {
			if err := os.Chown(name, int(who.Uid), int(who.Gid)); err != nil {
				return err
			}
		}
	}
	as := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.Dir = p.dir // the caller's folder may be closed to that user
		cmd.SysProcAttr = dieWithUs(who)
		return cmd
	}

	initdb := as(exec.CommandContext(ctx, filepath.Join(postgresBin(), "initdb"),
		"-D", data, "-U", "hearth", "--pwfile", secret, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-instructions"))
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}

	port, err := freePort()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	p.server = as(exec.Command(filepath.Join(postgresBin(), "postgres"), "-D", data,
		"-c", "listen_addresses=127.0.0.1", "-c", "port="+strconv.Itoa(port), "-c", "unix_socket_directories="+sockets,
		"-c", "fsync=on", "-c", "max_connections=400", "-c", "shared_buffers=128MB"))
	p.server.Stdout, p.server.Stderr = log, log
	if err := p.server.Start(); err != nil {
		return err
	}
	p.done = make(chan error, 1)
	go func() { p.done <- p.server.Wait() }()

	p.URL = fmt.Sprintf("postgres://hearth:%s@127.0.0.1:%d/postgres?sslmode=disable", password, port)
	return p.ready(ctx, port)
}

// ready waits until the server takes connections.
func (p *postgres) ready(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		ask := exec.CommandContext(ctx, filepath.Join(postgresBin(), "pg_isready"), "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(port))
		if ask.Run() == nil {
			return nil
		}
		select {
		case err := <-p.done:
			p.server = nil
			out, _ := os.ReadFile(filepath.Join(p.dir, "log")) // whatever there is of it
			return fmt.Errorf("the server ended (%w):\n%s", cmp.Or(err, errors.New("exit code 0")), out)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the server, cutting off whoever is still connected, and removes
// its folder.
func (p *postgres) Stop() {
	if p.server != nil {
		_ = p.server.Process.Signal(syscall.SIGINT) // "fast shutdown"; if it is gone, done says so
		select {
		case <-p.done:
		case <-time.After(20 * time.Second):
			_ = p.server.Process.Kill() // nothing of value is in it
			<-p.done
		}
	}
	if err := os.RemoveAll(p.dir); err != nil {
		fmt.Fprintln(os.Stderr, "dev: left behind:", err)
	}
}

// postgresUser is whom the server runs as: it refuses to run as root. Nil
// means as we do.
func postgresUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

// freePort finds a TCP port of 127.0.0.1 that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
