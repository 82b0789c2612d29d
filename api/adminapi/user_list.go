package adminapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) userListRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v2, "GET /users", httpx.JSON(a.listUsers)),
		admin(v3, "GET /users", httpx.JSON(a.listUsersV3)),
		admin(v1, "GET /search_users/{userId}", httpx.JSON(a.searchUsers)),
	}
}

// foundEntry has null for the password's hash, which is nobody's business.
type foundEntry struct {
	Name         mxid.UserID `json:"name"`
	PasswordHash *string     `json:"password_hash"`
	IsGuest      bool        `json:"is_guest"`
	Admin        bool        `json:"admin"`
	UserType     *string     `json:"user_type"`
}

// maxFound bounds what searchUsers finds.
const maxFound = 1000

// searchUsers is an older way to find users by a part of their id.
func (a *API) searchUsers(ctx context.Context, r *http.Request, _ httpx.None) ([]foundEntry, error) {
	if _, err := a.localUser(r, "Can only search as a local user"); err != nil {
		return nil, err
	}
	term := r.URL.Query().Get("term")
	if term == "" {
		return nil, mxerr.New(mxerr.MissingParam, "Missing string query parameter 'term'")
	}
	page, _, err := a.Engine.Users(ctx, account.UserFilter{ID: term, Limit: maxFound})
	res := []foundEntry{}
	for _, u := range page {
		res = append(res, foundEntry{Name: u.ID, IsGuest: u.Guest, Admin: u.Admin, UserType: orNull(u.Kind)})
	}
	return res, err
}

type listedUser struct {
	Name         mxid.UserID `json:"name"`
	UserType     *string     `json:"user_type"`
	IsGuest      bool        `json:"is_guest"`
	Admin        bool        `json:"admin"`
	Deactivated  bool        `json:"deactivated"`
	ShadowBanned bool        `json:"shadow_banned"`
	DisplayName  *string     `json:"displayname"`
	AvatarURL    *string     `json:"avatar_url"`
	CreationTS   int64       `json:"creation_ts"` // ms
	Erased       bool        `json:"erased"`
	LastSeenTS   *int64      `json:"last_seen_ts"` // ms
	Locked       bool        `json:"locked"`
}

func listedUserOf(u account.Listed) listedUser {
	return listedUser{
		Name: u.ID, UserType: orNull(u.Kind), IsGuest: u.Guest, Admin: u.Admin, Deactivated: u.Deactivated,
		DisplayName: orNull(u.DisplayName), AvatarURL: orNull(u.AvatarURL),
		CreationTS: u.Created.UnixMilli(), Erased: u.Erased, LastSeenTS: lastSeen(u),
		ShadowBanned: u.ShadowBanned, Locked: u.Locked,
	}
}

func lastSeen(u account.Listed) *int64 {
	if u.LastSeen.IsZero() {
		return nil
	}
	ms := u.LastSeen.UnixMilli()
	return &ms
}

type usersRes struct {
	Users     []listedUser `json:"users"`
	NextToken string       `json:"next_token,omitempty"`
	Total     int64        `json:"total"`
}

// listUsers shows deactivated users too if deactivated is true.
func (a *API) listUsers(ctx context.Context, r *http.Request, _ httpx.None) (usersRes, error) {
	all, err := httpx.BoolQuery(r, "deactivated", false)
	if err != nil {
		return usersRes{}, err
	}
	var want *bool
	if !all {
		want = new(bool)
	}
	return a.users(ctx, r, want)
}

// listUsersV3 shows only deactivated users if deactivated is true, and both
// kinds if it is not given.
func (a *API) listUsersV3(ctx context.Context, r *http.Request, _ httpx.None) (usersRes, error) {
	want, err := optionalBool(r, "deactivated")
	if err != nil {
		return usersRes{}, err
	}
	return a.users(ctx, r, want)
}

// maxFrom and maxLimit bound what a page may ask for.
const maxFrom, maxLimit = 1 << 40, 10_000

func (a *API) users(ctx context.Context, r *http.Request, deactivated *bool) (usersRes, error) {
	f, err := userFilter(r)
	if err != nil {
		return usersRes{}, err
	}
	f.Deactivated = deactivated
	page, total, err := a.Engine.Users(ctx, f)
	res := usersRes{Users: make([]listedUser, len(page)), Total: total}
	for i, u := range page {
		res.Users[i] = listedUserOf(u)
	}
	if f.From+f.Limit < total {
		res.NextToken = strconv.FormatInt(f.From+int64(len(page)), 10)
	}
	return res, err
}

// orders are what order_by may be.
var orders = []string{
	"name", "displayname", "is_guest", "admin", "deactivated", "user_type", "avatar_url", "shadow_banned",
	"creation_ts", "last_seen_ts", "locked",
}

func userFilter(r *http.Request) (account.UserFilter, error) {
	var f account.UserFilter
	q := r.URL.Query()
	from, err := httpx.IntQuery(r, "from", 0, maxFrom)
	if err != nil {
		return f, err
	}
	limit, err := httpx.IntQuery(r, "limit", 100, maxLimit)
	if err != nil {
		return f, err
	}
	f.From, f.Limit = int64(from), int64(limit)
	guests, err := httpx.BoolQuery(r, "guests", true)
	if err != nil {
		return f, err
	}
	if !guests {
		f.Guest = new(bool)
	}
	if f.Admin, err = optionalBool(r, "admins"); err != nil {
		return f, err
	}
	locked, err := httpx.BoolQuery(r, "locked", false)
	if err != nil {
		return f, err
	}
	if !locked {
		f.Locked = new(bool)
	}
	if name := q.Get("name"); name != "" {
		f.Name = name
	} else {
		f.ID = q.Get("user_id")
	}
	f.NotKinds = q["not_user_type"]
	f.OrderBy = q.Get("order_by")
	if f.OrderBy != "" && !slices.Contains(orders, f.OrderBy) {
		return f, mxerr.New(mxerr.InvalidParam, "Query parameter 'order_by' must be one of %q", orders)
	}
	switch q.Get("dir") {
	case "", "f":
	case "b":
		f.Descending = true
	default:
		return f, mxerr.New(mxerr.InvalidParam, "Query parameter 'dir' must be one of ['b', 'f']")
	}
	return f, nil
}

func optionalBool(r *http.Request, name string) (*bool, error) {
	if !r.URL.Query().Has(name) {
		return nil, nil
	}
	v, err := httpx.BoolQuery(r, name, false)
	return &v, err
}
