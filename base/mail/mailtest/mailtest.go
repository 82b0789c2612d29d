// Package mailtest is an SMTP server for tests: it takes all mail and shows it.
package mailtest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Password is the one that the server takes.
const Password = "open sesame"

// Mail is what came.
type Mail struct {
	From, To, User, Data string
	TLS                  bool
}

// Server is a running server.
type Server struct {
	Addr  string
	Trust *tls.Config // for clients

	smtp *smtp.Server
	came chan Mail

	mu     sync.Mutex
	code   int
	refuse int
}

// New starts a server, which speaks TLS from the first byte or after STARTTLS. It
// ends with the test.
func New(t testing.TB, immediately bool) *Server {
	t.Helper()
	web := httptest.NewUnstartedServer(nil) // has a certificate for 127.0.0.1
	web.StartTLS()
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	certificate := &tls.Config{Certificates: web.TLS.Certificates}
	web.Close()

	s := &Server{Trust: &tls.Config{RootCAs: pool}, came: make(chan Mail, 1000)}
	s.smtp = smtp.NewServer(s)
	s.smtp.Domain, s.smtp.TLSConfig, s.smtp.AllowInsecureAuth = "127.0.0.1", certificate, true
	s.smtp.ErrorLog = quiet{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	if immediately {
		l = tls.NewListener(l, certificate)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.smtp.Serve(l) }) // ends with an error always
	t.Cleanup(func() {
		s.smtp.Close()
		serving.Wait()
	})
	return s
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// Plain takes STARTTLS away.
func (s *Server) Plain() { s.smtp.TLSConfig = nil }

// Refuse answers the next mails with a code.
func (s *Server) Refuse(code, mails int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code, s.refuse = code, mails
}

// Refusals is how many mails are still to be refused.
func (s *Server) Refusals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refuse
}

// Next is the next mail.
func (s *Server) Next(t testing.TB) Mail {
	t.Helper()
	select {
	case m := <-s.came:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no mail came")
		return Mail{}
	}
}

// None wants no mail to have come.
func (s *Server) None(t testing.TB) {
	t.Helper()
	select {
	case m := <-s.came:
		t.Errorf("a mail came to %s:\n%s", m.To, m.Data)
	default:
	}
}

// NewSession is smtp's.
func (s *Server) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &session{server: s, mail: Mail{TLS: secure}}, nil
}

type session struct {
	server *Server
	mail   Mail
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != Password {
			return errors.New("wrong password")
		}
		s.mail.User = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.refuse > 0 {
		s.server.refuse--
		return &smtp.SMTPError{Code: s.server.code, Message: "not now"}
	}
	s.mail.From = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.mail.Data = string(data)
	s.server.came <- s.mail
	return err
}
