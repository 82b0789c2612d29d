package clientapi

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"hearth/api/httpx"
	"hearth/homeserver/feed"
	"hearth/matrix/mxerr"
	"hearth/matrix/pushrule"
)

func (p *Personal) notificationsRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /notifications",
		Auth:    httpx.User,
		Handler: httpx.JSON(p.getNotifications),
		Spec:    "getNotifications",
	}}
}

// Bounds of a page of notifications.
const (
	defaultNotifications = 20
	maxNotifications     = 100
)

type notificationJSON struct {
	Actions pushrule.Actions `json:"actions"`
	Event   json.RawMessage  `json:"event"`
	Read    bool             `json:"read"`
	RoomID  string           `json:"room_id"`
	Time    int64            `json:"ts"`
}

type notificationsRes struct {
	Notifications []notificationJSON `json:"notifications"`
	Next          string             `json:"next_token,omitempty"`
}

// getNotifications: client-server-api/#get_matrixclientv3notifications
func (p *Personal) getNotifications(ctx context.Context, r *http.Request, _ httpx.None) (notificationsRes, error) {
	limit, err := httpx.IntQuery(r, "limit", defaultNotifications, maxNotifications)
	if err != nil {
		return notificationsRes{}, err
	}
	from := int64(math.MaxInt64 - 1)
	if s := r.URL.Query().Get("from"); s != "" {
		if from, err = strconv.ParseInt(s, 10, 64); err != nil || from < 1 {
			return notificationsRes{}, mxerr.New(mxerr.InvalidParam, "from is not a token of this server")
		}
	}
	who := httpx.Who(ctx)
	all, next, err := p.Push.Notified(ctx, who.User, from, max(limit, 1), r.URL.Query().Get("only") == "highlight")
	if err != nil {
		return notificationsRes{}, err
	}
	res := notificationsRes{Notifications: []notificationJSON{}}
	if next > 0 {
		res.Next = strconv.FormatInt(next, 10)
	}
	enc := feed.NewEncoder(p.Rooms, who.User, who.Device)
	for _, n := range all {
		ev, err := enc.Append(ctx, nil, n.Room, nil, n.Event)
		if err != nil {
			return notificationsRes{}, err
		}
		res.Notifications = append(res.Notifications, notificationJSON{n.Result.Actions, ev, n.Read, n.Room.ID, n.Event.OriginServerTS})
	}
	return res, nil
}
