// Package adminapi is the doors of the admin API under /_synapse/admin. Paths,
// fields and error texts are those of Synapse, because guides, scripts and
// admin tools know them.
//
// Doors decode, call an engine and encode. They know no SQL and hold no state.
package adminapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/homeserver/directory"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/fedclient"
	"hearth/homeserver/media"
	"hearth/homeserver/notice"
	"hearth/homeserver/personal"
	"hearth/homeserver/pusher"
	"hearth/homeserver/room"
	"hearth/homeserver/search"
	"hearth/homeserver/spaces"
	"hearth/homeserver/steward"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// API holds what the doors need.
type API struct {
	Engine    *account.Engine
	Rooms     *room.Engine
	Directory *directory.Directory
	Steward   *steward.Steward
	Personal  *personal.Engine
	Keys      *e2ee.Engine
	Notices   *notice.Engine
	Media     *media.Engine
	Pushers   *pusher.Engine
	Search    *search.Engine
	Spaces    *spaces.Engine
	Peers     *fedclient.Client // nil for a server that speaks with no others
	Version   string            // of this server
	Unstable  []string          // features that are not in the specification yet
	MediaOpen bool              // whether files can be had without an access token
}

var (
	v1 = []string{"/_synapse/admin/v1"}
	v2 = []string{"/_synapse/admin/v2"}
	v3 = []string{"/_synapse/admin/v3"}
)

// admin is a route for administrators only, as nearly all are here.
func admin(in []string, pattern string, h http.Handler) httpx.Route {
	return httpx.Route{Pattern: pattern, In: in, Auth: httpx.Admin, Handler: h}
}

// Routes are the routes of all files of this package.
func (a *API) Routes() []httpx.Route {
	var all []httpx.Route
	for _, file := range [][]httpx.Route{
		a.registerRoutes(), a.registrationTokenRoutes(), a.userListRoutes(), a.userRoutes(), a.accountRoutes(),
		a.deviceRoutes(), a.versionRoutes(), a.roomRoutes(), a.roomDeletionRoutes(), a.eventRoutes(), a.userDataRoutes(), a.serverRoutes(), a.destinationRoutes(), a.noticeRoutes(), a.standingRoutes(),
		a.mediaRoutes(), a.userMediaRoutes(), a.allowanceRoutes(), a.lookRoutes(),
	} {
		all = append(all, file...)
	}
	return all
}

// bad is Synapse's error for most bad requests: 400 with M_UNKNOWN.
func bad(text string) error {
	return &mxerr.Error{Code: mxerr.Unknown, Text: text, Status: http.StatusBadRequest}
}

// localUser reads a user id from the path, which must be one of this server's.
// Otherwise refusal is the error text.
func (a *API) localUser(r *http.Request, refusal string) (mxid.UserID, error) {
	user, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return "", err
	}
	if user.Server() != a.Engine.ServerName {
		return "", bad(refusal)
	}
	return user, nil
}

// fields is a body in which a field of the wrong type gets an error text of its
// own. A field that is null counts as absent.
type fields map[string]json.RawMessage

func (f fields) has(name string) bool {
	v, ok := f[name]
	return ok && string(v) != "null"
}

// read decodes a field into to if it is there, and reports whether it is of the
// right type.
func (f fields) read(name string, to any) bool {
	return !f.has(name) || json.Unmarshal(f[name], to) == nil
}

// storable tells text that both databases can hold and compare.
func storable(s string) bool {
	return len(s) <= 4096 && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// orNull is s, or null in JSON if it is empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
