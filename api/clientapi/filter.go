package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
)

func (p *Personal) filterRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /user/{userId}/filter",
		Auth:    httpx.User,
		Limit:   "personal",
		Handler: rawBody(p.defineFilter),
		Spec:    "defineFilter",
	}, {
		Pattern: "GET /user/{userId}/filter/{filterId}",
		Auth:    httpx.User,
		Handler: httpx.JSON(p.getFilter),
		Spec:    "getFilter",
	}}
}

// defineFilter: client-server-api/#post_matrixclientv3useruseridfilter
func (p *Personal) defineFilter(ctx context.Context, r *http.Request, body json.RawMessage) (httpx.Raw, error) {
	user, err := self(ctx, r, "filters")
	if err != nil {
		return nil, err
	}
	id, err := p.Data.AddFilter(ctx, user, body)
	return httpx.Raw(`{"filter_id":"` + id + `"}`), err
}

// getFilter: client-server-api/#get_matrixclientv3useruseridfilterfilterid
func (p *Personal) getFilter(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	user, err := self(ctx, r, "filters")
	if err != nil {
		return nil, err
	}
	filter, err := p.Data.FilterJSON(ctx, user, r.PathValue("filterId"))
	return httpx.Raw(filter), err
}
