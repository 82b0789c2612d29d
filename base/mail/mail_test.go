package mail_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"hearth/base/mail"
	"hearth/base/mail/mailtest"
)

func mailer(t *testing.T, s *mailtest.Server, change func(*mail.Config)) *mail.Mailer {
	t.Helper()
	c := mail.Config{Server: s.Addr, TLS: "starttls", From: "Hearth <hearth@example.test>", Roots: s.Trust, Pause: time.Millisecond}
	if change != nil {
		change(&c)
	}
	m, err := mail.New(c)
	if err != nil {
		t.Fatal(err)
	}
	m.Start(t.Context())
	t.Cleanup(m.Stop)
	return m
}

// TestMailArrives by each way into a server, with what people see intact.
func TestMailArrives(t *testing.T) {
	for _, way := range []string{"starttls", "tls", "none"} {
		t.Run(way, func(t *testing.T) {
			s := mailtest.New(t, way == "tls")
			m := mailer(t, s, func(c *mail.Config) { c.TLS, c.User, c.Password = way, "hearth", mailtest.Password })
			err := m.Post(mail.Message{
				To: "alice@example.org", Subject: "Grüße\r\nBcc: eve@example.org", Text: "Guten Tag", HTML: "<p>Guten Tag</p>",
				Headers: map[string]string{"List-Unsubscribe": "<https://example.test/stop>"},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := s.Next(t)
			if got.To != "alice@example.org" || got.From != "hearth@example.test" || got.User != "hearth" {
				t.Errorf("envelope: %+v", got)
			}
			if got.TLS != (way != "none") {
				t.Errorf("encrypted: %v", got.TLS)
			}
			for _, want := range []string{"Guten Tag", "<p>Guten Tag</p>", "List-Unsubscribe: <https://example.test/stop>", "Auto-Submitted: auto-generated"} {
				if !strings.Contains(got.Data, want) {
					t.Errorf("there is no %q in\n%s", want, got.Data)
				}
			}
			if strings.Contains(got.Data, "\nBcc:") {
				t.Errorf("a subject became a header:\n%s", got.Data)
			}
		})
	}
}

// TestServerThatIsBusy gets the mail again, and one that refuses does not.
func TestServerThatIsBusy(t *testing.T) {
	s := mailtest.New(t, false)
	m := mailer(t, s, nil)
	s.Refuse(451, 2)
	if err := m.Post(mail.Message{To: "alice@example.org", Subject: "first", Text: "1"}); err != nil {
		t.Fatal(err)
	}
	if got := s.Next(t); !strings.Contains(got.Data, "Subject: first") {
		t.Errorf("got %s", got.Data)
	}
	s.Refuse(550, 1)
	for _, subject := range []string{"refused", "second"} {
		if err := m.Post(mail.Message{To: "alice@example.org", Subject: subject, Text: "2"}); err != nil {
			t.Fatal(err)
		}
		for subject == "refused" && s.Refusals() > 0 { // until it was refused
			time.Sleep(time.Millisecond)
		}
	}
	if got := s.Next(t); !strings.Contains(got.Data, "Subject: second") {
		t.Errorf("got %s", got.Data)
	}
}

// TestStarttlsIsNotTakenAway: without encryption there is no mail.
func TestStarttlsIsNotTakenAway(t *testing.T) {
	s := mailtest.New(t, false)
	s.Plain()
	m := mailer(t, s, nil)
	if err := m.Send(t.Context(), mail.Message{To: "alice@example.org", Text: "secret"}); err == nil {
		t.Error("the mail went out in the open")
	}
}

// TestQueueIsFull: a server that is away does not fill the memory.
func TestQueueIsFull(t *testing.T) {
	m, err := mail.New(mail.Config{Server: "127.0.0.1:1", From: "hearth@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if err := m.Post(mail.Message{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Post(mail.Message{}); !errors.Is(err, mail.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	m.Start(context.Background())
	m.Stop()
}

func TestBadConfig(t *testing.T) {
	for _, c := range []mail.Config{{Server: "nowhere", From: "a@b.c"}, {Server: "a:x", From: "a@b.c"}, {Server: "a:25", From: "nobody"}} {
		if _, err := mail.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
