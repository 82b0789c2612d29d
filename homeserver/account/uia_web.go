package account

import (
	"context"
	"slices"

	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// WebStage is a stage that somebody does in a browser, because their client does
// not know it (client-server-api/#fallback).
type WebStage struct {
	Stage    string
	Done     bool
	User     mxid.UserID // who authenticates, "" for a new user
	Policies []Policy    // to agree to
	Purpose  Purpose     // of a proof
}

// Stages are those that WebStage knows.
func Stages() []string {
	return []string{stageDummy, stagePassword, stageToken, stageTerms, stageEmail, stagePhone, stageCaptcha}
}

// Web returns a stage of an authentication under way. It is M_NOT_FOUND if there
// is no such session, or it does not ask for the stage.
func (e *Engine) Web(session, stage string) (WebStage, error) {
	s, ok := e.uia.take(session, e.Now())
	if !ok {
		return WebStage{}, errNoSession()
	}
	defer e.uia.keep(s, e.Now())
	if !asks(s.op.flows, stage) {
		return WebStage{}, errNoSession()
	}
	return WebStage{
		Stage: stage, Done: slices.Contains(s.completed, stage), User: s.op.user, Policies: e.Terms.Policies(), Purpose: s.op.proof,
	}, nil
}

func errNoSession() error {
	return mxerr.New(mxerr.NotFound, "This authentication session is unknown or too old: start again in your client")
}

// DoWeb tries a stage for a session. The client goes on with the session's id
// alone.
func (e *Engine) DoWeb(ctx context.Context, session string, auth *Auth, addr string) error {
	s, ok := e.uia.take(session, e.Now())
	if !ok {
		return errNoSession()
	}
	defer e.uia.keep(s, e.Now())
	op := s.op
	op.addr = addr
	return e.stage(ctx, op, s, auth)
}
