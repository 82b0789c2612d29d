package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/api/page"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

func (p *Personal) pusherRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /pushers",
		Auth:    httpx.User,
		Handler: httpx.JSON(p.getPushers),
		Spec:    "getPushers",
	}, {
		Pattern: "POST /pushers/set",
		Auth:    httpx.User,
		Limit:   "pushers",
		Handler: httpx.JSON(p.postPusher),
		Spec:    "postPusher",
	}, {
		Pattern: "GET /unsubscribe",
		In:      []string{"/_matrix/client"},
		Handler: http.HandlerFunc(p.unsubscribe),
	}, {
		Pattern: "POST /unsubscribe",
		In:      []string{"/_matrix/client"},
		Limit:   "pushers",
		MaxBody: smallBody,
		Handler: http.HandlerFunc(p.unsubscribe),
	}}
}

// unsubscribe is the page on which somebody ends the mail about messages. Mail
// programs post to it by themselves (RFC 8058).
func (p *Personal) unsubscribe(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	user, address := q.Get("u"), q.Get("a")
	err := form(r)
	if err == nil {
		err = p.Pushers.CheckUnsubscribe(user, address, q.Get("h"))
	}
	if err == nil && r.Method == http.MethodPost {
		err = p.Pushers.Unsubscribe(r.Context(), user, address)
	}
	switch {
	case err != nil:
		httpx.Fail(w, r, err)
	case r.Method == http.MethodPost:
		page.Write(w, "message", page.Message{Title: "Done", Lines: []string{address + " gets no more mail about messages."}})
	default:
		page.Write(w, "form", page.Form{Title: "No more mail about messages?", Lines: []string{address, "Your account on this server stays as it is."}, Button: "No more mail"})
	}
}

type pusherJSON struct {
	PushKey    string          `json:"pushkey"`
	Kind       string          `json:"kind"`
	App        string          `json:"app_id"`
	AppName    string          `json:"app_display_name"`
	DeviceName string          `json:"device_display_name"`
	Profile    string          `json:"profile_tag,omitempty"`
	Lang       string          `json:"lang"`
	Data       json.RawMessage `json:"data"`
	// Enabled and Device are of MSC3881. No word on the former means true.
	Enabled *bool  `json:"org.matrix.msc3881.enabled,omitempty"`
	Device  string `json:"org.matrix.msc3881.device_id,omitempty"`
}

type pushersRes struct {
	Pushers []pusherJSON `json:"pushers"`
}

// getPushers: client-server-api/#get_matrixclientv3pushers
func (p *Personal) getPushers(ctx context.Context, _ *http.Request, _ httpx.None) (pushersRes, error) {
	all, err := p.Pushers.Pushers(ctx, httpx.Who(ctx).User)
	res := pushersRes{Pushers: []pusherJSON{}}
	for _, x := range all {
		on := !x.Off
		res.Pushers = append(res.Pushers, pusherJSON{x.Key, x.Kind, x.App, x.AppName, x.DeviceName, x.Profile, x.Lang, x.Data, &on, x.Device})
	}
	return res, err
}

type postPusherReq struct {
	pusherJSON
	Kind   *string `json:"kind"` // null deletes
	Append bool    `json:"append"`
}

// postPusher: client-server-api/#post_matrixclientv3pushersset
func (p *Personal) postPusher(ctx context.Context, _ *http.Request, req postPusherReq) (empty, error) {
	who := httpx.Who(ctx)
	if req.App == "" || req.PushKey == "" {
		return empty{}, mxerr.New(mxerr.MissingParam, "A pusher needs an app_id and a pushkey")
	}
	if req.Kind == nil {
		return empty{}, p.Pushers.Delete(ctx, who.User, req.App, req.PushKey)
	}
	return empty{}, p.Pushers.Set(ctx, store.Pusher{
		User: who.User, App: req.App, Key: req.PushKey, Kind: *req.Kind, AppName: req.AppName, DeviceName: req.DeviceName,
		Profile: req.Profile, Lang: req.Lang, Data: req.Data, Device: who.Device,
		Off: req.Enabled != nil && !*req.Enabled,
	}, req.Append)
}
