package server

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files of the certificate are looked at.
const lookEvery = time.Minute

// certs is the certificate of the configuration. A renewed one is read without
// a restart, which would end calls.
type certs struct {
	cert, key string // files
	log       *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	written [2]time.Time // when the files were, of what was tried last
	next    time.Time    // when to look again
}

// loadCerts reads the two files.
func loadCerts(cert, key string, log *slog.Logger) (*certs, error) {
	c := &certs{cert: cert, key: key, log: log, next: time.Now().Add(lookEvery)}
	c.written = c.times()
	pair, err := tls.LoadX509KeyPair(cert, key)
	c.pair = &pair
	return c, err
}

// get is for tls.Config: it returns the certificate for a new connection.
func (c *certs) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.After(c.next) {
		c.next = now.Add(lookEvery)
		c.renew()
	}
	return c.pair, nil
}

func (c *certs) renew() {
	written := c.times()
	if written == c.written {
		return
	}
	c.written = written
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		// Perhaps only one of the two is there yet.
		c.log.Error("the new certificate cannot be used; the old one stays", "cert", c.cert, "key", c.key, "err", err)
		return
	}
	c.pair = &pair
	c.log.Info("certificate renewed", "cert", c.cert, "until", pair.Leaf.NotAfter)
}

// times tells when the files were written; a file that is away counts as one
// that changed.
func (c *certs) times() (at [2]time.Time) {
	for i, file := range []string{c.cert, c.key} {
		if info, err := os.Stat(file); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}
