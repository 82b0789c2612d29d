package adminapi

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/media"
	"hearth/matrix/mxerr"
)

func (a *API) userMediaRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /users/{userId}/media", httpx.JSON(a.userMedia)),
		admin(v1, "DELETE /users/{userId}/media", httpx.JSON(a.deleteUserMedia)),
		admin(v1, "GET /statistics/users/media", httpx.JSON(a.mediaStatistics)),
	}
}

type userFile struct {
	CreatedTS     int64   `json:"created_ts"`     // ms
	LastAccessTS  *int64  `json:"last_access_ts"` // ms
	MediaID       string  `json:"media_id"`
	Length        int64   `json:"media_length"` // bytes
	Type          string  `json:"media_type"`
	QuarantinedBy *string `json:"quarantined_by"`
	Safe          bool    `json:"safe_from_quarantine"`
	UploadName    *string `json:"upload_name"`
}

type userMediaRes struct {
	Media     []userFile `json:"media"`
	NextToken *int       `json:"next_token,omitempty"`
	Total     int64      `json:"total"`
}

// mediaPageOf is a user's files in an order that uploads do not disturb.
func mediaPageOf(user string, limit int) store.MediaPage {
	return store.MediaPage{User: user, OrderBy: "created_ts", Limit: limit}
}

// mediaPage reads which of a user's files are asked for: the newest first, unless
// the request says something about the order.
func (a *API) mediaPage(ctx context.Context, r *http.Request) (p store.MediaPage, err error) {
	user, err := a.knownUser(ctx, r)
	if err != nil {
		return p, err
	}
	p = mediaPageOf(string(user), 0)
	q := r.URL.Query()
	p.Descending = q.Get("order_by") == "" && q.Get("dir") == ""
	if order := q.Get("order_by"); order != "" {
		p.OrderBy = order
	}
	if store.MediaOrders[p.OrderBy] == "" {
		return p, mxerr.New(mxerr.InvalidParam, "Query parameter 'order_by' must be one of %q", slices.Sorted(maps.Keys(store.MediaOrders)))
	}
	if err := direction(r, &p.Descending); err != nil {
		return p, err
	}
	if p.From, err = httpx.IntQuery(r, "from", 0, 1<<30); err == nil {
		p.Limit, err = httpx.IntQuery(r, "limit", 100, 1000)
	}
	return p, err
}

// direction reads dir.
func direction(r *http.Request, descending *bool) error {
	switch r.URL.Query().Get("dir") {
	case "":
	case "f":
		*descending = false
	case "b":
		*descending = true
	default:
		return mxerr.New(mxerr.InvalidParam, "Query parameter 'dir' must be one of ['b', 'f']")
	}
	return nil
}

func (a *API) userMedia(ctx context.Context, r *http.Request, _ httpx.None) (userMediaRes, error) {
	p, err := a.mediaPage(ctx, r)
	if err != nil {
		return userMediaRes{}, err
	}
	files, total, err := a.Media.OfUser(ctx, p)
	res := userMediaRes{Media: []userFile{}, Total: total, NextToken: nextOf(p.From, p.Limit, total)}
	for _, m := range files {
		res.Media = append(res.Media, userFileOf(m))
	}
	return res, err
}

func userFileOf(m media.Info) userFile {
	return userFile{m.Created, &m.Used, m.ID, m.Size, m.Type, orNull(m.QuarantinedBy), m.Protected, orNull(m.Name)}
}

// nextOf is where the page behind this one starts, nil if there is none.
func nextOf(from, limit int, total int64) *int {
	if next := from + limit; limit > 0 && int64(next) < total {
		return &next
	}
	return nil
}

// deleteUserMedia removes a page of a user's files.
func (a *API) deleteUserMedia(ctx context.Context, r *http.Request, _ httpx.None) (deletedMediaRes, error) {
	p, err := a.mediaPage(ctx, r)
	if err != nil {
		return deletedMediaRes{}, err
	}
	files, _, err := a.Media.OfUser(ctx, p)
	if err != nil {
		return deletedMediaRes{}, err
	}
	ids, err := a.Media.Delete(ctx, files)
	return deletedMedia(ids), err
}

type mediaSum struct {
	DisplayName *string `json:"displayname"`
	Count       int64   `json:"media_count"`
	Length      int64   `json:"media_length"` // bytes
	UserID      string  `json:"user_id"`
}

type mediaSumsRes struct {
	Users     []mediaSum `json:"users"`
	NextToken *int       `json:"next_token,omitempty"`
	Total     int64      `json:"total"`
}

// mediaStatistics tells whose files take how much.
func (a *API) mediaStatistics(ctx context.Context, r *http.Request, _ httpx.None) (mediaSumsRes, error) {
	q, err := mediaSumQuery(r)
	if err != nil {
		return mediaSumsRes{}, err
	}
	sums, total, err := a.Media.Sums(ctx, q)
	res := mediaSumsRes{Users: []mediaSum{}, Total: total, NextToken: nextOf(q.From, q.Limit, total)}
	for _, s := range sums {
		one := mediaSum{Count: s.Count, Length: s.Size, UserID: s.User}
		if s.DisplayName != "" && json.Unmarshal([]byte(s.DisplayName), &one.DisplayName) != nil {
			one.DisplayName = nil // no text
		}
		res.Users = append(res.Users, one)
	}
	return res, err
}

func mediaSumQuery(r *http.Request) (q store.MediaSumQuery, err error) {
	params := r.URL.Query()
	q = store.MediaSumQuery{Search: params.Get("search_term"), OrderBy: "user_id", Until: math.MaxInt64}
	if order := params.Get("order_by"); order != "" {
		q.OrderBy = order
	}
	if store.SumOrders[q.OrderBy] == "" {
		return q, mxerr.New(mxerr.InvalidParam, "Query parameter 'order_by' must be one of %q", slices.Sorted(maps.Keys(store.SumOrders)))
	}
	if err := direction(r, &q.Descending); err != nil {
		return q, err
	}
	if params.Has("search_term") && q.Search == "" {
		return q, mxerr.New(mxerr.InvalidParam, "Query parameter search_term cannot be an empty string.")
	}
	if !storable(q.Search) {
		return q, mxerr.New(mxerr.InvalidParam, "Nobody has such a name")
	}
	if q.From, err = httpx.IntQuery(r, "from", 0, 1<<30); err != nil {
		return q, err
	}
	if q.Limit, err = httpx.IntQuery(r, "limit", 100, 1000); err != nil {
		return q, err
	}
	if since := params.Get("from_ts"); since != "" {
		if q.Since, err = timeParam("from_ts", since); err != nil {
			return q, err
		}
	}
	if until := params.Get("until_ts"); until != "" {
		if q.Until, err = timeParam("until_ts", until); err == nil && q.Until <= q.Since {
			err = mxerr.New(mxerr.InvalidParam, "Query parameter until_ts must be greater than from_ts.")
		}
	}
	return q, err
}

// timeParam reads a time in milliseconds.
func timeParam(name, text string) (int64, error) {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 0 {
		return 0, mxerr.New(mxerr.InvalidParam, "Query parameter %s must be a string representing a positive integer.", name)
	}
	return ms, nil
}
