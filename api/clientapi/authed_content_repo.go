package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/media"
	"hearth/matrix/mxerr"
)

func (a *Media) authedContentRepoRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /download/{serverName}/{mediaId}",
		In:      authedMedia,
		Also:    []string{"GET /_matrix/client/unstable/org.matrix.msc3916/media/download/{serverName}/{mediaId}"},
		Auth:    httpx.Guest,
		Handler: http.HandlerFunc(a.getContent),
		Spec:    "getContentAuthed",
	}, {
		Pattern: "GET /download/{serverName}/{mediaId}/{fileName}",
		In:      authedMedia,
		Also:    []string{"GET /_matrix/client/unstable/org.matrix.msc3916/media/download/{serverName}/{mediaId}/{fileName}"},
		Auth:    httpx.Guest,
		Handler: http.HandlerFunc(a.getContent),
		Spec:    "getContentOverrideNameAuthed",
	}, {
		Pattern: "GET /thumbnail/{serverName}/{mediaId}",
		In:      authedMedia,
		Also:    []string{"GET /_matrix/client/unstable/org.matrix.msc3916/media/thumbnail/{serverName}/{mediaId}"},
		Auth:    httpx.Guest,
		Handler: http.HandlerFunc(a.getContentThumbnail),
		Spec:    "getContentThumbnailAuthed",
	}, {
		Pattern: "GET /config",
		In:      authedMedia,
		Also:    []string{"GET /_matrix/client/unstable/org.matrix.msc3916/media/config"},
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getConfig),
		Spec:    "getConfigAuthed",
	}, {
		Pattern: "GET /preview_url",
		In:      authedMedia,
		Also:    []string{"GET /_matrix/client/unstable/org.matrix.msc3916/media/preview_url"},
		Auth:    httpx.User,
		Limit:   "preview",
		Handler: httpx.JSON(a.getURLPreview),
		Spec:    "getUrlPreviewAuthed",
	}}
}

// getURLPreview: client-server-api/#get_matrixclientv1mediapreview_url, and where
// old clients look for it.
func (a *Media) getURLPreview(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	page := r.URL.Query().Get("url")
	switch {
	case page == "":
		return nil, missing("url")
	case a.Previews == nil:
		return nil, mxerr.New(mxerr.Forbidden, "This server does not look at web pages")
	}
	found, err := a.Previews.Look(ctx, page)
	return httpx.Raw(found), err
}

// getContent: client-server-api/#get_matrixclientv1mediadownloadservernamemediaid,
// with another file name, and without a token.
func (a *Media) getContent(w http.ResponseWriter, r *http.Request) {
	wait, err := fileWait(r)
	var f *media.File
	if err == nil {
		f, err = a.Engine.Open(r.Context(), r.PathValue("serverName"), r.PathValue("mediaId"), wait)
	}
	if err != nil {
		httpx.Fail(w, r, err)
		return
	}
	name := r.PathValue("fileName")
	if name == "" {
		name = f.Name
	}
	serve(w, r, f, name)
}

// maxThumbnail bounds what a client may ask for, in pixels.
const maxThumbnail = 1 << 16

// getContentThumbnail: client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid,
// and without a token.
func (a *Media) getContentThumbnail(w http.ResponseWriter, r *http.Request) {
	f, err := a.thumbnail(r)
	if err != nil {
		httpx.Fail(w, r, err)
		return
	}
	serve(w, r, f, f.Name)
}

func (a *Media) thumbnail(r *http.Request) (*media.File, error) {
	q := r.URL.Query()
	var sides [2]int
	for i, name := range []string{"width", "height"} {
		if q.Get(name) == "" {
			return nil, missing(name)
		}
		var err error
		if sides[i], err = httpx.IntQuery(r, name, 0, maxThumbnail); err != nil {
			return nil, err
		}
	}
	method := q.Get("method")
	switch method {
	case "":
		method = media.Scale
	case media.Crop, media.Scale:
	default:
		return nil, mxerr.New(mxerr.InvalidParam, "method must be crop or scale")
	}
	motion := media.Any
	if q.Get("animated") != "" {
		moving, err := httpx.BoolQuery(r, "animated", false)
		if err != nil {
			return nil, err
		}
		if motion = media.Still; moving {
			motion = media.Moving
		}
	}
	wait, err := fileWait(r)
	if err != nil {
		return nil, err
	}
	return a.Engine.Thumbnail(r.Context(), r.PathValue("serverName"), r.PathValue("mediaId"), sides[0], sides[1], method, motion, wait)
}
