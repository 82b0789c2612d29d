package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

func (a *Media) contentRepoRoutes() []httpx.Route {
	routes := []httpx.Route{{
		Pattern: "POST /upload",
		In:      oldMedia,
		Auth:    httpx.User,
		Limit:   "upload",
		MaxBody: a.MaxUpload,
		Handler: http.HandlerFunc(a.uploadContent),
		Spec:    "uploadContent",
	}, {
		Pattern: "PUT /upload/{serverName}/{mediaId}",
		In:      oldMedia,
		Auth:    httpx.User,
		Limit:   "upload",
		MaxBody: a.MaxUpload,
		Handler: http.HandlerFunc(a.uploadContentToMXC),
		Spec:    "uploadContentToMXC",
	}, {
		Pattern: "POST /create",
		In:      createMedia,
		Auth:    httpx.User,
		Limit:   "upload",
		Handler: httpx.JSON(a.createContent),
		Spec:    "createContent",
	}, {
		Pattern: "GET /config",
		In:      oldMedia,
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getConfig),
		Spec:    "getConfig",
	}, {
		Pattern: "GET /preview_url",
		In:      oldMedia,
		Auth:    httpx.User,
		Limit:   "preview",
		Handler: httpx.JSON(a.getURLPreview),
		Spec:    "getUrlPreview",
	}}
	for _, open := range []httpx.Route{
		{Pattern: "GET /download/{serverName}/{mediaId}", Handler: http.HandlerFunc(a.getContent), Spec: "getContent"},
		{Pattern: "GET /download/{serverName}/{mediaId}/{fileName}", Handler: http.HandlerFunc(a.getContent), Spec: "getContentOverrideName"},
		{Pattern: "GET /thumbnail/{serverName}/{mediaId}", Handler: http.HandlerFunc(a.getContentThumbnail), Spec: "getContentThumbnail"},
	} {
		open.In = oldMedia
		if !a.Open {
			// Who asks without a token is told that there is nothing
			// (client-server-api/#content-repo-client-behaviour).
			open.Handler = http.HandlerFunc(notOpen)
		}
		routes = append(routes, open)
	}
	return routes
}

func notOpen(w http.ResponseWriter, r *http.Request) {
	httpx.Fail(w, r, mxerr.New(mxerr.NotFound, "This server shows files to people who are logged in only: use /_matrix/client/v1/media"))
}

type contentURI struct {
	URI string `json:"content_uri"`
}

func (a *Media) uri(id string) string { return "mxc://" + string(a.Engine.Server) + "/" + id }

// uploadContent: client-server-api/#post_matrixmediav3upload
func (a *Media) uploadContent(w http.ResponseWriter, r *http.Request) {
	id, err := a.Engine.Add(r.Context(), mediaUpload(r))
	if err != nil {
		httpx.Fail(w, r, uploadError(err))
		return
	}
	httpx.Answer(w, r, http.StatusOK, contentURI{a.uri(id)})
}

// uploadContentToMXC: client-server-api/#put_matrixmediav3uploadservernamemediaid
func (a *Media) uploadContentToMXC(w http.ResponseWriter, r *http.Request) {
	if err := a.Engine.AddTo(r.Context(), r.PathValue("serverName"), r.PathValue("mediaId"), mediaUpload(r)); err != nil {
		httpx.Fail(w, r, uploadError(err))
		return
	}
	httpx.Answer(w, r, http.StatusOK, empty{})
}

type createContentRes struct {
	contentURI
	Expires int64 `json:"unused_expires_at"` // ms
}

// createContent: client-server-api/#post_matrixmediav1create
func (a *Media) createContent(ctx context.Context, _ *http.Request, _ httpx.None) (createContentRes, error) {
	id, expires, err := a.Engine.Create(ctx, httpx.Who(ctx).User)
	return createContentRes{contentURI{a.uri(id)}, expires.UnixMilli()}, err
}

type mediaConfig struct {
	UploadSize int64 `json:"m.upload.size"` // bytes
}

// getConfig: client-server-api/#get_matrixmediav3config
func (a *Media) getConfig(context.Context, *http.Request, httpx.None) (mediaConfig, error) {
	return mediaConfig{a.MaxUpload}, nil
}
