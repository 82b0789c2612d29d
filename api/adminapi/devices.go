package adminapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) deviceRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v2, "GET /users/{userId}/devices", httpx.JSON(a.listDevices)),
		admin(v2, "GET /users/{userId}/devices/{deviceId}", httpx.JSON(a.getDevice)),
		admin(v2, "POST /users/{userId}/devices", http.HandlerFunc(a.makeDevice)),
		admin(v2, "PUT /users/{userId}/devices/{deviceId}", httpx.JSON(a.renameDevice)),
		admin(v2, "DELETE /users/{userId}/devices/{deviceId}", httpx.JSON(a.deleteDevice)),
		admin(v2, "POST /users/{userId}/delete_devices", httpx.JSON(a.deleteDevices)),
		{
			Pattern: "GET /whois/{userId}",
			In:      v1,
			Also: []string{
				"GET /_matrix/client/v3/admin/whois/{userId}",
				"GET /_matrix/client/r0/admin/whois/{userId}",
			},
			Auth:    httpx.User,
			Handler: httpx.JSON(a.getWhoIs),
			Spec:    "getWhoIs",
		},
	}
}

type device struct {
	DeviceID      string      `json:"device_id"`
	DisplayName   *string     `json:"display_name"`
	LastSeenIP    *string     `json:"last_seen_ip"`
	LastSeenAgent *string     `json:"last_seen_user_agent"`
	LastSeenTS    *int64      `json:"last_seen_ts"` // ms
	UserID        mxid.UserID `json:"user_id"`
	// Dehydrated is told of all devices of a user who has a dehydrated one.
	Dehydrated *bool `json:"dehydrated,omitempty"`
}

func deviceOf(user mxid.UserID, d account.Device) device {
	out := device{DeviceID: d.ID, DisplayName: orNull(d.Name), LastSeenIP: orNull(d.IP), LastSeenAgent: orNull(d.Agent), UserID: user}
	if !d.LastSeen.IsZero() {
		ms := d.LastSeen.UnixMilli()
		out.LastSeenTS = &ms
	}
	return out
}

type devicesRes struct {
	Devices []device `json:"devices"`
	Total   int      `json:"total"`
}

// owner is the user of a path with devices in it.
func (a *API) owner(ctx context.Context, r *http.Request) (mxid.UserID, error) {
	id, err := a.localUser(r, "Can only lookup local users")
	if err == nil {
		_, err = a.Engine.User(ctx, string(id))
	}
	return id, err
}

func (a *API) listDevices(ctx context.Context, r *http.Request, _ httpx.None) (devicesRes, error) {
	user, err := a.owner(ctx, r)
	if err != nil {
		return devicesRes{}, err
	}
	list, err := a.Engine.Devices(ctx, user)
	res := devicesRes{Devices: make([]device, len(list)), Total: len(list)}
	for i, d := range list {
		res.Devices[i] = deviceOf(user, d)
	}
	if err != nil {
		return res, err
	}
	asleep, err := a.Keys.DehydratedDevice(ctx, string(user))
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			err = nil
		}
		return res, err
	}
	for i := range res.Devices {
		is := res.Devices[i].DeviceID == asleep.Device
		res.Devices[i].Dehydrated = &is
	}
	return res, nil
}

func (a *API) getDevice(ctx context.Context, r *http.Request, _ httpx.None) (device, error) {
	user, err := a.owner(ctx, r)
	if err != nil {
		return device{}, err
	}
	d, err := a.Engine.Device(ctx, user, r.PathValue("deviceId"))
	return deviceOf(user, d), err
}

// makeDevice adds a device that nobody is logged in with.
func (a *API) makeDevice(w http.ResponseWriter, r *http.Request) {
	user, err := a.owner(r.Context(), r)
	var f fields
	var body []byte
	if err == nil {
		body, err = httpx.Body(r)
	}
	if err == nil {
		err = httpx.Decode(body, &f)
	}
	var id string
	if err == nil {
		switch {
		case !f.has("device_id"):
			err = bad("Missing device_id")
		case !f.read("device_id", &id):
			err = bad("device_id must be a string")
		default:
			_, err = a.Engine.MakeDevice(r.Context(), user, id, nil)
		}
	}
	if err != nil {
		httpx.Fail(w, r, err)
		return
	}
	httpx.Answer(w, r, http.StatusCreated, httpx.None{})
}

type renameReq struct {
	DisplayName *string `json:"display_name"`
}

func (a *API) renameDevice(ctx context.Context, r *http.Request, req renameReq) (httpx.None, error) {
	user, err := a.owner(ctx, r)
	if err != nil {
		return httpx.None{}, err
	}
	id := r.PathValue("deviceId")
	if req.DisplayName == nil {
		_, err := a.Engine.Device(ctx, user, id)
		return httpx.None{}, err
	}
	return httpx.None{}, a.Engine.RenameDevice(ctx, user, id, *req.DisplayName)
}

func (a *API) deleteDevice(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	user, err := a.owner(ctx, r)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.None{}, a.Engine.RemoveDevices(ctx, user, []string{r.PathValue("deviceId")})
}

type deleteDevicesReq struct {
	Devices *[]string `json:"devices"`
}

func (a *API) deleteDevices(ctx context.Context, r *http.Request, req deleteDevicesReq) (httpx.None, error) {
	user, err := a.owner(ctx, r)
	if err != nil {
		return httpx.None{}, err
	}
	if req.Devices == nil {
		return httpx.None{}, mxerr.New(mxerr.MissingParam, "Missing params: ['devices']")
	}
	return httpx.None{}, a.Engine.RemoveDevices(ctx, user, *req.Devices)
}

type whoisRes struct {
	UserID  mxid.UserID            `json:"user_id"`
	Devices map[string]whoisDevice `json:"devices"`
}

type whoisDevice struct {
	Sessions []whoisSession `json:"sessions"`
}

type whoisSession struct {
	Connections []connection `json:"connections"`
}

type connection struct {
	IP        string `json:"ip"`
	LastSeen  int64  `json:"last_seen"` // ms
	UserAgent string `json:"user_agent"`
}

// getWhoIs: client-server-api/#get_matrixclientv3adminwhoisuserid. People may
// look at themselves.
func (a *API) getWhoIs(ctx context.Context, r *http.Request, _ httpx.None) (whoisRes, error) {
	who := httpx.Who(ctx)
	if r.PathValue("userId") != who.User && !who.Admin {
		return whoisRes{}, mxerr.New(mxerr.Forbidden, "You are not a server admin")
	}
	user, err := a.localUser(r, "Can only whois a local user")
	if err != nil {
		return whoisRes{}, err
	}
	if _, err := a.Engine.User(ctx, string(user)); err != nil {
		return whoisRes{}, err
	}
	list, err := a.Engine.Devices(ctx, user)
	res := whoisRes{UserID: user, Devices: map[string]whoisDevice{}}
	for _, d := range list {
		c := []connection{}
		if !d.LastSeen.IsZero() {
			c = append(c, connection{IP: d.IP, UserAgent: d.Agent, LastSeen: d.LastSeen.UnixMilli()})
		}
		res.Devices[d.ID] = whoisDevice{[]whoisSession{{c}}}
	}
	return res, err
}
