package fedapi

import (
	"net/http"

	"hearth/api/files"
	"hearth/api/httpx"
	"hearth/homeserver/media"
)

func (a *API) contentRepositoryRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /media/download/{mediaId}",
		In:      v1,
		Auth:    httpx.Peer,
		Limit:   "federation",
		Handler: http.HandlerFunc(a.getContent),
	}, {
		Pattern: "GET /media/thumbnail/{mediaId}",
		In:      v1,
		Auth:    httpx.Peer,
		Limit:   "federation",
		Handler: http.HandlerFunc(a.getContentThumbnail),
	}}
}

// wanted is the file that a request is about: one of this server's.
func (a *API) wanted(r *http.Request) (media.Want, error) {
	wait, err := files.Wait(r)
	return media.Want{Origin: string(a.Media.Server), ID: r.PathValue("mediaId"), Wait: wait}, err
}

// getContent: server-server-api/#get_matrixfederationv1mediadownloadmediaid
func (a *API) getContent(w http.ResponseWriter, r *http.Request) {
	want, err := a.wanted(r)
	var f *media.File
	if err == nil {
		f, err = a.Media.Open(r.Context(), want)
	}
	serve(w, r, f, err)
}

// getContentThumbnail: server-server-api/#get_matrixfederationv1mediathumbnailmediaid
func (a *API) getContentThumbnail(w http.ResponseWriter, r *http.Request) {
	size, err := files.Thumbnail(r)
	var want media.Want
	if err == nil {
		want, err = a.wanted(r)
	}
	var f *media.File
	if err == nil {
		f, err = a.Media.Thumbnail(r.Context(), want, size.Width, size.Height, size.Method, size.Motion)
	}
	serve(w, r, f, err)
}

// serve answers with a file.
func serve(w http.ResponseWriter, r *http.Request, f *media.File, err error) {
	if err == nil {
		defer f.Content.Close()
		err = httpx.Parts(w, files.Header(f.Type, f.Name), f.Size, f.Content)
	}
	if err != nil {
		httpx.Fail(w, r, err)
	}
}
