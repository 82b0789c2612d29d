package clientapi

import (
	"context"
	"net/http"
	"strconv"

	"hearth/api/httpx"
)

func (a *Accounts) versionsRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /versions",
		In:      []string{"/_matrix/client"},
		Auth:    httpx.Anyone, // features are the same for everybody
		Handler: httpx.JSON(a.getVersions),
		Spec:    "getVersions",
	}}
}

// newest is the minor number of the newest version of the specification that
// this server speaks.
const newest = 19

type versionsRes struct {
	Versions         []string        `json:"versions"`
	UnstableFeatures map[string]bool `json:"unstable_features"`
}

// getVersions: client-server-api/#get_matrixclientversions
func (a *Accounts) getVersions(context.Context, *http.Request, httpx.None) (versionsRes, error) {
	res := versionsRes{
		// Old clients look for the last of the r0 series and for nothing else.
		Versions: []string{"r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1"},
		UnstableFeatures: map[string]bool{
			"uk.tcpip.msc4133":        true, // custom profile fields
			"uk.tcpip.msc4133.stable": true,
		},
	}
	for minor := 1; minor <= newest; minor++ {
		res.Versions = append(res.Versions, "v1."+strconv.Itoa(minor))
	}
	for _, f := range a.Unstable {
		res.UnstableFeatures[f] = true
	}
	return res, nil
}
