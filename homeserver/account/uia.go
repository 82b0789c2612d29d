package account

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"hearth/base/captcha"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Auth is the "auth" object of a request under user-interactive authentication
// (client-server-api/#user-interactive-authentication-api).
type Auth struct {
	Type       string     `json:"type"`
	Session    string     `json:"session"`
	Password   string     `json:"password"` // m.login.password
	Identifier Identifier `json:"identifier"`
	User       string     `json:"user"`     // before Identifier
	Token      string     `json:"token"`    // m.login.registration_token
	Response   string     `json:"response"` // m.login.recaptcha

	Creds    ThreepidCreds `json:"threepid_creds"` // m.login.email.identity and m.login.msisdn
	OldCreds ThreepidCreds `json:"threepidCreds"`  // as old clients call it
}

// Challenge is the error that asks for more authentication. It is the body of a
// 401 answer. Code and Text are empty unless an attempt has failed: clients show
// them as a failure.
type Challenge struct {
	Session   string         `json:"session"`
	Flows     []Flow         `json:"flows"`
	Params    map[string]any `json:"params"`
	Completed []string       `json:"completed"`
	Code      mxerr.Code     `json:"errcode,omitempty"`
	Text      string         `json:"error,omitempty"`
}

// Flow is a list of stages that is enough.
type Flow struct {
	Stages []string `json:"stages"`
}

func (c *Challenge) Error() string {
	if c.Text != "" {
		return c.Text
	}
	return "more authentication is needed"
}

// The stages that this server knows.
const (
	stageDummy    = "m.login.dummy"
	stagePassword = "m.login.password"
	stageToken    = "m.login.registration_token"
	stageTerms    = "m.login.terms"
	stageEmail    = "m.login.email.identity"
	stagePhone    = "m.login.msisdn"
	stageCaptcha  = "m.login.recaptcha"
)

// operation is what somebody wants to do and must authenticate for.
type operation struct {
	name  string // of the operation and what it is done to: a session is good for one
	flows []Flow
	user  mxid.UserID // whose password it takes
	addr  string
	proof Purpose // for which a mail address must have been proved
	// request is kept while authentication is under way. Clients may leave it out
	// of later requests; then blank is true.
	request any
	blank   bool
}

// interaction is authentication under way.
type interaction struct {
	id        string
	op        operation
	request   any
	completed []string
	token     string      // the registration token that it keeps in reserve
	address   store.Proof // the mail address or phone number that was proved
	expires   time.Time
}

// interact returns once op is authenticated. Its result goes to finish when the
// operation is done. The error is *Challenge if there is something left to do.
func (e *Engine) interact(ctx context.Context, op operation, auth *Auth) (*interaction, error) {
	if auth == nil {
		auth = &Auth{}
	}
	s := &interaction{op: op, request: op.request}
	if auth.Session != "" {
		var ok bool
		if s, ok = e.uia.take(auth.Session, e.Now()); !ok {
			err := mxerr.New(mxerr.Unknown, "This authentication session is unknown or too old: start again")
			err.Status = 400
			return nil, err
		}
		if s.op.name != op.name {
			e.uia.keep(s, e.Now())
			return nil, mxerr.New(mxerr.Forbidden, "This authentication session was started for something else")
		}
		s.op = op
		if !op.blank {
			s.request = op.request
		}
	}
	var failure *mxerr.Error
	if auth.Type != "" {
		if err := e.stage(ctx, op, s, auth); err != nil {
			var isFailure bool
			if failure, isFailure = err.(*mxerr.Error); !isFailure || failure.Code == mxerr.LimitExceeded || errors.Is(err, errOtherUser) {
				e.uia.keep(s, e.Now())
				return nil, err
			}
		}
	}
	if s.complete() {
		return s, nil
	}
	e.uia.keep(s, e.Now())
	c := &Challenge{Session: s.id, Flows: op.flows, Params: map[string]any{}, Completed: append([]string{}, s.completed...)}
	if asks(op.flows, stageTerms) {
		c.Params[stageTerms] = e.Terms.params()
	}
	if asks(op.flows, stageCaptcha) {
		c.Params[stageCaptcha] = map[string]string{"public_key": e.CaptchaKey}
	}
	if failure != nil {
		c.Code, c.Text = failure.Code, failure.Text
	}
	return nil, c
}

func asks(flows []Flow, stage string) bool {
	return slices.ContainsFunc(flows, func(f Flow) bool { return slices.Contains(f.Stages, stage) })
}

func (s *interaction) complete() bool {
	return slices.ContainsFunc(s.op.flows, func(f Flow) bool { return slices.Equal(f.Stages, s.completed) })
}

// stage tries one stage and adds it to s.completed.
func (e *Engine) stage(ctx context.Context, op operation, s *interaction, auth *Auth) error {
	if slices.Contains(s.completed, auth.Type) {
		return nil // the client did not get the answer
	}
	next := append(slices.Clone(s.completed), auth.Type)
	if !slices.ContainsFunc(op.flows, func(f Flow) bool {
		return len(f.Stages) >= len(next) && slices.Equal(f.Stages[:len(next)], next)
	}) {
		return mxerr.New(mxerr.Unrecognized, "This kind of authentication is not asked for here")
	}
	var err error
	switch auth.Type {
	case stagePassword:
		err = e.passwordStage(ctx, op, auth)
	case stageToken:
		err = e.tokenStage(ctx, s, auth.Token)
	case stageEmail, stagePhone:
		err = e.proofStage(ctx, op, s, auth)
	case stageCaptcha:
		err = e.captchaStage(ctx, op, auth.Response)
	}
	if err == nil {
		s.completed = next
	}
	return err
}

// errOtherUser is no failed stage that can be tried again: somebody who is right
// about their own password wants to act for another.
var errOtherUser = mxerr.New(mxerr.Forbidden, "You must authenticate as the user who is logged in")

func (e *Engine) passwordStage(ctx context.Context, op operation, auth *Auth) error {
	name := auth.Identifier.User
	if auth.Identifier.Type == "m.id.thirdparty" {
		owner, err := e.ByThreepid(ctx, auth.Identifier.Medium, auth.Identifier.Address)
		if err != nil && !isNotFound(err) {
			return err
		}
		name = cmp.Or(string(owner), auth.Identifier.Address)
	}
	name = cmp.Or(name, auth.User)
	if name == "" {
		name = string(op.user)
	}
	u, err := e.find(ctx, name)
	if err == nil && u.ID != string(op.user) {
		return errOtherUser
	}
	if err != nil && !isNotFound(err) {
		return err
	}
	ok, err := e.checkPassword(ctx, u, name, auth.Password, op.addr)
	if err == nil && !ok {
		err = mxerr.New(mxerr.Forbidden, "Wrong password")
	}
	return err
}

func (e *Engine) proofStage(ctx context.Context, op operation, s *interaction, auth *Auth) error {
	creds := auth.Creds
	if creds == (ThreepidCreds{}) {
		creds = auth.OldCreds
	}
	proof, err := e.proved(ctx, creds, op.proof)
	if err == nil && (proof.Medium == "msisdn") != (auth.Type == stagePhone) {
		err = mxerr.New(mxerr.Unauthorized, "This is a proof of something else")
	}
	if err != nil {
		return err
	}
	if op.user != "" {
		owner, err := e.ByThreepid(ctx, proof.Medium, proof.Address)
		if err == nil && owner != op.user || isNotFound(err) {
			return errOtherUser
		}
		if err != nil {
			return err
		}
	}
	s.address = proof
	return nil
}

func (e *Engine) captchaStage(ctx context.Context, op operation, response string) error {
	err := e.Captcha.Check(ctx, response, op.addr)
	switch {
	case errors.Is(err, captcha.ErrWrong):
		return mxerr.New(mxerr.CaptchaInvalid, "The captcha has not been solved: try again")
	case err != nil:
		e.Log.Error("no captcha can be checked", "err", err)
		failed := mxerr.New(mxerr.Unknown, "The captcha cannot be checked now: try again later")
		failed.Status = 401
		return failed
	}
	return nil
}

// release puts a session back after its operation failed, so that the client
// can repeat it, for example with another user name.
func (e *Engine) release(s *interaction) { e.uia.keep(s, e.Now()) }

// interactions holds the sessions under way. One that is being worked on is
// taken out, so no session serves two requests at once.
type interactions struct {
	mu    sync.Mutex
	byID  map[string]*interaction
	order []string // oldest first; may name sessions that are gone
}

const (
	maxInteractions = 4096
	interactionLife = 15 * time.Minute
)

func newInteractions() *interactions { return &interactions{byID: map[string]*interaction{}} }

func (u *interactions) take(id string, now time.Time) (*interaction, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.expire(now)
	s, ok := u.byID[id]
	delete(u.byID, id)
	return s, ok
}

// keep stores a session, which gets an id and a time to live if it is new.
func (u *interactions) keep(s *interaction, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.expire(now)
	if s.id == "" {
		s.id, s.expires = mxid.RandomString(24), now.Add(interactionLife)
		u.order = append(u.order, s.id)
	}
	if now.Before(s.expires) {
		u.byID[s.id] = s
	}
}

// expire ends sessions that are too old, or the oldest if there are too many.
func (u *interactions) expire(now time.Time) {
	for len(u.order) > 0 {
		s, ok := u.byID[u.order[0]]
		if ok && now.Before(s.expires) && len(u.order) < maxInteractions {
			return
		}
		delete(u.byID, u.order[0])
		u.order = u.order[1:]
	}
}

// reserved counts the sessions that keep each registration token in reserve.
func (u *interactions) reserved(now time.Time) map[string]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.expire(now)
	n := map[string]int64{}
	for _, s := range u.byID {
		if s.token != "" {
			n[s.token]++
		}
	}
	return n
}
