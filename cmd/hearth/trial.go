package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"

	"hearth/base/config"
	"hearth/server"
)

const (
	trialDir    = "hearth-trial"
	trialListen = "127.0.0.1:8420"
)

// trialConfig is a server for this machine only, with calls on the two ports
// after its own.
//
// Its name is "localhost" whatever the port: a server's name can never change,
// and the port of a trial may. Registration is open to this machine only, also
// when others can reach the server.
func trialConfig(dir, listen string) (*config.Config, error) {
	host, portText, err := net.SplitHostPort(listen)
	port, perr := strconv.ParseUint(portText, 10, 16)
	if err != nil || perr != nil || port > 65533 {
		return nil, usagef("--listen %q is not host:port with a port up to 65533; write for example 127.0.0.1:8420", listen)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	next := func(n uint64) string {
		if port == 0 {
			return net.JoinHostPort(host, "0")
		}
		return net.JoinHostPort(host, strconv.FormatUint(port+n, 10))
	}
	c := config.Default()
	c.ServerName = "localhost"
	c.Listen.HTTP = listen
	c.Storage.Dir = abs
	c.Registration.Mode = "open"
	c.OpenOnlyFrom = isLoopback
	c.Trial = "hearth"
	c.TURN.UDP, c.TURN.TCP = next(1), next(2)
	c.TURN.Realm = c.ServerName
	c.Log.Level, c.Log.Format = "warn", "text"
	return c, nil
}

// isLoopback takes a host of the configuration or a client's address.
func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

func runTrial(ctx context.Context, e *env, args []string) error {
	f := newFlags(e, "hearth trial [--dir D] [--listen A]")
	dir := f.String("dir", trialDir, "`folder` for the data")
	listen := f.String("listen", trialListen, "`address` of the server; calls use the two ports after it")
	level := f.String("log", "warn", "log `level`: debug, info, warn or error")
	if _, err := f.parse(args); err != nil {
		return err
	}
	cfg, err := trialConfig(*dir, *listen)
	if err != nil {
		return err
	}
	cfg.Log.Level = *level
	cfg.Trial = e.name
	if *dir != trialDir {
		cfg.TrialDir = *dir
	}
	return e.serve(ctx, cfg, func(*slog.Logger) { e.welcome(cfg, *dir) })
}

// welcome says what runs and what to do next.
func (e *env) welcome(cfg *config.Config, dir string) {
	host, port, _ := net.SplitHostPort(cfg.Listen.HTTP)
	onlyHere := isLoopback(host)
	if a, err := netip.ParseAddr(host); onlyHere || host == "" || err == nil && a.IsUnspecified() {
		host = "localhost" // browsers allow calls there without TLS
	}
	home := "http://" + net.JoinHostPort(host, port)
	_, udp, _ := net.SplitHostPort(cfg.TURN.UDP)
	_, tcp, _ := net.SplitHostPort(cfg.TURN.TCP)
	fmt.Fprintf(e.stdout, `Hearth %s · trial server · data in %s (delete it to start over)

  homeserver  %s
  calls       relayed by this server: UDP %s, TCP %s
  federation  off
  TLS         off (browsers trust localhost without it)

`, server.Version(), dir, home, udp, tcp)
	if onlyHere {
		fmt.Fprintf(e.stdout, `Next
  1. Open %s in a browser: it shows which clients to use and how.
  2. In a client, choose the homeserver %s and create an account.
     Sign-up is open, because only this machine can reach the server.
  3. Make a second account in another client or a private window; chat, and call.

`, home, home)
	} else {
		fmt.Fprintf(e.stdout, `Next
  1. Others can reach this server. Sign-up is open to this machine only; give
     the others a registration token:
       %s token create --dir %s
  2. Open %s in a browser: it shows which clients to use and how.
     Browsers allow calls only on localhost or over HTTPS.

`, e.name, dir, home)
	}
	fmt.Fprintf(e.stdout, `An account that may use the admin API:
       %s user add admin --admin --dir %s
Stop with Ctrl-C.
`, e.name, dir)
}
