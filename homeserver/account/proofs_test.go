package account

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"hearth/base/db"
	"hearth/base/limit"
	"hearth/base/mail"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// box takes mail, until it is full.
type box struct {
	mails []mail.Message
	full  bool
}

func (b *box) Post(m mail.Message) error {
	if b.full {
		return mail.ErrFull
	}
	b.mails = append(b.mails, m)
	return nil
}

// opened is what the link of the last mail holds.
func (b *box) opened(t *testing.T) (ThreepidCreds, string) {
	t.Helper()
	link, err := url.Parse(regexp.MustCompile(`https://\S+`).FindString(b.mails[len(b.mails)-1].Text))
	if err != nil {
		t.Fatal(err)
	}
	q := link.Query()
	return ThreepidCreds{q.Get("sid"), q.Get("client_secret")}, q.Get("token")
}

func withBox(t *testing.T, change func(*Options), f func(t *testing.T, e *Engine, c *clock, b *box)) {
	var b *box
	each(t, func(o *Options) {
		b = &box{}
		o.Mail, o.PublicURL, o.Email = b, "https://example.test", "optional"
		if change != nil {
			change(o)
		}
	}, func(t *testing.T, e *Engine, c *clock) { f(t, e, c, b) })
}

func TestLinkGetsTooOld(t *testing.T) {
	withBox(t, nil, func(t *testing.T, e *Engine, c *clock, b *box) {
		ctx := t.Context()
		r := ProofRequest{Purpose: ToRegister, Address: "Alice@Example.org", ClientSecret: "s", Attempt: 1}
		must(e.RequestProof(ctx, r))
		creds, token := b.opened(t)
		c.pass(proofLife)
		_, err := e.ConfirmProof(ctx, creds, token)
		wantCode(t, err, mxerr.NotFound)

		must(e.RequestProof(ctx, r))
		creds, token = b.opened(t)
		if p := must(e.ConfirmProof(ctx, creds, token)); p.Address != "alice@example.org" {
			t.Errorf("the address is %q", p.Address)
		}
		auth := &Auth{Type: stageEmail, Creds: creds}
		c.pass(provedLife)
		_, err = e.Register(ctx, Registration{Username: "alice", Password: "x"}, auth, "")
		if q := challenged(t, err); q.Code != mxerr.Unauthorized {
			t.Errorf("a proof of yesterday: %+v", q)
		}
	})
}

// TestProofServesOnce, for one account and what it was made for.
func TestProofServesOnce(t *testing.T) {
	withBox(t, nil, func(t *testing.T, e *Engine, c *clock, b *box) {
		ctx := t.Context()
		must(e.RequestProof(ctx, ProofRequest{Purpose: ToRegister, Address: "alice@example.org", ClientSecret: "s", Attempt: 1}))
		creds, token := b.opened(t)
		for _, wrong := range []struct {
			creds ThreepidCreds
			token string
		}{{ThreepidCreds{creds.SID, "x"}, token}, {ThreepidCreds{"x", creds.ClientSecret}, token}, {creds, "x"}, {creds, ""}, {ThreepidCreds{}, token}} {
			_, err := e.ConfirmProof(ctx, wrong.creds, wrong.token)
			wantCode(t, err, mxerr.NotFound)
		}
		must(e.ConfirmProof(ctx, creds, token))
		auth := &Auth{Type: stageEmail, OldCreds: creds}
		g := must(e.Register(ctx, Registration{Username: "alice", Password: "x"}, auth, ""))
		if who := must(e.ByThreepid(ctx, "email", "ALICE@example.org")); who != g.User {
			t.Errorf("the address is %s's", who)
		}
		_, err := e.Register(ctx, Registration{Username: "eve", Password: "x"}, auth, "")
		if q := challenged(t, err); q.Code != mxerr.Unauthorized {
			t.Errorf("a second time: %+v", q)
		}
	})
}

// TestMailIsBounded: one address, all proofs, and the queue.
func TestMailIsBounded(t *testing.T) {
	limits := func(o *Options) { o.Limits = limit.New(limit.Default()) }
	withBox(t, limits, func(t *testing.T, e *Engine, c *clock, b *box) {
		ctx := t.Context()
		ask := func(address, secret string) error {
			_, err := e.RequestProof(ctx, ProofRequest{Purpose: ToRegister, Address: address, ClientSecret: secret, Attempt: 1})
			return err
		}
		var err error
		n := 0
		for ; err == nil && n < 100; n++ {
			err = ask("alice@example.org", fmt.Sprint(n))
		}
		if wantCode(t, err, mxerr.LimitExceeded); n < 3 || len(b.mails) != n-1 {
			t.Errorf("%d mails of %d", len(b.mails), n)
		}
		b.full = true
		wantCode(t, ask("bob@example.org", "s"), mxerr.LimitExceeded)
		b.full = false
		err = e.db.Write(ctx, func(tx *db.Tx) error {
			for i := range maxProofs {
				p := store.Proof{SID: fmt.Sprint("x", i), Address: fmt.Sprint(i), Token: []byte{}, Expires: c.now.Add(time.Minute).UnixMilli()}
				if err := store.SetProof(tx, p); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, ask("carol@example.org", "s"), mxerr.LimitExceeded)
		c.pass(time.Minute)
		if err := ask("carol@example.org", "s"); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

func TestAddressesAreBounded(t *testing.T) {
	withBox(t, nil, func(t *testing.T, e *Engine, c *clock, b *box) {
		ctx := t.Context()
		user := must(e.Create(ctx, NewUser{Localpart: "alice"}))
		many := make([]Threepid, maxThreepids)
		for i := range many {
			many[i] = Threepid{Medium: "email", Address: fmt.Sprintf("a%d@example.org", i)}
		}
		if err := e.SetThreepids(ctx, user, many); err != nil {
			t.Fatal(err)
		}
		wantCode(t, e.SetThreepids(ctx, user, append(many, Threepid{Medium: "email", Address: "b@example.org"})), mxerr.InvalidParam)
		err := e.db.Write(ctx, func(tx *db.Tx) error { return e.addThreepidTx(tx, string(user), "email", "b@example.org", 1) })
		wantCode(t, err, mxerr.Forbidden)
		wantCode(t, e.SetExternalIDs(ctx, user, make([]ExternalID, maxThreepids+1)), mxerr.InvalidParam)
	})
}

func TestCleanAddress(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"email", "Alice@Example.ORG"}:         "alice@example.org",
		{"email", "Alice <alice@example.org>"}: "",
		{"email", "alice"}:                     "",
		{"email", "a@b.c, d@e.f"}:              "",
		{"email", "a@b.c\r\nBcc: d@e.f"}:       "",
		{"email", ""}:                          "",
		{"msisdn", "+441632960000"}:            "441632960000",
		{"msisdn", "01632 960000"}:             "",
		{"msisdn", "12"}:                       "",
		{"pigeon", "coo"}:                      "",
	} {
		got, err := CleanAddress(in[0], in[1])
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%v: %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestCleanPhone(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"GB", "07700 900001"}:     "447700900001",
		{"gb", "+44 7700 900-001"}: "447700900001",
		{"US", "0044 7700 900001"}: "447700900001",
		{"US", "(202) 555-0123"}:   "12025550123",
		{"US", "1 202 555 0123"}:   "12025550123",
		{"IT", "06 1234 5678"}:     "390612345678",
		{"HU", "06 20 123 4567"}:   "36201234567",
		{"RU", "8 900 123-45-67"}:  "79001234567",
		{"DE", "030/901820"}:       "4930901820",
		{"XX", "0123"}:             "",
		{"44", "7700900001"}:       "",
		{"GB", "call me"}:          "",
		{"", "+12"}:                "",
	} {
		got, err := cleanPhone(in[0], in[1])
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%v: %q, %v, want %q", in, got, err, want)
		}
	}
	for i, w := range strings.Fields(callingCodes) {
		if isCode := strings.Trim(w, "0123456789") == ""; isCode != (i%2 == 1) || !isCode && len(w) != 2 {
			t.Fatalf("the table of countries has a fault at %q", w)
		}
	}
}

// TestCodeIsNotGuessed: after some wrong codes the right one is wrong, too.
func TestCodeIsNotGuessed(t *testing.T) {
	var p *phone
	each(t, func(o *Options) { p = &phone{}; o.SMS = p }, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		proof := must(e.RequestProof(ctx, ProofRequest{Purpose: ToAdd, Medium: "msisdn", Address: "+447700900001", ClientSecret: "s", Attempt: 1}))
		for range maxTries {
			_, err := e.ConfirmProof(ctx, ThreepidCreds{proof.SID, "s"}, "wrong")
			wantCode(t, err, mxerr.NotFound)
		}
		_, err := e.ConfirmProof(ctx, ThreepidCreds{proof.SID, "s"}, p.text[:6])
		wantCode(t, err, mxerr.NotFound)
	})
}

type phone struct{ text string }

func (p *phone) Post(_, text string) error {
	p.text = text
	return nil
}

// TestLoginTokenRunsOut after two minutes.
func TestLoginTokenRunsOut(t *testing.T) {
	each(t, nil, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		g := must(e.CreateAndLogin(ctx, NewUser{Localpart: "alice", Password: "x"}, "", "", false))
		s := must(e.Authenticate(ctx, g.AccessToken, Client{}))
		token, life, err := e.LoginToken(ctx, s, &Auth{Type: stagePassword, Password: "x"}, "")
		if err != nil || life != loginTokenLife {
			t.Fatal(life, err)
		}
		c.pass(life)
		_, err = e.LoginWithToken(ctx, token, "", "", false)
		wantCode(t, err, mxerr.Forbidden)
	})
}
