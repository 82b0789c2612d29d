package clientapi

import (
	"context"
	"net/http"

	"hearth/api/files"
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
	want, err := wanted(r)
	var f *media.File
	if err == nil {
		f, err = a.Engine.Open(r.Context(), want)
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
	size, err := files.Thumbnail(r)
	if err != nil {
		return nil, err
	}
	want, err := wanted(r)
	if err != nil {
		return nil, err
	}
	return a.Engine.Thumbnail(r.Context(), want, size.Width, size.Height, size.Method, size.Motion)
}
