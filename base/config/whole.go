package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"strings"
)

// at is where key was set, or the top of the main file.
func (l *loader) at(key string) Origin {
	if o, ok := l.c.origins[key]; ok {
		return o
	}
	return Origin{l.c.file, 1, 1}
}

// checkWhole finds values that are right one by one and wrong together.
func (l *loader) checkWhole() {
	c := l.c
	if c.ServerName == "" {
		l.problem(l.at("server_name"), `server_name is missing; write server_name = "example.com" above the first [section]`)
	}
	if c.Listen.HTTP == "" && c.Listen.HTTPS == "" {
		l.problem(l.at("listen.http"), `there is nothing to listen on; write http = "127.0.0.1:8008" in [listen]`)
	}
	if c.Storage.Dir == "" {
		l.problem(l.at("storage.dir"), `storage.dir is empty; write dir = "/var/lib/hearth"`)
	}
	l.checkTLS()
	l.checkClash()
	l.checkPeople()
	l.checkBucket()
	l.checkFederation()
}

// checkFederation is about other servers and their files.
func (l *loader) checkFederation() {
	c := l.c
	if c.Media.RemoteCacheSize > 0 && c.Media.RemoteMaxSize > c.Media.RemoteCacheSize {
		l.problem(l.at("media.remote_max_size"), `one file may be larger than remote_cache_size, which is for all; write a smaller remote_max_size`)
	}
	if _, err := c.FederationRoots(); err != nil {
		l.problem(l.at("federation.ca"), "federation.ca cannot be used: %v; write a PEM file of certificates", err)
	}
}

// FederationRoots are the authorities that other servers' certificates may be
// from, nil for those of this machine only.
func (c *Config) FederationRoots() (*x509.CertPool, error) {
	if c.Federation.CA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.Federation.CA)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("there is no certificate in %s", c.Federation.CA)
	}
	return pool, nil
}

// checkBucket: the name of a bucket has 3 to 63 characters everywhere.
func (l *loader) checkBucket() {
	if c := l.c.S3; c.Endpoint != "" && (len(c.Bucket) < 3 || len(c.Bucket) > 63) {
		l.problem(l.at("s3.bucket"), `s3.bucket %q is no bucket; write its name, of 3 to 63 characters`, c.Bucket)
	}
}

// checkPeople is about mail, captchas and terms.
func (l *loader) checkPeople() {
	c := l.c
	if c.Mail.SMTP != "" {
		if _, err := mail.ParseAddress(c.Mail.From); err != nil {
			l.problem(l.at("mail.from"), `mail.from is no sender; write from = "Hearth <hearth@example.com>" in [mail]`)
		}
		if host, port, err := net.SplitHostPort(c.Mail.SMTP); err != nil || host == "" || !isPort(port) {
			l.problem(l.at("mail.smtp"), `mail.smtp names no server; write smtp = "mail.example.com:587"`)
		}
	}
	if c.Registration.Email != "off" && c.Mail.SMTP == "" {
		l.problem(l.at("registration.email"), `registration.email is %q, but this server sends no mail; write smtp and from in [mail], or email = "off"`, c.Registration.Email)
	}
	if p := c.Captcha; (p.PublicKey == "") != (p.PrivateKey == "") {
		key := "captcha.public_key"
		if p.PublicKey == "" {
			key = "captcha.private_key"
		}
		l.problem(l.at(key), `a captcha has two keys; write public_key and private_key in [captcha]`)
	}
	if c.Terms.Version != "" && c.Terms.URL == "" {
		l.problem(l.at("terms.version"), `there are terms, but nowhere to read them; write url = "https://example.com/terms" in [terms]`)
	}
	if !plainVersion(c.Terms.Version) {
		l.problem(l.at("terms.version"), `terms.version may have only letters, digits and . _ - ; write for example version = "2026-01"`)
	}
}

func isPort(s string) bool {
	_, err := portNumber(s)
	return err == nil
}

// plainVersion: appendices/#opaque-identifiers
func plainVersion(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

func (l *loader) checkTLS() {
	c := l.c
	if c.TLS.Mode == "off" {
		for _, b := range []struct{ key, addr string }{{"listen.https", c.Listen.HTTPS}, {"turn.tls", c.TURN.TLS}} {
			if b.addr != "" {
				l.problem(l.at(b.key), `%s needs a certificate; write mode = "files", cert and key in [tls]`, b.key)
			}
		}
		return
	}
	if c.TLS.Cert == "" || c.TLS.Key == "" {
		l.problem(l.at("tls.mode"), `tls.mode is "files", which needs two files; write cert = "fullchain.pem" and key = "privkey.pem" in [tls]`)
		return
	}
	if _, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key); err != nil {
		l.problem(l.at(l.guiltyOf(err)), "%s", certificateText(err))
	}
}

// guiltyOf names the key whose file err is about.
func (l *loader) guiltyOf(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok && pe.Path == l.c.TLS.Key {
		return "tls.key"
	}
	return "tls.cert"
}

func certificateText(err error) string {
	pe, ok := errors.AsType[*fs.PathError](err)
	switch {
	case !ok:
		return fmt.Sprintf("the certificate and key cannot be used: %v; write the PEM files of one pair", strings.TrimPrefix(err.Error(), "tls: "))
	case errors.Is(err, fs.ErrNotExist):
		return pe.Path + " does not exist; write where your certificate files are"
	}
	return fmt.Sprintf("%s cannot be read: %v; let the user that runs hearth read it", pe.Path, pe.Err)
}

// checkClash finds two TCP listeners on one port of one address.
func (l *loader) checkClash() {
	c := l.c
	listeners := []struct{ key, addr string }{
		{"listen.http", c.Listen.HTTP},
		{"listen.https", c.Listen.HTTPS},
		{"turn.tcp", c.TURN.TCP},
		{"turn.tls", c.TURN.TLS},
	}
	for i, b := range listeners {
		for _, a := range listeners[:i] {
			if overlap(a.addr, b.addr) {
				l.problem(l.at(b.key), "%s wants %s, which %s has already; write another port", b.key, b.addr, a.key)
			}
		}
	}
}

func overlap(a, b string) bool {
	ahost, aport, aerr := net.SplitHostPort(a)
	bhost, bport, berr := net.SplitHostPort(b)
	if aerr != nil || berr != nil || aport != bport || aport == "0" {
		return false
	}
	return ahost == bhost || everywhere(ahost) || everywhere(bhost)
}

func everywhere(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || err == nil && a.IsUnspecified()
}

// Notes are remarks on a configuration that is right but perhaps not meant.
func (c *Config) Notes() []string {
	var notes []string
	if !c.CallsOn() {
		notes = append(notes, `calls are not relayed: [turn] names no listener; udp = ":3478" turns the relay on`)
	}
	if loopback(c.Listen.HTTP) && len(c.Listen.TrustedProxies) == 0 && c.Listen.HTTPS == "" {
		notes = append(notes, `http listens on this machine only; if a reverse proxy is in front, write trusted_proxies = ["127.0.0.1", "::1"] in [listen]`)
	}
	if c.Registration.Mode == "open" && !(loopback(c.Listen.HTTP) && c.Listen.HTTPS == "") {
		notes = append(notes, "registration is open: everybody who reaches this server can make accounts")
	}
	if !c.Limits.Enabled {
		notes = append(notes, "rate limits are off")
	}
	return notes
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
