package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

func (a *Accounts) thirdPartyLookupRoutes() []httpx.Route {
	get := func(path, spec string, h http.Handler) httpx.Route {
		return httpx.Route{Pattern: "GET /thirdparty/" + path, Also: []string{"GET /_matrix/client/unstable/thirdparty/" + path}, Auth: httpx.User, Limit: "directory", Handler: h, Spec: spec}
	}
	return []httpx.Route{
		get("protocols", "getProtocols", httpx.JSON(a.getProtocols)),
		get("protocol/{protocol}", "getProtocolMetadata", httpx.JSON(a.getProtocolMetadata)),
		get("location/{protocol}", "queryLocationByProtocol", a.thirdParty("location")),
		get("user/{protocol}", "queryUserByProtocol", a.thirdParty("user")),
		get("location", "queryLocationByAlias", a.thirdParty("location")),
		get("user", "queryUserByID", a.thirdParty("user")),
	}
}

// getProtocols: client-server-api/#get_matrixclientv3thirdpartyprotocols
func (a *Accounts) getProtocols(ctx context.Context, _ *http.Request, _ httpx.None) (map[string]json.RawMessage, error) {
	return a.Services.Protocols(ctx, ""), nil
}

// getProtocolMetadata: client-server-api/#get_matrixclientv3thirdpartyprotocolprotocol
func (a *Accounts) getProtocolMetadata(ctx context.Context, r *http.Request, _ httpx.None) (json.RawMessage, error) {
	name := r.PathValue("protocol")
	p, ok := a.Services.Protocols(ctx, name)[name]
	if !ok {
		return nil, mxerr.New(mxerr.NotFound, "No bridge on this server knows the protocol %.64q", name)
	}
	return p, nil
}

// maxFields bounds what one can ask a bridge for.
const maxFields = 32

// thirdParty serves queryLocationByProtocol, queryUserByProtocol,
// queryLocationByAlias and queryUserByID: client-server-api/#third-party-lookups.
func (a *Accounts) thirdParty(what string) http.Handler {
	return httpx.JSON(func(ctx context.Context, r *http.Request, _ httpx.None) ([]json.RawMessage, error) {
		fields := r.URL.Query()
		fields.Del("access_token")
		if httpx.Service(ctx) != "" { // says for whom it asks
			for _, name := range []string{"user_id", "device_id", "org.matrix.msc3202.device_id"} {
				fields.Del(name)
			}
		}
		needed := map[string]string{"location": "alias", "user": "userid"}[what]
		switch {
		case r.PathValue("protocol") == "" && fields.Get(needed) == "":
			return nil, missing(needed)
		case len(fields) > maxFields:
			return nil, mxerr.New(mxerr.InvalidParam, "At most %d fields can be asked for", maxFields)
		}
		return a.Services.ThirdParty(ctx, what, r.PathValue("protocol"), fields), nil
	})
}
