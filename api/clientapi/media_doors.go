package clientapi

import (
	"errors"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

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

// inline are the types that a browser may show on the server's own origin
// (client-server-api/#serving-inline-content).
var inline = []string{
	"text/css", "text/plain", "text/csv", "application/json", "application/ld+json",
	"image/jpeg", "image/gif", "image/png", "image/apng", "image/webp", "image/avif",
	"video/mp4", "video/webm", "video/ogg", "video/quicktime",
	"audio/mp4", "audio/webm", "audio/aac", "audio/mpeg", "audio/ogg", "audio/wave", "audio/wav", "audio/x-wav", "audio/x-pn-wav",
	"audio/flac", "audio/x-flac",
}

// serve answers with a file.
func serve(w http.ResponseWriter, r *http.Request, f *media.File, name string) {
	defer f.Content.Close()
	typ, _, err := mime.ParseMediaType(f.Type)
	kind := "attachment"
	if err == nil && slices.Contains(inline, typ) {
		kind = "inline"
	}
	h := w.Header()
	h.Set("Content-Type", f.Type)
	if err != nil {
		h.Set("Content-Type", "application/octet-stream")
	}
	h.Set("Content-Disposition", disposition(kind, name))
	// Files are strangers' work: none may act in the server's name
	// (client-server-api/#content-repo-security).
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; object-src 'self';")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, max-age=86400, immutable")
	h.Set("ETag", `"`+f.Hash+`"`)
	httpx.File(w, r, f.Created, f.Size, f.Content)
}

// disposition is a header with a file name (RFC 6266).
func disposition(kind, name string) string {
	if name == "" {
		return kind
	}
	if v := mime.FormatMediaType(kind, map[string]string{"filename": path.Base(name)}); v != "" {
		return v
	}
	return kind
}

// fileWait is how long a reader waits for a file that is to come, 20 seconds if
// the client does not say.
func fileWait(r *http.Request) (time.Duration, error) {
	ms, err := httpx.IntQuery(r, "timeout_ms", 20_000, 60_000)
	return time.Duration(ms) * time.Millisecond, err
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
