package server

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"strings"

	"hearth/base/captcha"
	"hearth/base/db"
	"hearth/base/mail"
	"hearth/base/sms"
	"hearth/homeserver/account"
	"hearth/homeserver/pusher"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// buildMail makes what sends mail and text messages, if the operator has named
// servers for that.
func (s *Server) buildMail() (err error) {
	if c := s.cfg.SMS; c.URL != "" {
		s.sms = sms.New(sms.Config{URL: c.URL, Token: c.Token, Log: s.log})
	}
	c := s.cfg.Mail
	if c.SMTP == "" {
		return nil
	}
	s.mail, err = mail.New(mail.Config{Server: c.SMTP, TLS: c.TLS, User: c.User, Password: c.Password, From: c.From, Log: s.log})
	return err
}

func (s *Server) accountOptions(key ed25519.PrivateKey) account.Options {
	o := account.Options{
		ServerName:   mxid.ServerName(s.cfg.ServerName),
		Mode:         account.Mode(s.cfg.Registration.Mode),
		OpenOnlyFrom: s.cfg.OpenOnlyFrom,
		SharedSecret: s.cfg.Registration.SharedSecret,
		Guests:       s.cfg.Registration.Guests,
		Email:        s.cfg.Registration.Email,
		Exclusive:    s.reserved,
		Log:          s.log,
		Limits:       s.limits,

		PublicURL: s.cfg.PublicBase(),
		Secret:    derived(key, "consent"),
		Terms: account.Terms{
			Version: s.cfg.Terms.Version, URL: s.cfg.Terms.URL, Privacy: s.cfg.Terms.Privacy, Everybody: s.cfg.Terms.For == "everybody",
		},

		OnProfile:     s.onProfile,
		OnDeactivate:  s.onDeactivate,
		OnSessionsEnd: s.hub.WakeUser,
		OnErase:       func(tx *db.Tx, user string) error { return s.personal.Erase(tx, user) }, // which comes later
		DeviceRemoved: s.deviceRemoved,
		DeviceRenamed: s.keys.DeviceRenamed,
	}
	if s.mail != nil {
		o.Mail = s.mail
	}
	if s.sms != nil {
		o.SMS = s.sms
	}
	if c := s.cfg.Captcha; c.PublicKey != "" {
		o.Captcha, o.CaptchaKey = captcha.New(c.SiteVerify, c.PrivateKey), c.PublicKey
	}
	return o
}

// mailPushes is what pushers need to send mail; nil if they cannot.
func (s *Server) mailPushes(key ed25519.PrivateKey) *pusher.Mail {
	if s.mail == nil {
		return nil
	}
	return &pusher.Mail{
		Send: s.mail.Send, Server: s.cfg.ServerName, PublicURL: s.cfg.PublicBase(), Secret: derived(key, "unsubscribe"),
		Owns: func(ctx context.Context, user, address string) (bool, error) {
			owner, err := s.accounts.ByThreepid(ctx, "email", address)
			if err != nil && mxerr.From(err).Code == mxerr.NotFound {
				return false, nil
			}
			return string(owner) == user, err
		},
	}
}

// maySendLater keeps people who were restricted from saying what they had
// scheduled before. That they leave a call, which is in state named after them,
// is told all the same.
func (s *Server) maySendLater(ctx context.Context, user string, stateKey *string) error {
	if stateKey != nil && strings.Contains(*stateKey, user) {
		return nil
	}
	u, err := s.accounts.User(ctx, user)
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			err = nil // a user of an application service
		}
		return err
	}
	if u.Suspended || u.Locked || u.ShadowBanned {
		return mxerr.New(mxerr.UserSuspended, "The account was restricted before this was sent")
	}
	return nil
}

// derived is a secret for one use, which lasts as long as the server's key.
func derived(key ed25519.PrivateKey, use string) []byte {
	m := hmac.New(sha256.New, key.Seed())
	m.Write([]byte("hearth " + use))
	return m.Sum(nil)
}
