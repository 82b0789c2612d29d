// Package mail sends mail through the operator's SMTP server. It knows nothing of
// what the mail says.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"hearth/base/contain"
	"hearth/matrix/mxid"
)

// Message is one mail to one person.
type Message struct {
	To      string // an address
	Subject string
	Text    string
	HTML    string            // "" for none
	Headers map[string]string // further ones, such as List-Unsubscribe
}

// Config says how mail leaves the house.
type Config struct {
	Server   string // "host:port"
	TLS      string // "starttls", "tls" (from the first byte) or "none"
	User     string // "" if the server asks for none
	Password string
	From     string // "Hearth <hearth@example.org>"
	Log      *slog.Logger

	Roots *tls.Config // for tests; nil means the system's
	// Pause is how long to wait before the second attempt, and twice that before
	// the third; 0 means half a minute.
	Pause time.Duration
}

const (
	// maxWaiting bounds the queue.
	maxWaiting = 1000
	// patience is how long one attempt may take.
	patience = time.Minute
	attempts = 4
	senders  = 2
)

// ErrFull means that too much mail is waiting already.
var ErrFull = errors.New("too much mail is waiting to be sent")

// Mailer sends mail. Post works after Start.
type Mailer struct {
	Config
	host  string
	port  int
	queue chan Message
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// New returns a Mailer. The error says what is wrong with the configuration.
func New(c Config) (*Mailer, error) {
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	if err := gomail.NewMsg().From(c.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Pause == 0 {
		c.Pause = 30 * time.Second
	}
	return &Mailer{Config: c, host: host, port: int(n), queue: make(chan Message, maxWaiting)}, nil
}

// Start begins to send what is posted. Stop ends it; mail that was not sent by
// then is lost, and people ask for it again.
func (m *Mailer) Start(ctx context.Context) {
	ctx, m.stop = context.WithCancel(ctx)
	for range senders {
		contain.Work(ctx, &m.done, m.Log, "e-mail", m.work)
	}
}

// Stop returns when nothing runs any more.
func (m *Mailer) Stop() {
	if m.stop != nil {
		m.stop()
		m.done.Wait()
	}
}

// Post sends a mail soon, and tries again if that fails. The error is ErrFull.
func (m *Mailer) Post(msg Message) error {
	select {
	case m.queue <- msg:
		return nil
	default:
		return ErrFull
	}
}

func (m *Mailer) work(ctx context.Context) {
	for {
		select {
		case msg := <-m.queue:
			m.insist(ctx, msg)
		case <-ctx.Done():
			return
		}
	}
}

func (m *Mailer) insist(ctx context.Context, msg Message) {
	pause := m.Pause
	for try := 1; ; try++ {
		err := m.Send(ctx, msg)
		if err == nil || ctx.Err() != nil {
			return
		}
		if try == attempts || !temporary(err) {
			m.Log.Error("a mail was not sent", "server", m.Server, "err", err)
			return
		}
		m.Log.Warn("a mail could not be sent yet", "server", m.Server, "attempt", try, "err", err)
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return
		}
	}
}

// temporary tells whether there is hope. What is no answer of the server is a
// failure on the way to it.
func temporary(err error) bool {
	se, ok := errors.AsType[*gomail.SendError](err)
	return !ok || se.IsTemp()
}

// Send sends a mail now.
func (m *Mailer) Send(ctx context.Context, msg Message) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	letter, err := m.letter(msg)
	if err != nil {
		return err
	}
	client, err := m.client()
	if err != nil {
		return err
	}
	return client.DialAndSendWithContext(ctx, letter)
}

func (m *Mailer) letter(msg Message) (*gomail.Msg, error) {
	letter := gomail.NewMsg()
	if err := letter.From(m.From); err != nil {
		return nil, err
	}
	if err := letter.To(msg.To); err != nil {
		return nil, err
	}
	letter.Subject(msg.Subject)
	letter.SetDate()
	letter.SetMessageIDWithValue(mxid.RandomString(24) + "@" + m.host)
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answers from machines
	for name, value := range msg.Headers {
		letter.SetGenHeader(gomail.Header(name), value)
	}
	letter.SetBodyString(gomail.TypeTextPlain, msg.Text)
	if msg.HTML != "" {
		letter.AddAlternativeString(gomail.TypeTextHTML, msg.HTML)
	}
	return letter, nil
}

func (m *Mailer) client() (*gomail.Client, error) {
	options := []gomail.Option{gomail.WithPort(m.port), gomail.WithTimeout(patience / 2)}
	if m.Roots != nil {
		trust := m.Roots.Clone()
		trust.ServerName = m.host
		options = append(options, gomail.WithTLSConfig(trust))
	}
	switch m.TLS {
	case "tls":
		options = append(options, gomail.WithSSL())
	case "none":
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if m.User != "" {
		auth := gomail.SMTPAuthAutoDiscover
		if m.TLS == "none" {
			auth = gomail.SMTPAuthPlainNoEnc // the operator says that the way there is safe
		}
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(m.User), gomail.WithPassword(m.Password))
	}
	return gomail.NewClient(m.host, options...)
}
