package adminapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *API) serverRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /background_updates/enabled", httpx.JSON(a.updatesEnabled)),
		admin(v1, "POST /background_updates/enabled", httpx.JSON(a.updatesEnabled)),
		admin(v1, "GET /background_updates/status", httpx.JSON(a.updatesStatus)),
		admin(v1, "POST /background_updates/start_job", httpx.JSON(a.startUpdate)),
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
