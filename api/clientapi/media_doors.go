package clientapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"hearth/api/files"
	"hearth/api/httpx"
	"hearth/homeserver/media"
	"hearth/matrix/mxerr"
)

// Media are the doors to files.
type Media struct {
	Engine    *media.Engine
	Previews  *media.Previews // nil for none
	MaxUpload int64           // bytes
	// Open says whether files can be had without an access token, as old clients
	// expect.
	Open bool
}

// Routes are the routes of all files of Media.
func (a *Media) Routes() []httpx.Route {
	return slices.Concat(a.contentRepoRoutes(), a.authedContentRepoRoutes())
}

// Where the old media API is served, and the one that asks who is there.
var (
	oldMedia    = []string{"/_matrix/media/v3", "/_matrix/media/r0", "/_matrix/media/v1"}
	createMedia = []string{"/_matrix/media/v1"}
	authedMedia = []string{"/_matrix/client/v1/media"}
)

// serve answers with a file.
func serve(w http.ResponseWriter, r *http.Request, f *media.File, name string) {
	defer f.Content.Close()
	h := w.Header()
	for key, value := range files.Header(f.Type, name) {
		h[key] = value
	}
	// Files are strangers' work: none may act in the server's name
	// (client-server-api/#content-repo-security).
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; object-src 'self';")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, max-age=86400, immutable")
	h.Set("ETag", `"`+f.Hash+`"`)
	httpx.File(w, r, f.Created, f.Size, f.Content)
}

// wanted is the file that a request is about. It is fetched from another server
// unless the client wants that not.
func wanted(r *http.Request) (media.Want, error) {
	w := media.Want{Origin: r.PathValue("serverName"), ID: r.PathValue("mediaId")}
	remote, err := httpx.BoolQuery(r, "allow_remote", true)
	if err != nil {
		return w, err
	}
	if remote {
		w.Fetch = func() error { return httpx.Take(r.Context(), "remote_media") }
	}
	w.Wait, err = files.Wait(r)
	return w, err
}

// uploadError tells a body that is too large from other failures.
func uploadError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return mxerr.New(mxerr.TooLarge, "The file is larger than this server takes")
	}
	return err
}

// mediaUpload is the file of a request.
func mediaUpload(r *http.Request) media.Upload {
	typ := r.Header.Get("Content-Type")
	if typ == "" {
		typ = "application/octet-stream"
	}
	return media.Upload{
		User: httpx.Who(r.Context()).User, Type: typ, Name: strings.ToValidUTF8(r.URL.Query().Get("filename"), "?"), Content: r.Body,
	}
}
