package pusher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"hearth/base/netguard"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/pushrule"
)

// notification is the body of POST /_matrix/push/v1/notify
// (push-gateway-api/#post_matrixpushv1notify), and what Web Push carries.
type notification struct {
	EventID    string          `json:"event_id,omitempty"`
	RoomID     string          `json:"room_id,omitempty"`
	Type       string          `json:"type,omitempty"`
	Sender     string          `json:"sender,omitempty"`
	SenderName string          `json:"sender_display_name,omitempty"`
	RoomName   string          `json:"room_name,omitempty"`
	RoomAlias  string          `json:"room_alias,omitempty"`
	IsTarget   bool            `json:"user_is_target,omitempty"`
	Prio       string          `json:"prio,omitempty"`
	Content    json.RawMessage `json:"content,omitempty"`
	Counts     counts          `json:"counts"`
	Devices    []device        `json:"devices,omitempty"`
}

// counts: that nothing is unread any more is told too, lest a phone show a
// number for ever. Gateways take a missing one as no news.
type counts struct {
	Unread int `json:"unread"`
}

type device struct {
	App    string          `json:"app_id"`
	Key    string          `json:"pushkey"`
	Time   int64           `json:"pushkey_ts,omitempty"`
	Data   json.RawMessage `json:"data"`
	Tweaks json.RawMessage `json:"tweaks,omitempty"`
}

// tweaksOf is how a notification is to be presented.
func tweaksOf(res pushrule.Result) []byte {
	tweaks := map[string]any{}
	if res.Sound != "" {
		tweaks["sound"] = res.Sound
	}
	if res.Highlight {
		tweaks["highlight"] = true
	}
	b, err := json.Marshal(tweaks)
	if err != nil {
		return []byte("{}")
	}
	return b
}

func badgeOf(p store.Pusher, unread int) notification {
	return notification{Counts: counts{unread}, Devices: []device{{App: p.App, Key: p.Key, Data: dataFor(p)}}}
}

func (e *Engine) notification(ctx context.Context, p store.Pusher, r *room.Room, ev *room.Event, tweaks []byte, unread int) (notification, error) {
	n := badgeOf(p, unread)
	n.EventID, n.RoomID, n.Prio = ev.ID, r.ID, "low"
	// Encrypted events may be anything, so they must not come late.
	if ev.Type == "m.room.encrypted" || string(tweaks) != "{}" {
		n.Prio = "high"
	}
	format, _ := canonjson.GetString(p.Data, "format")
	if format == "event_id_only" {
		return n, nil
	}
	n.Devices[0].Tweaks = tweaks
	n.Type, n.Sender, n.Content = ev.Type, ev.Sender, ev.Content
	n.IsTarget = ev.Is("m.room.member", p.User)
	if len(n.Content) > maxContent {
		n.Content = nil
	}
	for _, f := range []struct {
		typ, key, field string
		to              *string
	}{
		{"m.room.member", ev.Sender, "displayname", &n.SenderName},
		{"m.room.name", "", "name", &n.RoomName},
		{"m.room.canonical_alias", "", "alias", &n.RoomAlias},
	} {
		state, err := e.Rooms.StateEvent(ctx, r, r.Current().State, f.typ, f.key)
		if err != nil {
			return n, err
		}
		if state != nil {
			*f.to, _ = state.GetString(f.field)
		}
	}
	return n, nil
}

// maxContent bounds what is told of an event: gateways hand on less.
const maxContent = 32 << 10

// errRejected means that a pusher is to be removed.
var errRejected = errors.New("the pusher was rejected")

func (e *Engine) send(ctx context.Context, p store.Pusher, n notification) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if p.Kind != HTTP {
		return e.sendWebPush(ctx, p, n)
	}
	body, err := json.Marshal(map[string]any{"notification": n})
	if err != nil {
		return err
	}
	target, _ := canonjson.GetString(p.Data, "url")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, status, err := e.do(req)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("the gateway answered with status %d", status)
	}
	var res struct {
		Rejected []string `json:"rejected"`
	}
	// Whatever else it says, the gateway has taken it.
	if json.Unmarshal(answer, &res) == nil && slices.Contains(res.Rejected, p.Key) {
		return errRejected
	}
	return nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

func (e *Engine) do(req *http.Request) (answer []byte, status int, err error) {
	req.Header.Set("User-Agent", "Hearth")
	res, err := e.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return answer, res.StatusCode, err
}

// newClient connects to public addresses, and to those that the operator allows.
func newClient(allowed netguard.Ranges) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: netguard.Control(allowed)}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			MaxIdleConns: 100, MaxIdleConnsPerHost: 8, MaxConnsPerHost: maxSending,
			IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
			MaxResponseHeaderBytes: maxAnswer,
		},
		// A gateway is where the pusher says it is.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
