package server

import (
	"hearth/api/clientapi"
	"hearth/api/httpx"
	"hearth/api/webui"
)

// buildDoors makes the router with every door.
func (s *Server) buildDoors() {
	accounts := &clientapi.Accounts{Engine: s.accounts, TURNGuests: s.cfg.TURN.AllowGuests}
	if s.turn != nil {
		accounts.TURN = relay{s.turn, s.turnHost()}
	}
	cfg := httpx.Config{Auth: accounts, Proxies: s.cfg.Listen.TrustedProxies, Log: s.log}
	if s.limits != nil {
		cfg.Limits = s.limits
	}
	s.router = httpx.NewRouter(cfg)
	s.router.Add(accounts.Routes()...)
	s.router.Add(httpx.Route{Pattern: "GET /{$}", In: httpx.Root, Handler: webui.New(s.info())})
	s.router.Add((&clientapi.Sync{Feed: s.feed, Filters: s.personal}).Routes()...)
}

// info is what the front page tells of the server.
func (s *Server) info() webui.Info {
	return webui.Info{
		ServerName: s.cfg.ServerName, Version: Version(),
		Registration: s.cfg.Registration.Mode, Guests: s.cfg.Registration.Guests, Calls: s.turn != nil,
	}
}
