// Package files is what the doors to files share, those for clients and those for
// other servers: which small pictures are asked for, and how a file is described.
package files

import (
	"mime"
	"net/http"
	"path"
	"slices"
	"time"

	"hearth/api/httpx"
	"hearth/homeserver/media"
	"hearth/matrix/mxerr"
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

// Header describes a file as one that may be shown or must be stored (RFC 6266).
func Header(contentType, name string) map[string][]string {
	kind := "attachment"
	typ, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		contentType = "application/octet-stream"
	} else if slices.Contains(inline, typ) {
		kind = "inline"
	}
	return map[string][]string{"Content-Type": {contentType}, "Content-Disposition": {disposition(kind, name)}}
}

// disposition is a header with a file name.
func disposition(kind, name string) string {
	if name == "" {
		return kind
	}
	if v := mime.FormatMediaType(kind, map[string]string{"filename": path.Base(name)}); v != "" {
		return v
	}
	return kind
}

// Wait is how long a reader waits for a file that is to come, 20 seconds if
// the client does not say.
func Wait(r *http.Request) (time.Duration, error) {
	ms, err := httpx.IntQuery(r, "timeout_ms", 20_000, 60_000)
	return time.Duration(ms) * time.Millisecond, err
}

// maxThumbnail bounds what may be asked for, in pixels.
const maxThumbnail = 1 << 16

// Size is what a small picture should be like.
type Size struct {
	Width, Height int
	Method        string
	Motion        media.Motion
}

// Thumbnail reads which small picture is asked for (client-server-api/#thumbnails).
func Thumbnail(r *http.Request) (s Size, err error) {
	q := r.URL.Query()
	for name, side := range map[string]*int{"width": &s.Width, "height": &s.Height} {
		if q.Get(name) == "" {
			return s, mxerr.New(mxerr.MissingParam, "The field %q is missing", name)
		}
		if *side, err = httpx.IntQuery(r, name, 0, maxThumbnail); err != nil {
			return s, err
		}
	}
	switch s.Method = q.Get("method"); s.Method {
	case "":
		s.Method = media.Scale
	case media.Crop, media.Scale:
	default:
		return s, mxerr.New(mxerr.InvalidParam, "method must be crop or scale")
	}
	// "When not provided, the server SHOULD NOT return an animated thumbnail."
	moving, err := httpx.BoolQuery(r, "animated", false)
	if moving {
		s.Motion = media.Moving
	}
	return s, err
}
