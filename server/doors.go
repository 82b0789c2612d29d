package server

import (
	"io"
	"net/http"

	"hearth/api/adminapi"
	"hearth/api/clientapi"
	"hearth/api/fedapi"
	"hearth/api/httpx"
	"hearth/api/webui"
	"hearth/api/wellknown"
	"hearth/homeserver/media"
	"hearth/homeserver/rendezvous"
	"hearth/homeserver/spaces"
)

// buildDoors makes the router with every door.
func (s *Server) buildDoors() {
	accounts := &clientapi.Accounts{
		Engine: s.accounts, Services: s.services, TURNGuests: s.cfg.TURN.AllowGuests, DefaultRoomVersion: s.cfg.Rooms.DefaultVersion,
		Unstable: []string{
			clientapi.SlidingSync, "org.matrix.msc4222", "uk.timedout.msc4323", "org.matrix.msc3814.v1", "org.matrix.msc3814", "org.matrix.e2e_cross_signing",
			// What is stable for long, for clients that look for these names only.
			"org.matrix.msc2285.stable", "org.matrix.msc2432", "org.matrix.msc3440.stable", "org.matrix.msc3771", "org.matrix.msc3827.stable", "fi.mau.msc2659.stable",
			"org.matrix.msc3391", "org.matrix.msc3874", "org.matrix.msc3881", "org.matrix.msc3930", "org.matrix.msc4140", "org.matrix.msc4174", "org.matrix.msc4306", "org.matrix.msc4308", "org.matrix.msc4354", "uk.half-shot.msc2666.query_mutual_rooms", "uk.half-shot.msc2666.query_mutual_rooms.stable",
		},
	}
	accounts.WebPush = s.pusher.VAPID.Public()
	if s.turn != nil {
		plain, tls := turnHosts(s.cfg)
		accounts.TURN = relay{s.turn, plain, tls}
	}
	cfg := httpx.Config{Auth: accounts, Standing: clientapi.Standing, Service: accounts.Service, Proxies: s.cfg.Listen.TrustedProxies, Log: s.log}
	if s.limits != nil {
		cfg.Limits = s.limits
	}
	if s.peers != nil {
		cfg.Peers = s.peers
	}
	s.parking = httpx.NewParking()
	cfg.Parking = s.parking
	s.router = httpx.NewRouter(cfg)
	s.router.Add(accounts.Routes()...)
	s.router.Add(httpx.Route{Pattern: "GET /{$}", In: httpx.Root, Handler: webui.New(s.info())})
	s.router.Add(httpx.Route{Pattern: "GET /health", In: httpx.Root, Handler: http.HandlerFunc(health)})
	rooms := &clientapi.Rooms{
		Joined: s.followUpgrade,
		Engine: s.rooms, Directory: s.directory, Search: s.search, Hub: s.hub, Personal: s.personal, Presence: s.presence, Steward: s.steward, People: s.people, Notices: s.notices, Delayed: s.delayed, Services: s.services, Stopping: s.feed.Stopping(),
		Spaces: &spaces.Engine{DB: s.db, Rooms: s.rooms, Directory: s.directory, Blocked: s.steward.BlockedBy},
	}
	s.router.Add(rooms.Routes()...)
	s.router.Add((&clientapi.Reports{Notices: s.notices, Rooms: rooms, Accounts: s.accounts}).Routes()...)
	s.router.Add((&clientapi.Personal{
		Rooms: s.rooms, Typing: s.typing, Receipts: s.receipts, Data: s.personal, Presence: s.presence, Push: s.push, Pushers: s.pusher,
	}).Routes()...)
	s.router.Add((&clientapi.Sync{Watch: s.accounts.Watch, Feed: s.feed, Filters: s.personal, Presence: s.presence}).Routes()...)
	s.router.Add((&clientapi.Encryption{Keys: s.keys, Feed: s.feed, Accounts: s.accounts}).Routes()...)
	s.router.Add(s.mediaDoors().Routes()...)
	if s.peers != nil {
		s.router.Add((&fedapi.API{Media: s.media, Keys: s.peers.OwnKeys, Name: "Hearth", Version: Version()}).Routes()...)
	}
	s.router.Add((&adminapi.API{
		Media: s.media, Peers: s.peers, Pushers: s.pusher, Search: s.search, Spaces: rooms.Spaces, Unstable: accounts.Unstable, MediaOpen: s.cfg.Media.Unauthenticated,
		Engine: s.accounts, Rooms: s.rooms, Directory: s.directory, Steward: s.steward, Personal: s.personal, Keys: s.keys, Notices: s.notices, Version: Version(),
	}).Routes()...)
	known := &wellknown.API{BaseURL: s.cfg.Listen.PublicURL, Federates: s.peers != nil, Proxies: s.cfg.Listen.TrustedProxies, Support: wellknown.Support(s.cfg.Support)}
	s.router.Add(known.Routes()...)
	if s.cfg.Login.Rendezvous {
		s.router.Add((&clientapi.Rendezvous{Engine: rendezvous.New(rendezvous.MaxSessions), Base: known.Base}).Routes()...)
		accounts.Unstable = append(accounts.Unstable, "org.matrix.msc4108")
	}
}

// health answers whoever watches over the server, as Synapse does: who gets
// through to here gets through to everything.
func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, "OK")
}

func (s *Server) mediaDoors() *clientapi.Media {
	doors := &clientapi.Media{Engine: s.media, MaxUpload: s.cfg.Media.MaxUpload, Open: s.cfg.Media.Unauthenticated}
	if s.cfg.Media.URLPreviews {
		doors.Previews = media.NewPreviews(s.media, ranges(s.cfg.Media.PreviewAllowed), s.log)
	}
	return doors
}

// info is what the front page tells of the server.
func (s *Server) info() webui.Info {
	return webui.Info{
		ServerName: s.cfg.ServerName, Version: Version(),
		Registration: s.cfg.Registration.Mode, Guests: s.cfg.Registration.Guests, Calls: s.turn != nil, Trial: s.cfg.Trial, TrialDir: s.cfg.TrialDir,
	}
}
