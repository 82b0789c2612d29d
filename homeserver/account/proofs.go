package account

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"time"

	"hearth/base/db"
	"hearth/base/limit"
	"hearth/base/mail"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Purpose is what a mail address is proved for. A proof serves no other.
type Purpose string

// The purposes.
const (
	ToRegister      Purpose = "register"
	ToResetPassword Purpose = "password"
	ToAdd           Purpose = "add"
)

const (
	// proofLife is how long the link in a mail works.
	proofLife = time.Hour
	// provedLife is how long a client may take to use what was proved.
	provedLife = 24 * time.Hour
	// maxProofs bounds those that are under way: anybody may ask for one.
	maxProofs = 10_000
)

// ProofRequest asks for a mail with a link, or a text message with a code.
type ProofRequest struct {
	Purpose      Purpose
	Medium       string // "email" or "msisdn"; "" is "email"
	Address      string
	Country      string // from which a phone number is dialled ("GB")
	ClientSecret string
	Attempt      int64  // a repeated one sends nothing
	NextLink     string // where the browser goes when the address is proved; "" for nowhere
}

// ThreepidCreds name a proof (client-server-api/#email-based-identity--homeserver).
type ThreepidCreds struct {
	SID          string `json:"sid"`
	ClientSecret string `json:"client_secret"`
}

// opaque: appendices/#opaque-identifiers
var opaque = regexp.MustCompile(`^[0-9A-Za-z.=_-]{1,255}$`)

func (r *ProofRequest) clean() (err error) {
	if r.Medium == "" {
		r.Medium = "email"
	}
	if r.Medium == "msisdn" {
		r.Address, err = cleanPhone(r.Country, r.Address)
	} else {
		r.Address, err = CleanAddress(r.Medium, r.Address)
	}
	if err != nil {
		return err
	}
	if !opaque.MatchString(r.ClientSecret) {
		return mxerr.New(mxerr.InvalidParam, "client_secret has 1 to 255 characters of 0-9, a-z, A-Z and .=_-")
	}
	if r.NextLink != "" {
		u, err := url.Parse(r.NextLink)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || len(r.NextLink) > 2048 || !storable(r.NextLink) {
			return mxerr.New(mxerr.InvalidParam, "next_link must be the address of a web page")
		}
	}
	return nil
}

// RequestProof sends a mail with a link, or a text message with a code, by which
// the owner of an address proves it. Errors are M_THREEPID_MEDIUM_NOT_SUPPORTED,
// M_THREEPID_DENIED, M_THREEPID_IN_USE, M_INVALID_PARAM and M_LIMIT_EXCEEDED.
//
// Who asks is not told whether an account has the address: its owner is.
func (e *Engine) RequestProof(ctx context.Context, r ProofRequest) (p store.Proof, err error) {
	if r.Medium == "msisdn" && e.SMS == nil {
		return p, mxerr.New(mxerr.ThreepidNotSupported, "This server does not use phone numbers")
	}
	if r.Medium != "msisdn" && e.Mail == nil {
		return p, mxerr.New(mxerr.ThreepidNotSupported, "This server sends no mail")
	}
	if r.Purpose == ToRegister && (e.Mode == Closed || e.Email == "" || e.Email == "off" || r.Medium == "msisdn") {
		return p, mxerr.New(mxerr.ThreepidDenied, "This server does not register people by such an address")
	}
	if err := r.clean(); err != nil {
		return p, err
	}
	_, err = e.ByThreepid(ctx, r.Medium, r.Address)
	if err != nil && !isNotFound(err) {
		return p, err
	}
	taken := err == nil
	if taken && r.Purpose == ToAdd {
		return p, errThreepidInUse()
	}
	if retry, ok := e.Limits.Allow("mail_address", r.Address); !ok {
		return p, limit.Error(retry)
	}
	token, p, again, err := e.openProof(ctx, r)
	if err != nil || again {
		return p, err
	}
	if taken != (r.Purpose == ToResetPassword) {
		token = "" // there is nothing to prove
	}
	if r.Medium == "msisdn" {
		err = e.SMS.Post("+"+r.Address, e.proofText(token))
	} else {
		err = e.Mail.Post(e.proofMail(r, p.SID, token))
	}
	if err != nil {
		return p, limit.Error(time.Minute) // too much is waiting to be sent
	}
	return p, nil
}

// openProof stores what is to be proved, unless the client only repeats itself.
func (e *Engine) openProof(ctx context.Context, r ProofRequest) (token string, p store.Proof, again bool, err error) {
	token = mxid.RandomString(32)
	if r.Medium == "msisdn" {
		token = sixDigits()
	}
	fresh := mxid.RandomString(24)
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		now := e.Now()
		if err := store.ExpireProofs(tx, now.UnixMilli()); err != nil {
			return err
		}
		p, err = store.ProofOf(tx, string(r.Purpose), r.Medium, r.Address, r.ClientSecret)
		if err != nil && err != db.ErrNoRow {
			return err
		}
		if again = err == nil && r.Attempt <= p.Attempt; again {
			return nil
		}
		if err == db.ErrNoRow {
			n, err := store.CountProofs(tx)
			if err != nil {
				return err
			}
			if n >= maxProofs {
				return limit.Error(proofLife)
			}
			p = store.Proof{SID: fresh, Purpose: string(r.Purpose), Medium: r.Medium, Address: r.Address, Secret: r.ClientSecret}
		}
		p.Attempt, p.NextLink, p.Token = r.Attempt, r.NextLink, sum(token)
		p.Expires = max(p.Expires, now.Add(proofLife).UnixMilli())
		return store.SetProof(tx, p)
	})
	return token, p, again, err
}

// sixDigits is a code that people can type.
func sixDigits() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // the system has no randomness: nothing is safe any more
	}
	return fmt.Sprintf("%06d", n)
}

func (e *Engine) proofText(code string) string {
	if code == "" {
		return "No account on " + string(e.ServerName) + " has this number."
	}
	return code + " is your code for " + string(e.ServerName) + ". If you did not ask for it, do nothing."
}

func (e *Engine) proofMail(r ProofRequest, sid, token string) mail.Message {
	q := url.Values{"sid": {sid}, "client_secret": {r.ClientSecret}, "token": {token}}
	m := mail.Message{To: r.Address}
	switch {
	case token == "" && r.Purpose == ToRegister:
		m.Subject = "You have an account on " + string(e.ServerName)
		m.Text = "Somebody, hopefully you, wants to make an account on " + string(e.ServerName) + " with this mail address.\n\n" +
			"One has it already. If you have forgotten your password, ask your client for a new one.\n"
		return m
	case token == "":
		m.Subject = "You have no account on " + string(e.ServerName)
		m.Text = "Somebody, hopefully you, wants a new password for an account on " + string(e.ServerName) + " with this mail address.\n\n" +
			"No account has it. Perhaps it is another address.\n"
		return m
	}
	var what, path string
	switch r.Purpose {
	case ToRegister:
		m.Subject, path = "Make your account on "+string(e.ServerName), "registration"
		what = "Somebody, hopefully you, wants to make an account on " + string(e.ServerName) + " with this mail address."
	case ToResetPassword:
		m.Subject, path = "A new password for "+string(e.ServerName), "password_reset"
		what = "Somebody, hopefully you, wants to set a new password for your account on " + string(e.ServerName) + "."
	default:
		m.Subject, path = "Confirm your mail address for "+string(e.ServerName), "add_threepid"
		what = "Somebody, hopefully you, wants to add this mail address to an account on " + string(e.ServerName) + "."
	}
	m.Text = what + "\n\nIf it is you, open this page and confirm:\n\n" +
		e.PublicURL + "/_matrix/client/unstable/" + path + "/email/submit_token?" + q.Encode() +
		"\n\nThe link works for an hour. If it is not you, do nothing.\n"
	return m
}

// Proof is what somebody sees who has opened the link of a mail.
type Proof struct {
	Purpose  Purpose
	Address  string
	NextLink string
}

// OpenedProof finds what the link of a mail is about. It is M_NOT_FOUND if the
// link is wrong or too old.
func (e *Engine) OpenedProof(ctx context.Context, c ThreepidCreds, token string) (p Proof, err error) {
	err = e.db.Read(ctx, func(tx *db.Tx) error {
		row, err := e.proofTx(tx, c)
		if err == nil && !bytes.Equal(row.Token, sum(token)) {
			err = errNoProof()
		}
		p = Proof{Purpose(row.Purpose), row.Address, row.NextLink}
		return err
	})
	return p, err
}

// maxTries bounds how often a code can be guessed.
const maxTries = 5

// ConfirmProof notes that the owner of the address has confirmed it. It is
// M_NOT_FOUND for a wrong or old token.
func (e *Engine) ConfirmProof(ctx context.Context, c ThreepidCreds, token string) (p Proof, err error) {
	wrong := false
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		row, err := e.proofTx(tx, c)
		if err != nil {
			return err
		}
		now := e.Now()
		if wrong = row.Tries >= maxTries || !bytes.Equal(row.Token, sum(token)); wrong {
			row.Tries++
			return store.SetProof(tx, row)
		}
		p = Proof{Purpose(row.Purpose), row.Address, row.NextLink}
		row.Validated, row.Expires = now.UnixMilli(), now.Add(provedLife).UnixMilli()
		return store.SetProof(tx, row)
	})
	if err == nil && wrong {
		err = errNoProof()
	}
	return p, err
}

func (e *Engine) proofTx(tx *db.Tx, c ThreepidCreds) (store.Proof, error) {
	if !opaque.MatchString(c.SID) || !opaque.MatchString(c.ClientSecret) {
		return store.Proof{}, errNoProof()
	}
	row, err := store.ProofByID(tx, c.SID)
	if err == db.ErrNoRow || err == nil && (row.Expires <= e.nowMS() || subtle.ConstantTimeCompare([]byte(row.Secret), []byte(c.ClientSecret)) == 0) {
		err = errNoProof()
	}
	return row, err
}

func errNoProof() error { return mxerr.New(mxerr.NotFound, "This link is wrong or too old") }

// provedTx returns a proof that its owner has confirmed, or M_UNAUTHORIZED.
func (e *Engine) provedTx(tx *db.Tx, c ThreepidCreds, purpose Purpose) (store.Proof, error) {
	row, err := e.proofTx(tx, c)
	if isNotFound(err) || err == nil && (row.Validated == 0 || row.Purpose != string(purpose)) {
		err = mxerr.New(mxerr.Unauthorized, "The address has not been confirmed yet")
	}
	return row, err
}

func (e *Engine) proved(ctx context.Context, c ThreepidCreds, purpose Purpose) (row store.Proof, err error) {
	err = e.db.Read(ctx, func(tx *db.Tx) error {
		row, err = e.provedTx(tx, c, purpose)
		return err
	})
	return row, err
}

// AddThreepid gives an address that was proved to the owner of a session, who
// authenticates: whoever has the address can get a new password. The error may be
// *Challenge.
func (e *Engine) AddThreepid(ctx context.Context, s *Session, c ThreepidCreds, auth *Auth, addr string) error {
	err := e.confirm(ctx, s, "add threepid "+c.SID, auth, addr)
	if err != nil {
		return err
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		row, err := e.provedTx(tx, c, ToAdd)
		if err != nil {
			return mxerr.New(mxerr.ThreepidAuthFailed, "The address has not been confirmed yet")
		}
		if err := e.addThreepidTx(tx, string(s.User), row.Medium, row.Address, row.Validated); err != nil {
			return err
		}
		return store.DeleteProof(tx, row.SID)
	})
}
