package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"hearth/base/lockdir"
)

// listeners are the HTTP servers of a Server.
type listeners struct {
	mu      sync.Mutex
	addrs   []net.Addr
	servers []*http.Server
	running sync.WaitGroup
}

// listen opens what the configuration names: plain HTTP, HTTPS, or both.
func (s *Server) listen() error {
	if a := s.cfg.Listen.HTTP; a != "" {
		if err := s.serve(a, "listen.http", nil); err != nil {
			return err
		}
	}
	if a := s.cfg.Listen.HTTPS; a != "" && s.cfg.TLS.Mode == "files" {
		tc, err := s.tlsConfig()
		if err != nil {
			return err
		}
		return s.serve(a, "listen.https", tc)
	}
	return nil
}

// tlsConfig reads the certificate of the configuration.
func (s *Server) tlsConfig() (*tls.Config, error) {
	if s.certs == nil {
		c, err := loadCerts(s.cfg.TLS.Cert, s.cfg.TLS.Key, s.log)
		if err != nil {
			return nil, err
		}
		s.certs = c
	}
	return &tls.Config{GetCertificate: s.certs.get, MinVersion: tls.VersionTLS12}, nil
}

func (s *Server) serve(addr, key string, tc *tls.Config) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return s.cfg.At(key, lockdir.ListenError(err, "tcp", addr, key))
	}
	srv := &http.Server{
		Handler:           s.router,
		TLSConfig:         tc,
		ReadHeaderTimeout: 20 * time.Second,
		IdleTimeout:       3 * time.Minute, // above the longest poll of common clients
		MaxHeaderBytes:    64 << 10,
		ConnState:         s.parking.ConnState,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	l := &s.listeners
	l.mu.Lock()
	l.addrs = append(l.addrs, ln.Addr())
	l.servers = append(l.servers, srv)
	l.mu.Unlock()
	if len(l.servers) == 1 { // connections that were parked come back by the first
		l.running.Go(func() { _ = srv.Serve(s.parking) })
	}
	l.running.Go(func() {
		if tc != nil {
			err = srv.ServeTLS(ln, "", "")
		} else {
			err = srv.Serve(ln)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("listener failed", "addr", addr, "err", err)
		}
	})
	return nil
}

// Addr is the address of the first HTTP listener, "" before Start.
func (s *Server) Addr() string {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	if len(s.listeners.addrs) == 0 {
		return ""
	}
	return s.listeners.addrs[0].String()
}

// stop lets requests finish until ctx is nearly over, then cuts them off: those
// that are stuck must leave time to close the rest in order.
func (l *listeners) stop(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)*3/4)
		defer cancel()
	}
	l.mu.Lock()
	servers := l.servers
	l.mu.Unlock()
	errs := make([]error, len(servers))
	var stopping sync.WaitGroup
	for i, srv := range servers {
		stopping.Go(func() {
			if srv.Shutdown(ctx) != nil {
				errs[i] = srv.Close()
			}
		})
	}
	stopping.Wait()
	l.running.Wait()
	return errors.Join(errs...)
}
