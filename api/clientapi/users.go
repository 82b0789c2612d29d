package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/people"
	"hearth/matrix/mxerr"
)

func (a *Rooms) usersRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /user_directory/search",
		Auth:    httpx.User,
		Limit:   "directory",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.searchUserDirectory),
		Spec:    "searchUserDirectory",
	}}
}

type userSearchReq struct {
	Term  *string `json:"search_term"`
	Limit *int64  `json:"limit"`
}

type userSearchRes struct {
	Limited bool           `json:"limited"`
	Results []people.Found `json:"results"`
}

// maxPeople bounds the people in one answer.
const maxPeople = 50

// searchUserDirectory: client-server-api/#post_matrixclientv3user_directorysearch
func (a *Rooms) searchUserDirectory(ctx context.Context, _ *http.Request, req userSearchReq) (userSearchRes, error) {
	if req.Term == nil {
		return userSearchRes{}, missing("search_term")
	}
	limit := int64(10)
	if req.Limit != nil {
		limit = *req.Limit
	}
	if limit < 0 {
		return userSearchRes{}, mxerr.New(mxerr.InvalidParam, "limit must be 0 or more")
	}
	found, more, err := a.People.Search(ctx, httpx.Who(ctx).User, *req.Term, int(min(limit, maxPeople)))
	if found == nil {
		found = []people.Found{}
	}
	return userSearchRes{more, found}, err
}
