// Package rendezvous is where two devices meet of which one signs the other in
// by a QR code (MSC4108, MSC4388): a place with a name that nobody can guess and
// one short text, which either of them reads and replaces. What they say to each
// other is encrypted, and nothing of it is kept on disk.
package rendezvous

import (
	"errors"
	"slices"
	"sync"
	"time"

	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

const (
	// MaxData bounds the text of a session, in bytes.
	MaxData = 4096
	// MaxSessions bounds the sessions of all people together, and so memory to
	// some megabytes.
	MaxSessions = 1000
	// Life is how long a session lasts, which must be enough for a second factor.
	Life = 5 * time.Minute
)

// ErrConflict means that the text is not the one that the writer has seen.
var ErrConflict = errors.New("the session has been written to by somebody else")

// Session is one meeting.
type Session struct {
	ID       string
	Data     string
	Token    string // another one after each write
	Modified time.Time
	Expires  time.Time
}

// Engine keeps sessions.
type Engine struct {
	max int

	mu       sync.Mutex
	sessions map[string]*Session
	order    []string // by Expires
}

// New returns an Engine for at most so many sessions at a time.
func New(maxSessions int) *Engine {
	return &Engine{max: maxSessions, sessions: map[string]*Session{}}
}

// Create begins a session. If there are too many it fails with M_LIMIT_EXCEEDED:
// to end somebody else's instead would let strangers end them all.
func (e *Engine) Create(data string) (Session, error) {
	if err := fits(data); err != nil {
		return Session{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	e.expire(now)
	if len(e.order) >= e.max {
		full := mxerr.New(mxerr.LimitExceeded, "Too many people sign in by QR code just now")
		full.Fields = map[string]any{"retry_after_ms": max(e.sessions[e.order[0]].Expires.Sub(now).Milliseconds(), 1)}
		return Session{}, full
	}
	s := &Session{ID: mxid.RandomString(32), Data: data, Token: mxid.RandomString(20), Modified: now, Expires: now.Add(Life)}
	e.sessions[s.ID] = s
	e.order = append(e.order, s.ID)
	return *s, nil
}

// Get returns a session, or M_NOT_FOUND.
func (e *Engine) Get(id string) (Session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.find(id)
	if err != nil {
		return Session{}, err
	}
	return *s, nil
}

// Put replaces the text of a session for somebody who has seen that of token,
// and returns the new session. For all others it fails with ErrConflict and
// returns the session as it is.
func (e *Engine) Put(id, token, data string) (Session, error) {
	if err := fits(data); err != nil {
		return Session{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.find(id)
	if err != nil {
		return Session{}, err
	}
	if s.Token != token {
		return *s, ErrConflict
	}
	s.Data, s.Token, s.Modified = data, mxid.RandomString(20), time.Now()
	return *s, nil
}

// Delete ends a session.
func (e *Engine) Delete(id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.find(id); err != nil {
		return err
	}
	delete(e.sessions, id)
	e.order = slices.DeleteFunc(e.order, func(other string) bool { return other == id })
	return nil
}

func (e *Engine) find(id string) (*Session, error) {
	e.expire(time.Now())
	s := e.sessions[id]
	if s == nil {
		return nil, mxerr.New(mxerr.NotFound, "There is no such session, or it is over")
	}
	return s, nil
}

func (e *Engine) expire(now time.Time) {
	for len(e.order) > 0 && !now.Before(e.sessions[e.order[0]].Expires) {
		delete(e.sessions, e.order[0])
		e.order = e.order[1:]
	}
}

func fits(data string) error {
	if len(data) > MaxData {
		return mxerr.New(mxerr.TooLarge, "The text is longer than %d bytes", MaxData)
	}
	return nil
}
