package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) allowanceRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /users/{userId}/override_ratelimit", httpx.JSON(a.getAllowance)),
		admin(v1, "POST /users/{userId}/override_ratelimit", httpx.JSON(a.setAllowance)),
		admin(v1, "DELETE /users/{userId}/override_ratelimit", httpx.JSON(a.deleteAllowance)),
		admin(v1, "GET /users/{userId}/sent_invite_count", httpx.JSON(a.sentInvites)),
		admin(v1, "GET /users/{userId}/cumulative_joined_room_count", httpx.JSON(a.roomsJoined)),
		admin(v1, "GET /users/{userId}/pushers", httpx.JSON(a.pushers)),
		admin(v1, "GET /experimental_features/{userId}", httpx.JSON(a.getFeatures)),
		admin(v1, "PUT /experimental_features/{userId}", httpx.JSON(a.putFeatures)),
	}
}

// allowance is empty for a user of whom nothing is set.
type allowance struct {
	PerSecond *int64 `json:"messages_per_second,omitempty"` // 0 for any number
	Burst     *int64 `json:"burst_count,omitempty"`
}

func (a *API) getAllowance(ctx context.Context, r *http.Request, _ httpx.None) (allowance, error) {
	user, err := a.localUser(r, "Can only look up local users")
	if err != nil {
		return allowance{}, err
	}
	set, err := a.Engine.Allowance(ctx, user)
	if err != nil || set == nil {
		return allowance{}, err
	}
	return allowance{&set.PerSecond, &set.Burst}, nil
}

const onlyLocalLimits = "Only local users can be ratelimited"

func (a *API) setAllowance(ctx context.Context, r *http.Request, f fields) (allowance, error) {
	user, err := a.localUser(r, onlyLocalLimits)
	if err != nil {
		return allowance{}, err
	}
	var set account.Allowance
	for name, to := range map[string]*int64{"messages_per_second": &set.PerSecond, "burst_count": &set.Burst} {
		if _, there := f[name]; there && (!f.has(name) || !f.read(name, to) || *to < 0) {
			return allowance{}, mxerr.New(mxerr.InvalidParam, "'%s' parameter must be a positive int", name)
		}
	}
	return allowance{&set.PerSecond, &set.Burst}, a.Engine.SetAllowance(ctx, user, &set)
}

func (a *API) deleteAllowance(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	user, err := a.localUser(r, onlyLocalLimits)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.None{}, a.Engine.SetAllowance(ctx, user, nil)
}

// since reads whom and from when on to count.
func since(r *http.Request) (user string, ms int64, err error) {
	id, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return "", 0, err
	}
	text := r.URL.Query().Get("from_ts")
	if text == "" {
		return "", 0, mxerr.New(mxerr.MissingParam, "Missing integer query parameter 'from_ts'")
	}
	ms, err = timeParam("from_ts", text)
	return string(id), ms, err
}

func (a *API) sentInvites(ctx context.Context, r *http.Request, _ httpx.None) (map[string]int64, error) {
	user, ms, err := since(r)
	if err != nil {
		return nil, err
	}
	n, err := a.Search.Invited(ctx, user, ms)
	return map[string]int64{"invite_count": n}, err
}

func (a *API) roomsJoined(ctx context.Context, r *http.Request, _ httpx.None) (map[string]int64, error) {
	user, ms, err := since(r)
	if err != nil {
		return nil, err
	}
	n, err := a.Search.Joined(ctx, user, ms)
	return map[string]int64{"cumulative_joined_room_count": n}, err
}

type pusherJSON struct {
	AppName    string          `json:"app_display_name"`
	App        string          `json:"app_id"`
	Data       json.RawMessage `json:"data"`
	DeviceName string          `json:"device_display_name"`
	Kind       string          `json:"kind"`
	Lang       string          `json:"lang"`
	Profile    string          `json:"profile_tag"`
	PushKey    string          `json:"pushkey"`
}

type pushersRes struct {
	Pushers []pusherJSON `json:"pushers"`
	Total   int          `json:"total"`
}

func (a *API) pushers(ctx context.Context, r *http.Request, _ httpx.None) (pushersRes, error) {
	user, err := a.knownUser(ctx, r)
	if err != nil {
		return pushersRes{}, err
	}
	all, err := a.Pushers.Pushers(ctx, string(user))
	res := pushersRes{Pushers: []pusherJSON{}, Total: len(all)}
	for _, p := range all {
		res.Pushers = append(res.Pushers, pusherJSON{p.AppName, p.App, p.Data, p.DeviceName, p.Kind, p.Lang, p.Profile, p.Key})
	}
	return res, err
}

// perUser are the proposals that Synapse switches user by user.
var perUser = []string{"msc3575", "msc3881", "msc4222"}

type featuresBody struct {
	Features map[string]bool `json:"features"`
}

// getFeatures tells what a user has. It is the same for everybody here.
func (a *API) getFeatures(ctx context.Context, r *http.Request, _ httpx.None) (featuresBody, error) {
	if _, err := a.knownUser(ctx, r); err != nil {
		return featuresBody{}, err
	}
	res := featuresBody{map[string]bool{}}
	for _, name := range perUser {
		res.Features[name] = a.hasFeature(name)
	}
	return res, nil
}

func (a *API) hasFeature(name string) bool {
	return slices.ContainsFunc(a.Unstable, func(flag string) bool { return strings.HasPrefix(flag, "org.matrix."+name) })
}

// putFeatures refuses to switch what is the same for everybody.
func (a *API) putFeatures(ctx context.Context, r *http.Request, req featuresBody) (httpx.None, error) {
	if _, err := a.knownUser(ctx, r); err != nil {
		return httpx.None{}, err
	}
	if len(req.Features) == 0 {
		return httpx.None{}, bad("You must provide features to set.")
	}
	for name, on := range req.Features {
		if !slices.Contains(perUser, name) {
			return httpx.None{}, bad("'" + name + "' is not recognised as a valid experimental feature.")
		}
		if on != a.hasFeature(name) {
			return httpx.None{}, bad("'" + name + "' is the same for everybody on this server")
		}
	}
	return httpx.None{}, nil
}
