package adminapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

func (a *API) serverRoutes() []httpx.Route {
	admin := func(pattern string, h http.Handler) httpx.Route {
		return httpx.Route{Pattern: pattern, In: v1, Auth: httpx.Admin, Handler: h}
	}
	return []httpx.Route{
		admin("GET /background_updates/enabled", httpx.JSON(a.updatesEnabled)),
		admin("POST /background_updates/enabled", httpx.JSON(a.updatesEnabled)),
		admin("GET /background_updates/status", httpx.JSON(a.updatesStatus)),
		admin("POST /background_updates/start_job", httpx.JSON(a.startUpdate)),
		admin("GET /federation/destinations", httpx.JSON(a.destinations)),
		admin("GET /federation/destinations/{destination}", httpx.JSON(a.destination)),
		admin("GET /federation/destinations/{destination}/rooms", httpx.JSON(a.destination)),
		admin("POST /federation/destinations/{destination}/reset_connection", httpx.JSON(a.destination)),
	}
}

type updatesRes struct {
	Enabled bool `json:"enabled"`
}

// updatesEnabled: Hearth brings its tables up to date before it starts, so that
// no update is ever under way, and there is nothing to switch off.
func (a *API) updatesEnabled(context.Context, *http.Request, httpx.None) (updatesRes, error) {
	return updatesRes{Enabled: true}, nil
}

func (a *API) updatesStatus(context.Context, *http.Request, httpx.None) (map[string]any, error) {
	return map[string]any{"enabled": true, "current_updates": struct{}{}}, nil
}

func (a *API) startUpdate(context.Context, *http.Request, httpx.None) (httpx.None, error) {
	return httpx.None{}, bad("Invalid job_name")
}

type destinationsRes struct {
	Destinations []struct{} `json:"destinations"`
	Total        int        `json:"total"`
}

// destinations lists the servers that this one has talked to: none, as long as
// it does not federate.
func (a *API) destinations(context.Context, *http.Request, httpx.None) (destinationsRes, error) {
	return destinationsRes{Destinations: []struct{}{}}, nil
}

func (a *API) destination(context.Context, *http.Request, httpx.None) (httpx.None, error) {
	return httpx.None{}, mxerr.New(mxerr.NotFound, "Unknown destination")
}
