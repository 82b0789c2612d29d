package adminapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
)

func (a *API) versionRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /server_version",
		In:      v1,
		Handler: httpx.JSON(a.serverVersion),
	}}
}

type versionRes struct {
	ServerVersion string `json:"server_version"`
}

func (a *API) serverVersion(context.Context, *http.Request, httpx.None) (versionRes, error) {
	return versionRes{a.Version}, nil
}
