// Package account knows who people are: their accounts, passwords, devices,
// access tokens and profiles, and how one gets an account.
//
// It knows no room and no HTTP. What must happen elsewhere when an account
// changes, such as leaving rooms, is told to the hooks in Options.
package account

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"hearth/auth/password"
	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/limit"
	"hearth/base/mail"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Mode says who may make an account.
type Mode string

// The modes, as they are written in the configuration.
const (
	Closed Mode = "closed" // nobody but the operator
	Token  Mode = "token"  // who has a registration token
	Open   Mode = "open"   // everybody
)

// Options are what an Engine needs besides its database.
type Options struct {
	ServerName mxid.ServerName
	Mode       Mode
	// OpenOnlyFrom narrows Open to some IP addresses; others need a registration
	// token. Nil means all addresses.
	OpenOnlyFrom func(addr string) bool
	// SharedSecret lets those who know it make accounts; "" means nobody.
	SharedSecret string
	Guests       bool
	// Exclusive reports whether an application service has claimed a localpart.
	// Nil means that nobody has.
	Exclusive func(localpart string) bool

	Log    *slog.Logger
	Hasher *password.Hasher // nil means one of the default cost
	Limits *limit.Limits    // nil means no limits
	Now    func() time.Time // nil means time.Now
	// TokenLife is how long access tokens live that can be refreshed. Others
	// live until logout: bots and scripts rely on it.
	TokenLife time.Duration

	// Mail proves mail addresses; nil if this server sends none. PublicURL is where
	// its links lead.
	Mail interface {
		Post(m mail.Message) error
	}
	// SMS sends a text to a phone number; nil if this server sends none.
	SMS interface {
		Post(to, text string) error
	}
	// Captcha tells people from robots; nil if this server asks nobody for that. Its
	// Check is captcha.Checker's. CaptchaKey is what clients need to show one.
	Captcha interface {
		Check(ctx context.Context, response, addr string) error
	}
	CaptchaKey string
	PublicURL  string
	Email      string // what registration makes of addresses: "off" or "", "optional", "required"
	Terms      Terms
	// Secret makes links to the page of terms that nobody else can make.
	Secret []byte

	// OnProfile is told of a change to somebody's profile, after it is stored.
	// value is nil for a field that was removed.
	OnProfile func(ctx context.Context, user mxid.UserID, field string, value json.RawMessage)
	// OnDeactivate takes a user out of all rooms. It is repeated at the next
	// start if it fails or the server dies meanwhile.
	OnDeactivate func(ctx context.Context, user mxid.UserID) error
	// OnSessionsEnd is told whose sessions may have ended or changed. It runs in the
	// store's writer.
	OnSessionsEnd func(user string)
	// OnErase forgets what else a user has kept here, in the transaction in which
	// the profile goes.
	OnErase func(tx *db.Tx, user string) error
	// DeviceRemoved forgets all of a device, in the transaction that removes it and
	// its tokens. DeviceRenamed is told of a device's new name, likewise.
	DeviceRemoved, DeviceRenamed func(tx *db.Tx, user, device string) error
}

// Engine is the accounts of one server.
type Engine struct {
	Options
	db       *db.DB
	sessions *sessions
	seen     *seen
	uia      *interactions
	nonces   *nonces

	bookmarks *bookmarks
	erased    erased

	stop context.CancelFunc
	done sync.WaitGroup
}

// New returns an Engine that works at once; Start gives it the goroutine that
// writes down when devices were last seen.
func New(d *db.DB, o Options) *Engine {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Hasher == nil {
		o.Hasher = password.New(password.Options{})
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Mode == "" {
		o.Mode = Closed
	}
	if o.TokenLife == 0 {
		o.TokenLife = 15 * time.Minute
	}
	if o.OnProfile == nil {
		o.OnProfile = func(context.Context, mxid.UserID, string, json.RawMessage) {}
	}
	if o.OnDeactivate == nil {
		o.OnDeactivate = func(context.Context, mxid.UserID) error { return nil }
	}
	if o.OnSessionsEnd == nil {
		o.OnSessionsEnd = func(string) {}
	}
	if o.OnErase == nil {
		o.OnErase = func(*db.Tx, string) error { return nil }
	}
	ignore := func(*db.Tx, string, string) error { return nil }
	if o.DeviceRemoved == nil {
		o.DeviceRemoved = ignore
	}
	if o.DeviceRenamed == nil {
		o.DeviceRenamed = ignore
	}
	return &Engine{Options: o, db: d, sessions: newSessions(), seen: newSeen(), uia: newInteractions(), nonces: newNonces(), bookmarks: newBookmarks()}
}

// Start begins the work in the background and finishes deactivations that were
// cut short. Stop ends it.
func (e *Engine) Start(ctx context.Context) {
	ctx, e.stop = context.WithCancel(ctx)
	contain.Work(ctx, &e.done, e.Log, "deactivations", e.finishDeactivations)
	contain.Work(ctx, &e.done, e.Log, "devices last seen", e.writeSeen)
}

// Stop writes what is not yet written and returns when nothing runs any more.
func (e *Engine) Stop() {
	if e.stop != nil {
		e.stop()
		e.done.Wait()
	}
}

// User is an account.
type User struct {
	ID          mxid.UserID
	Created     time.Time
	HasPassword bool
	Admin       bool
	Guest       bool
	Kind        string // "", "bot" or "support"
	Deactivated bool
	Erased      bool

	Suspended    bool
	Locked       bool
	ShadowBanned bool
	Consent      string // version of the terms that the user agreed to
	ConsentAt    time.Time
}

func userOf(u store.User) User {
	v := User{
		ID: mxid.UserID(u.ID), Created: time.UnixMilli(u.Created), HasPassword: u.Password != "",
		Admin: u.Admin, Guest: u.Guest, Kind: u.Kind, Deactivated: u.Deactivated, Erased: u.Erased,
		Suspended: u.Suspended, Locked: u.Locked, ShadowBanned: u.ShadowBanned, Consent: u.Consent,
	}
	if u.ConsentAt != 0 {
		v.ConsentAt = time.UnixMilli(u.ConsentAt)
	}
	return v
}

// User finds an account of this server by its id, or by its localpart in any
// case. The error is M_NOT_FOUND if there is none.
func (e *Engine) User(ctx context.Context, name string) (User, error) {
	u, err := e.find(ctx, name)
	return userOf(u), err
}

func (e *Engine) find(ctx context.Context, name string) (u store.User, err error) {
	err = e.db.Read(ctx, func(tx *db.Tx) error {
		u, err = e.findTx(tx, name)
		return err
	})
	return u, err
}

// findTx tries a name as it is before it tries it in lower case: accounts that
// were imported may have capitals.
func (e *Engine) findTx(tx *db.Tx, name string) (store.User, error) {
	local, isLocal := e.localpart(name)
	if !isLocal || !storable(local) {
		return store.User{}, errNoUser()
	}
	u, err := store.UserByID(tx, string(e.id(local)))
	if lower := strings.ToLower(local); err == db.ErrNoRow && lower != local {
		u, err = store.UserByID(tx, string(e.id(lower)))
	}
	if err == db.ErrNoRow {
		err = errNoUser()
	}
	return u, err
}

func (e *Engine) id(localpart string) mxid.UserID { return mxid.NewUserID(localpart, e.ServerName) }

// localpart takes a localpart or a user id, and reports whether it can be one
// of this server.
func (e *Engine) localpart(name string) (string, bool) {
	if !strings.HasPrefix(name, "@") {
		return name, name != ""
	}
	local, server, _ := strings.Cut(name[1:], ":")
	return local, server == string(e.ServerName)
}

func errNoUser() error { return mxerr.New(mxerr.NotFound, "User not found") }

// storable tells text that both databases can hold and compare.
func storable(s string) bool {
	return len(s) <= 4096 && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// short checks a text from a client that is to be stored.
func short(what, s string) error {
	if len(s) > 255 {
		return mxerr.New(mxerr.InvalidParam, "%s is longer than 255 bytes", what)
	}
	if !storable(s) {
		return mxerr.New(mxerr.InvalidParam, "%s has characters that are not allowed", what)
	}
	return nil
}

func (e *Engine) nowMS() int64 { return e.Now().UnixMilli() }
