// Package server builds a Hearth from its configuration, by hand and in reading
// order, and starts and stops it. It knows every part and does none of their
// work. Several servers may run in one process.
package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"hearth/api/httpx"
	"hearth/base/config"
	"hearth/base/db"
	"hearth/base/limit"
	"hearth/base/lockdir"
	"hearth/base/mail"
	"hearth/base/notify"
	"hearth/base/sms"
	"hearth/base/store"
	"hearth/calls/turn"
	"hearth/homeserver/account"
	"hearth/homeserver/appservice"
	"hearth/homeserver/delayed"
	"hearth/homeserver/directory"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/fedclient"
	"hearth/homeserver/feed"
	"hearth/homeserver/media"
	"hearth/homeserver/notice"
	"hearth/homeserver/people"
	"hearth/homeserver/personal"
	"hearth/homeserver/presence"
	"hearth/homeserver/push"
	"hearth/homeserver/pusher"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/homeserver/search"
	"hearth/homeserver/steward"
	"hearth/homeserver/sticky"
	"hearth/homeserver/typing"
	"hearth/matrix/mxid"
	"hearth/server/control"
)

// Server is one homeserver with its relay.
type Server struct {
	cfg *config.Config
	log *slog.Logger

	db        *db.DB
	hub       *notify.Hub
	accounts  *account.Engine
	mail      *mail.Mailer // nil for no mail
	sms       *sms.Gateway // nil for no text messages
	rooms     *room.Engine
	typing    *typing.Engine
	receipts  *receipt.Engine
	personal  *personal.Engine
	push      *push.Counter
	pusher    *pusher.Engine
	presence  *presence.Engine
	directory *directory.Directory
	search    *search.Engine
	steward   *steward.Steward
	people    *people.Directory
	notices   *notice.Engine
	delayed   *delayed.Engine
	services  *appservice.Engine
	keys      *e2ee.Engine
	media     *media.Engine
	peers     *fedclient.Client // nil for a server that speaks with no others
	sticky    *sticky.Engine
	feed      *feed.Feed
	turn      *turn.Server  // nil if calls are not relayed
	certs     *certs        // nil without TLS
	limits    *limit.Limits // nil if they are switched off
	router    *httpx.Router
	parking   *httpx.Parking
	owners    []owner

	listeners listeners
	stopOnce  sync.Once
}

// owner is an engine with work in the background.
type owner interface {
	Start(ctx context.Context)
	Stop()
}

// New assembles a server on the data of cfg. It does not listen yet, but its
// Admin works. It must be stopped also if it is never started.
func New(ctx context.Context, cfg *config.Config, log *slog.Logger) (*Server, error) {
	s := &Server{cfg: cfg, log: log}
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

func (s *Server) build(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(s.cfg.Storage.Dir, "keys"), 0o700); err != nil {
		return err
	}
	keyID, key, err := signingKey(filepath.Join(s.cfg.Storage.Dir, "keys", "signing.key"))
	if err != nil {
		return err
	}
	vapid, err := vapidKey(filepath.Join(s.cfg.Storage.Dir, "keys", "webpush.key"), "https://"+s.cfg.ServerName)
	if err != nil {
		return err
	}
	services, err := appservice.Load(s.cfg.AppServices.Files, mxid.ServerName(s.cfg.ServerName), s.log)
	if err != nil {
		return err
	}
	source, setting := s.cfg.Storage.Database, "storage.database"
	if source == "" {
		source, setting = filepath.Join(s.cfg.Storage.Dir, "hearth.db"), "storage.dir"
	}
	if s.db, err = store.Open(ctx, db.Options{Source: source, Log: s.log, Alone: true}); err != nil {
		return s.cfg.At(setting, err)
	}
	s.hub = notify.NewHub(s.db.Position())
	s.db.OnCommit(s.hub.Advance)

	if err := s.buildMail(); err != nil {
		return err
	}
	s.buildEngines(keyID, key, vapid, services)
	if err := s.buildFederation(keyID, key); err != nil {
		return err
	}
	if err := s.buildMedia(ctx); err != nil {
		return err
	}
	if err := s.buildTURN(key); err != nil {
		return err
	}
	s.buildDoors()
	return nil
}

func (s *Server) buildEngines(keyID string, key ed25519.PrivateKey, vapid *pusher.VAPID, services []*appservice.Registration) {
	name := mxid.ServerName(s.cfg.ServerName)
	if s.cfg.Limits.Enabled {
		s.limits = limit.New(limit.Default())
	}
	s.keys = e2ee.New(e2ee.Config{
		DB: s.db, Hub: s.hub, Server: name, Log: s.log,
		Copy:    func(tx *db.Tx, mail []store.DeviceMessage) error { return s.services.Copy(tx, mail) },
		Claimed: func(user, device string) { s.services.Claimed(user, device) },
	})
	s.accounts = account.New(s.db, s.accountOptions(key))
	s.rooms = room.New(room.Config{
		DB: s.db, Hub: s.hub, Server: name, KeyID: keyID, Key: key, Profiles: profiles{s.accounts}, Erased: s.accounts.Erased, Log: s.log,
		DefaultVersion: s.cfg.Rooms.DefaultVersion,
	})
	s.typing = typing.New(s.rooms, s.hub)
	s.receipts = receipt.New(s.db, s.rooms, s.hub)
	s.personal = personal.New(s.db, s.hub)
	s.push = push.New(push.Config{DB: s.db, Rooms: s.rooms, Receipts: s.receipts, Personal: s.personal, Hub: s.hub, Log: s.log})
	s.pusher = pusher.New(pusher.Config{
		DB: s.db, Rooms: s.rooms, Push: s.push, Receipts: s.receipts, Personal: s.personal,
		Allowed: ranges(s.cfg.Push.AllowedGateways), VAPID: vapid, Mail: s.mailPushes(key), Log: s.log,
	})
	s.presence = presence.New(presence.Config{DB: s.db, Rooms: s.rooms, Hub: s.hub, Enabled: s.cfg.Presence.Enabled, Log: s.log})
	s.directory = directory.New(directory.Config{DB: s.db, Rooms: s.rooms, Server: name})
	s.search = search.New(search.Config{DB: s.db, Server: name, Log: s.log})
	s.notices = notice.New(notice.Config{DB: s.db, Rooms: s.rooms, Personal: s.personal})
	s.delayed = delayed.New(delayed.Config{DB: s.db, Rooms: s.rooms, MaySend: s.maySendLater, Log: s.log})
	s.services = appservice.New(appservice.Config{
		DB: s.db, Server: name, Registrations: services, Accounts: s.accounts, Rooms: s.rooms, Directory: s.directory,
		Typing: s.typing, Receipts: s.receipts, Presence: s.presence, Keys: s.keys, Log: s.log,
	})
	s.people = people.New(people.Config{DB: s.db, Rooms: s.rooms})
	s.steward = steward.New(steward.Config{DB: s.db, Rooms: s.rooms, Directory: s.directory, Log: s.log})
	s.sticky = sticky.New(sticky.Config{DB: s.db, Rooms: s.rooms, Log: s.log})
	s.feed = feed.New(feed.Config{
		DB: s.db, Rooms: s.rooms, Hub: s.hub, Log: s.log, Push: s.push, Sticky: s.sticky,
		Typing: s.typing, Receipts: s.receipts, Personal: s.personal, Presence: s.presence, Keys: s.keys,
	})
	s.owners = []owner{s.accounts, s.push, s.presence, s.search, s.steward, s.pusher, s.delayed, s.sticky, s.services}
	if s.mail != nil {
		s.owners = append(s.owners, s.mail)
	}
	if s.sms != nil {
		s.owners = append(s.owners, s.sms)
	}
}

// Start listens and serves. When it returns without error, every listener is
// open.
func (s *Server) Start(ctx context.Context) error {
	for _, o := range s.owners {
		o.Start(context.WithoutCancel(ctx))
	}
	if err := s.listen(); err != nil {
		return err
	}
	if s.turn != nil {
		if err := s.turn.Start(); err != nil {
			key := s.turnKey(err)
			return s.cfg.At(key, lockdir.Explain(err, key))
		}
	}
	return nil
}

// Stop answers what is parked, finishes what is under way until ctx is over,
// and closes everything. It may be called at any time after New.
func (s *Server) Stop(ctx context.Context) error {
	var err error
	s.stopOnce.Do(func() {
		if s.feed != nil {
			s.feed.Stop()
		}
		if s.parking != nil {
			_ = s.parking.Close()
			s.parking.Wait(ctx)
		}
		err = s.listeners.stop(ctx)
		if s.turn != nil {
			err = errors.Join(err, s.turn.Stop(ctx))
		}
		if s.peers != nil {
			s.peers.Close()
		}
		for _, o := range s.owners {
			o.Stop()
		}
		if s.typing != nil {
			s.typing.Stop()
		}
		if s.db != nil {
			s.db.Close()
		}
	})
	return err
}

// Handler serves everything that the server's HTTP listeners serve, for tests
// in the same process.
func (s *Server) Handler() http.Handler { return s.router }

// Routes lists every route, for tests that run over all of them.
func (s *Server) Routes() []httpx.Route { return s.router.Routes() }

// Admin is what the operator's commands use.
func (s *Server) Admin() control.Admin { return operator{s.accounts} }

// BaseURL is where clients reach the server, as far as the configuration
// tells.
func (s *Server) BaseURL() string {
	if s.cfg.TLS.Mode == "files" {
		return "https://" + s.cfg.ServerName
	}
	return fmt.Sprintf("http://%s", s.Addr())
}
