package clientapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/e2ee"
)

const dehydratedPrefix = "/_matrix/client/unstable/org.matrix.msc3814.v1"

func (a *Encryption) dehydratedRoutes() []httpx.Route {
	in := []string{dehydratedPrefix}
	return []httpx.Route{
		{Pattern: "PUT /dehydrated_device", In: in, Auth: httpx.User, Limit: "keys", Handler: httpx.JSON(a.putDehydratedDevice)},
		{Pattern: "GET /dehydrated_device", In: in, Auth: httpx.User, Handler: httpx.JSON(a.getDehydratedDevice)},
		{Pattern: "DELETE /dehydrated_device", In: in, Auth: httpx.User, Limit: "keys", Handler: httpx.JSON(a.deleteDehydratedDevice)},
		{Pattern: "GET /dehydrated_device/{deviceId}/events", In: in, Auth: httpx.User, Handler: httpx.JSON(a.dehydratedEvents)},
		// How earlier clients ask, with the token in the body.
		{Pattern: "POST /dehydrated_device/{deviceId}/events", In: in, Auth: httpx.User, Limit: "keys_read", Handler: httpx.JSON(a.dehydratedEvents)},
	}
}

type dehydrateReq struct {
	e2ee.Dehydrated
	Name         string                     `json:"initial_device_display_name"`
	DeviceKeys   json.RawMessage            `json:"device_keys"`
	OneTimeKeys  map[string]json.RawMessage `json:"one_time_keys"`
	FallbackKeys map[string]json.RawMessage `json:"fallback_keys"`
}

type deviceIDRes struct {
	DeviceID string `json:"device_id"`
}

// putDehydratedDevice: MSC3814, "Dehydrating a device"
func (a *Encryption) putDehydratedDevice(ctx context.Context, _ *http.Request, req dehydrateReq) (deviceIDRes, error) {
	err := a.Keys.Dehydrate(ctx, httpx.Who(ctx).User, req.Dehydrated, req.Name, e2ee.Upload{
		DeviceKeys: req.DeviceKeys, OneTimeKeys: req.OneTimeKeys, FallbackKeys: req.FallbackKeys,
	})
	return deviceIDRes{req.Device}, err
}

// getDehydratedDevice: MSC3814, "Rehydrating a device"
func (a *Encryption) getDehydratedDevice(ctx context.Context, _ *http.Request, _ httpx.None) (e2ee.Dehydrated, error) {
	return a.Keys.DehydratedDevice(ctx, httpx.Who(ctx).User)
}

// deleteDehydratedDevice: MSC3814, "Deleting a dehydrated device"
func (a *Encryption) deleteDehydratedDevice(ctx context.Context, _ *http.Request, _ httpx.None) (deviceIDRes, error) {
	id, err := a.Keys.Rehydrated(ctx, httpx.Who(ctx).User)
	return deviceIDRes{id}, err
}

type dehydratedEventsReq struct {
	NextBatch string `json:"next_batch"`
}

type dehydratedEventsRes struct {
	Events    []json.RawMessage `json:"events"`
	NextBatch string            `json:"next_batch,omitempty"`
}

// dehydratedEvents: MSC3814, "Rehydrating a device". Of those who ask by GET,
// matrix-js-sdk calls the token "from" and asks until it is given none; others
// stop at the answer without events, as those do who ask by POST.
func (a *Encryption) dehydratedEvents(ctx context.Context, r *http.Request, req dehydratedEventsReq) (dehydratedEventsRes, error) {
	q := r.URL.Query()
	req.NextBatch = cmp.Or(q.Get("next_batch"), q.Get("from"), req.NextBatch)
	messages, next, err := a.Keys.DehydratedMail(ctx, httpx.Who(ctx).User, r.PathValue("deviceId"), req.NextBatch)
	res := dehydratedEventsRes{Events: make([]json.RawMessage, len(messages)), NextBatch: next}
	for i, m := range messages {
		res.Events[i] = m
	}
	if len(messages) == 0 && r.Method == http.MethodGet {
		res.NextBatch = ""
	}
	return res, err
}
