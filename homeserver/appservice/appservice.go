// Package appservice serves application services: bridges and bots that act for
// many users and are told what happens to them
// (application-service-api). It follows the stream of events behind their sending,
// each service at its own pace, and asks services about users and rooms that are
// not there yet. It knows no HTTP but its own requests.
package appservice

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/account"
	"hearth/homeserver/directory"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/presence"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/homeserver/typing"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Config is what an Engine works with.
type Config struct {
	DB            *db.DB
	Server        mxid.ServerName
	Registrations []*Registration
	Accounts      *account.Engine
	Rooms         *room.Engine
	Directory     *directory.Directory
	Typing        *typing.Engine
	Receipts      *receipt.Engine
	Presence      *presence.Engine
	Keys          *e2ee.Engine
	Log           *slog.Logger
	// AskTimeout is how long somebody waits who asked for a user or an alias; 0 for
	// 10 seconds.
	AskTimeout time.Duration
}

// Engine knows the services.
type Engine struct {
	Config
	client   *http.Client
	services []*Service

	stop context.CancelFunc
	done sync.WaitGroup
}

// Service is one application service.
type Service struct {
	*Registration
	e    *Engine
	wake chan struct{} // holds one token
	now  chan struct{} // ends a pause

	asking chan struct{} // bounds the questions under way
	legacy atomic.Int64  // ms; until then it is told by the paths of old
	mail   atomic.Int64  // messages to devices that were kept for it

	mu    sync.Mutex
	cares map[int64]care // by room
	fresh ephemeral
}

// New returns an Engine. It observes rooms, receipts and typing, so call New
// before the first request.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.AskTimeout == 0 {
		c.AskTimeout = 10 * time.Second
	}
	e := &Engine{Config: c, client: newClient()}
	for _, r := range c.Registrations {
		e.services = append(e.services, &Service{
			Registration: r, e: e, wake: make(chan struct{}, 1), now: make(chan struct{}, 1),
			asking: make(chan struct{}, maxAsking), cares: map[int64]care{},
		})
	}
	if len(e.services) == 0 {
		return e
	}
	c.Rooms.Observe(func(*room.Room, *room.Event) { e.signal() })
	c.Receipts.Observe(e.noteReceipt)
	c.Typing.Observe(e.noteTyping)
	c.Presence.Observe(e.notePresence)
	c.Directory.Observe(e.forget)
	return e
}

func (e *Engine) signal() {
	for _, s := range e.services {
		s.signal()
	}
}

func (s *Service) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Start makes the services' own users and begins to tell them what happens.
func (e *Engine) Start(ctx context.Context) {
	ctx, e.stop = context.WithCancel(ctx)
	now := e.DB.Position()
	for _, s := range e.services {
		if _, err := e.Accounts.Create(ctx, account.NewUser{Localpart: mxid.UserID(s.Sender).Localpart(), Kind: "bot", Service: true}); err != nil && mxerr.From(err).Code != mxerr.UserInUse {
			e.Log.ErrorContext(ctx, "the user of an application service could not be made", "id", s.ID, "user", s.Sender, "err", err)
		}
		if s.URL != "" {
			s.signal()
			contain.Work(ctx, &e.done, e.Log, "application service "+s.ID, func(ctx context.Context) { s.run(ctx, now) })
		}
	}
}

// Stop returns when nobody is told anything any more.
func (e *Engine) Stop() {
	if e.stop != nil {
		e.stop()
		e.done.Wait()
	}
	e.client.CloseIdleConnections()
}

// all is the services; a nil Engine has none.
func (e *Engine) all() []*Service {
	if e == nil {
		return nil
	}
	return e.services
}

// Any reports whether there are services at all.
func (e *Engine) Any() bool { return len(e.all()) > 0 }

// ByToken returns the service that has an as_token, or nil.
func (e *Engine) ByToken(token string) *Service {
	for _, s := range e.all() {
		if subtle.ConstantTimeCompare([]byte(s.ASToken), []byte(token)) == 1 {
			return s
		}
	}
	return nil
}

// ByID returns a service, or nil.
func (e *Engine) ByID(id string) *Service {
	for _, s := range e.all() {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// Owns reports whether a user is the service's own, or in one of its namespaces.
// Users of other servers never are.
func (s *Service) Owns(user string) bool {
	return user == s.Sender || within(s.Users, user) && mxid.ServerOf(user) == s.e.Server
}

func within(list []Namespace, id string) bool {
	return slices.ContainsFunc(list, func(n Namespace) bool { return n.Regex.MatchString(id) })
}

func exclusive(list []Namespace, id string) bool {
	return slices.ContainsFunc(list, func(n Namespace) bool { return n.Exclusive && n.Regex.MatchString(id) })
}

// ReservedUser reports whether only a service may register a user.
func (e *Engine) ReservedUser(user string) bool {
	return slices.ContainsFunc(e.all(), func(s *Service) bool { return user == s.Sender || exclusive(s.Users, user) })
}

// MayName refuses those who give a room an alias, or take it away, that is not
// theirs: one that another service has for itself, and for a service, one that is in
// none of its namespaces. by is the id of the service that asks, "" for people.
func (e *Engine) MayName(by, alias string) error {
	for _, s := range e.all() {
		switch {
		case s.ID == by && !within(s.Aliases, alias):
			return mxerr.New(mxerr.Exclusive, "%s is in no namespace of this application service", alias)
		case s.ID != by && exclusive(s.Aliases, alias):
			return mxerr.New(mxerr.Exclusive, "This alias is reserved for an application service")
		}
	}
	return nil
}

// Act returns the user that a service acts for: itself, or the one it names, by
// the device that it names. The errors are M_FORBIDDEN for users that are not its
// own, or do not exist, and M_UNKNOWN_DEVICE
// (application-service-api/#identity-assertion).
func (s *Service) Act(ctx context.Context, user, device string) (account.User, error) {
	switch {
	case user == "":
		user = s.Sender
	case !s.Owns(user):
		return account.User{}, mxerr.New(mxerr.Forbidden, "The application service may not act for %s", user)
	}
	u, err := s.e.Accounts.User(ctx, user)
	if err != nil && mxerr.From(err).Code != mxerr.NotFound {
		return account.User{}, err
	}
	if err != nil || u.Deactivated {
		return account.User{}, mxerr.New(mxerr.Forbidden, "The application service has not registered %s", user)
	}
	if device != "" {
		_, err := s.e.Accounts.Device(ctx, u.ID, device)
		if err != nil && mxerr.From(err).Code == mxerr.NotFound {
			err = mxerr.New(mxerr.UnknownDevice, "%s has no device of this id", user).WithStatus(http.StatusBadRequest)
		}
		return u, err
	}
	return u, nil
}

// Free reports whether the requests that a service makes for a user are not
// counted: never those of its own user, whatever the registration says
// (application-service-api/#registration).
func (s *Service) Free(user string) bool { return !s.Limited || user == s.Sender }

// NewLocalpart is Localpart for a user that the service is about to register, and
// that no other may have for itself.
func (s *Service) NewLocalpart(name string) (string, error) {
	name, err := s.Localpart(name)
	if err != nil {
		return "", err
	}
	user := string(mxid.NewUserID(name, s.e.Server))
	for _, other := range s.e.services {
		if other != s && (user == other.Sender || exclusive(other.Users, user)) {
			return "", mxerr.New(mxerr.Exclusive, "%s is reserved for another application service", user)
		}
	}
	return name, nil
}

// Localpart returns the user name in what a service wants to register or log in
// as: a user name or a user id. M_EXCLUSIVE if it is not its own.
func (s *Service) Localpart(name string) (string, error) {
	user := name
	if !strings.HasPrefix(name, "@") {
		user = "@" + name + ":" + string(s.e.Server)
	}
	if !s.Owns(user) {
		return "", mxerr.New(mxerr.Exclusive, "%s is in no namespace of this application service", user)
	}
	return mxid.UserID(user).Localpart(), nil
}

// Publish shows a room in the directory of one of the service's networks, or no
// longer (application-service-api/#put_matrixclientv3directorylistappservicenetworkidroomid).
func (s *Service) Publish(ctx context.Context, network, roomID string, listed bool) error {
	r, err := s.e.Rooms.Room(ctx, roomID)
	if err != nil {
		return err
	}
	return s.e.DB.Write(ctx, func(tx *db.Tx) error { return store.SetNetworkRoom(tx, s.ID, network, r.NID, listed) })
}
