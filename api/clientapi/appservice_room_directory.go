package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

func (a *Rooms) appserviceRoomDirectoryRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "PUT /directory/list/appservice/{networkId}/{roomId}",
		Auth:    httpx.User,
		Limit:   "directory",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.updateAppserviceRoomDirectoryVisibility),
		Spec:    "updateAppserviceRoomDirectoryVisibility",
	}}
}

// maxNetwork bounds the id of a network, in bytes.
const maxNetwork = 255

// updateAppserviceRoomDirectoryVisibility: application-service-api/#put_matrixclientv3directorylistappservicenetworkidroomid
func (a *Rooms) updateAppserviceRoomDirectoryVisibility(ctx context.Context, r *http.Request, req directoryVisibility) (empty, error) {
	s := a.Services.ByID(httpx.Who(ctx).Service)
	network := r.PathValue("networkId")
	switch {
	case s == nil:
		return empty{}, mxerr.New(mxerr.Forbidden, "Only application services may do this")
	case req.Visibility == "":
		return empty{}, missing("visibility")
	case req.Visibility != "public" && req.Visibility != "private":
		return empty{}, mxerr.New(mxerr.InvalidParam, "visibility must be public or private")
	case len(network) > maxNetwork:
		return empty{}, mxerr.New(mxerr.InvalidParam, "The id of a network has at most %d bytes", maxNetwork)
	}
	return empty{}, s.Publish(ctx, network, r.PathValue("roomId"), req.Visibility == "public")
}
