package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/feed"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *Encryption) keysRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /keys/upload",
		Also:    []string{"POST /_matrix/client/unstable/keys/upload", "POST /_matrix/client/r0/keys/upload/{deviceId}", "POST /_matrix/client/v3/keys/upload/{deviceId}"},
		Auth:    httpx.Guest,
		Limit:   "keys",
		MaxBody: bigBody,
		Handler: httpx.JSON(a.uploadKeys),
		Spec:    "uploadKeys",
	}, {
		Pattern: "POST /keys/query",
		Also:    []string{"POST /_matrix/client/unstable/keys/query"},
		Auth:    httpx.Guest,
		Limit:   "keys_read",
		Handler: httpx.JSON(a.queryKeys),
		Spec:    "queryKeys",
	}, {
		Pattern: "POST /keys/claim",
		Also:    []string{"POST /_matrix/client/unstable/keys/claim"},
		Auth:    httpx.Guest,
		Limit:   "keys",
		Handler: httpx.JSON(a.claimKeys),
		Spec:    "claimKeys",
	}, {
		Pattern: "GET /keys/changes",
		Also:    []string{"GET /_matrix/client/unstable/keys/changes"},
		Auth:    httpx.Guest,
		Limit:   "keys_read",
		Handler: httpx.JSON(a.getKeysChanges),
		Spec:    "getKeysChanges",
	}}
}

type uploadKeysReq struct {
	DeviceKeys   json.RawMessage            `json:"device_keys"`
	OneTimeKeys  map[string]json.RawMessage `json:"one_time_keys"`
	FallbackKeys map[string]json.RawMessage `json:"fallback_keys"`
	OldFallback  map[string]json.RawMessage `json:"org.matrix.msc2732.fallback_keys"`
}

type uploadKeysRes struct {
	Counts map[string]int64 `json:"one_time_key_counts"`
}

// uploadKeys: client-server-api/#post_matrixclientv3keysupload
func (a *Encryption) uploadKeys(ctx context.Context, r *http.Request, req uploadKeysReq) (uploadKeysRes, error) {
	who := httpx.Who(ctx)
	if who.Device == "" { // an application service that does not say by which device it acts
		return uploadKeysRes{}, missing("device_id")
	}
	if id := r.PathValue("deviceId"); id != "" && id != who.Device {
		return uploadKeysRes{}, mxerr.New(mxerr.InvalidParam, "The device in the path is not the one you are logged in with")
	}
	if req.FallbackKeys == nil {
		req.FallbackKeys = req.OldFallback
	}
	err := a.Keys.Upload(ctx, who.User, who.Device, e2ee.Upload{
		DeviceKeys: req.DeviceKeys, OneTimeKeys: req.OneTimeKeys, FallbackKeys: req.FallbackKeys,
	})
	if err != nil {
		return uploadKeysRes{}, err
	}
	counts, err := a.Keys.Counts(ctx, who.User, who.Device)
	return uploadKeysRes{counts.OneTime}, err
}

type queryKeysReq struct {
	DeviceKeys map[string][]string `json:"device_keys"`
	Timeout    *int64              `json:"timeout"`
}

type queryKeysRes struct {
	Failures map[string]failure `json:"failures"`
	*e2ee.Keys
}

// failure is why a server's keys are not in an answer.
type failure struct {
	Status  int        `json:"status"`
	Code    mxerr.Code `json:"errcode"`
	Message string     `json:"error"`
}

// queryKeys: client-server-api/#post_matrixclientv3keysquery
func (a *Encryption) queryKeys(ctx context.Context, _ *http.Request, req queryKeysReq) (queryKeysRes, error) {
	if req.DeviceKeys == nil {
		return queryKeysRes{}, missing("device_keys")
	}
	keys, err := a.Keys.Query(ctx, httpx.Who(ctx).User, req.DeviceKeys)
	return queryKeysRes{unreachable(a, req.DeviceKeys), keys}, err
}

// unreachable lists the servers of users of whom nothing can be asked.
func unreachable[T any](a *Encryption, users map[string]T) map[string]failure {
	out := map[string]failure{}
	for user := range users {
		if server := mxid.ServerOf(user); server != "" && server != a.Keys.Server {
			out[string(server)] = failure{http.StatusServiceUnavailable, mxerr.Unknown, "This server cannot be reached"}
		}
	}
	return out
}

type claimKeysReq struct {
	OneTimeKeys map[string]map[string]string `json:"one_time_keys"`
	Timeout     *int64                       `json:"timeout"`
}

type claimKeysRes struct {
	Failures    map[string]failure `json:"failures"`
	OneTimeKeys e2ee.Claimed       `json:"one_time_keys"`
}

// claimKeys: client-server-api/#post_matrixclientv3keysclaim
func (a *Encryption) claimKeys(ctx context.Context, _ *http.Request, req claimKeysReq) (claimKeysRes, error) {
	if req.OneTimeKeys == nil {
		return claimKeysRes{}, missing("one_time_keys")
	}
	keys, err := a.Keys.Claim(ctx, req.OneTimeKeys)
	return claimKeysRes{unreachable(a, req.OneTimeKeys), keys}, err
}

// getKeysChanges: client-server-api/#get_matrixclientv3keyschanges
func (a *Encryption) getKeysChanges(ctx context.Context, r *http.Request, _ httpx.None) (feed.DeviceLists, error) {
	var since feed.Token
	for _, name := range []string{"from", "to"} {
		s := r.URL.Query().Get(name)
		if s == "" {
			return feed.DeviceLists{}, missing(name)
		}
		at, err := feed.ParseToken(s)
		if err != nil {
			return feed.DeviceLists{}, err
		}
		if name == "from" {
			since = at
		}
	}
	return a.Feed.DeviceLists(ctx, httpx.Who(ctx).User, since.Pos)
}
