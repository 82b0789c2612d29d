package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
)

func (a *Accounts) deviceManagementRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /devices",
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getDevices),
		Spec:    "getDevices",
	}, {
		Pattern: "GET /devices/{deviceId}",
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getDevice),
		Spec:    "getDevice",
	}, {
		Pattern: "PUT /devices/{deviceId}",
		Auth:    httpx.Guest,
		Limit:   "account",
		MaxBody: smallBody,
		Handler: http.HandlerFunc(a.putDevice),
		Spec:    "updateDevice",
	}, {
		Pattern: "DELETE /devices/{deviceId}",
		Auth:    httpx.User,
		Limit:   "account",
		MaxBody: smallBody,
		Handler: interactive(a.deleteDevice),
		Spec:    "deleteDevice",
	}, {
		Pattern: "POST /delete_devices",
		Auth:    httpx.User,
		Limit:   "account",
		Handler: interactive(a.deleteDevices),
		Spec:    "deleteDevices",
	}}
}

// clientDevice has all its fields, be they empty, because matrix-nio takes no list
// in which one is missing.
type clientDevice struct {
	DeviceID    string `json:"device_id"`
	DisplayName string `json:"display_name"`
	LastSeenIP  string `json:"last_seen_ip"`
	LastSeenTS  int64  `json:"last_seen_ts"` // ms
}

// clientDeviceOf takes the login for the last that was seen of a device if there
// was nothing since.
func clientDeviceOf(d account.Device) clientDevice {
	seen := d.LastSeen
	if seen.IsZero() {
		seen = d.Created
	}
	return clientDevice{DeviceID: d.ID, DisplayName: d.Name, LastSeenIP: d.IP, LastSeenTS: seen.UnixMilli()}
}

type devicesRes struct {
	Devices []clientDevice `json:"devices"`
}

// getDevices: client-server-api/#get_matrixclientv3devices
func (a *Accounts) getDevices(ctx context.Context, _ *http.Request, _ httpx.None) (devicesRes, error) {
	devices, err := a.Engine.Devices(ctx, session(ctx).User)
	res := devicesRes{make([]clientDevice, len(devices))}
	for i, d := range devices {
		res.Devices[i] = clientDeviceOf(d)
	}
	return res, err
}

// getDevice: client-server-api/#get_matrixclientv3devicesdeviceid
func (a *Accounts) getDevice(ctx context.Context, r *http.Request, _ httpx.None) (clientDevice, error) {
	d, err := a.Engine.Device(ctx, session(ctx).User, r.PathValue("deviceId"))
	return clientDeviceOf(d), err
}

type updateDeviceReq struct {
	DisplayName *string `json:"display_name"`
}

// putDevice is updateDevice, by which application services also make devices
// (application-service-api/#creating-devices).
func (a *Accounts) putDevice(w http.ResponseWriter, r *http.Request) {
	s := a.Services.ByID(httpx.Who(r.Context()).Service)
	if s == nil {
		httpx.JSON(a.updateDevice).ServeHTTP(w, r)
		return
	}
	var req updateDeviceReq
	body, err := httpx.Body(r)
	if err == nil {
		err = httpx.Decode(body, &req)
	}
	fresh := false
	if err == nil {
		fresh, err = a.Engine.MakeDevice(r.Context(), session(r.Context()).User, r.PathValue("deviceId"), req.DisplayName)
	}
	switch {
	case err != nil:
		httpx.Fail(w, r, err)
	case fresh:
		httpx.Answer(w, r, http.StatusCreated, empty{})
	default:
		httpx.Answer(w, r, http.StatusOK, empty{})
	}
}

// updateDevice: client-server-api/#put_matrixclientv3devicesdeviceid
func (a *Accounts) updateDevice(ctx context.Context, r *http.Request, req updateDeviceReq) (httpx.None, error) {
	user, id := session(ctx).User, r.PathValue("deviceId")
	if req.DisplayName == nil {
		_, err := a.Engine.Device(ctx, user, id)
		return httpx.None{}, err
	}
	return httpx.None{}, a.Engine.RenameDevice(ctx, user, id, *req.DisplayName)
}

type deleteDeviceReq struct {
	Auth *account.Auth `json:"auth"`
}

// deleteDevice: client-server-api/#delete_matrixclientv3devicesdeviceid
func (a *Accounts) deleteDevice(ctx context.Context, r *http.Request, req deleteDeviceReq) (httpx.None, error) {
	return httpx.None{}, a.Engine.DeleteDevices(ctx, session(ctx), []string{r.PathValue("deviceId")}, req.Auth, httpx.Addr(ctx))
}

type deleteDevicesReq struct {
	Devices *[]string     `json:"devices"`
	Auth    *account.Auth `json:"auth"`
}

// maxDeleteDevices bounds one request; nobody has a thousand phones.
const maxDeleteDevices = 1000

// deleteDevices: client-server-api/#post_matrixclientv3delete_devices
func (a *Accounts) deleteDevices(ctx context.Context, _ *http.Request, req deleteDevicesReq) (httpx.None, error) {
	if req.Devices == nil {
		return httpx.None{}, missing("devices")
	}
	if len(*req.Devices) > maxDeleteDevices {
		return httpx.None{}, mxerr.New(mxerr.InvalidParam, "At most %d devices can be deleted at once", maxDeleteDevices)
	}
	return httpx.None{}, a.Engine.DeleteDevices(ctx, session(ctx), *req.Devices, req.Auth, httpx.Addr(ctx))
}
