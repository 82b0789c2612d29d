// Package fedapi is the doors for other servers: /_matrix/federation and
// /_matrix/key. It does not know how servers find each other, nor how they sign.
package fedapi

import (
	"context"
	"net/http"
	"slices"

	"hearth/api/httpx"
	"hearth/homeserver/media"
)

// API are the doors for other servers.
type API struct {
	Media   *media.Engine
	Keys    func() ([]byte, error) // what the server tells of its keys
	Name    string                 // of this program
	Version string
}

// Where the doors are.
var (
	v1   = []string{"/_matrix/federation/v1"}
	keys = []string{"/_matrix/key/v2"}
)

// Routes are all routes for other servers.
func (a *API) Routes() []httpx.Route {
	return slices.Concat(a.contentRepositoryRoutes(), a.keysServerRoutes(), a.versionRoutes())
}

func (a *API) keysServerRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /server",
		In:      keys,
		Also:    []string{"GET /_matrix/key/v2/server/{keyId}"}, // as old servers ask
		Limit:   "federation",
		Handler: httpx.JSON(a.getServerKey),
	}}
}

// getServerKey: server-server-api/#get_matrixkeyv2server
func (a *API) getServerKey(context.Context, *http.Request, httpx.None) (httpx.Raw, error) {
	own, err := a.Keys()
	return httpx.Raw(own), err
}

func (a *API) versionRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /version",
		In:      v1,
		Limit:   "federation",
		Handler: httpx.JSON(a.getVersion),
	}}
}

type program struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type versionRes struct {
	Server program `json:"server"`
}

// getVersion: server-server-api/#get_matrixfederationv1version
func (a *API) getVersion(context.Context, *http.Request, httpx.None) (versionRes, error) {
	return versionRes{program{a.Name, a.Version}}, nil
}
