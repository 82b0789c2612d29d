package clientapi

import (
	"context"
	"math"
	"net/http"
	"slices"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

func (a *Rooms) roomInitialSyncRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /rooms/{roomId}/initialSync",
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.roomInitialSync),
		Spec:    "roomInitialSync",
	}}
}

// roomInitialSync: client-server-api/#get_matrixclientv3roomsroomidinitialsync
func (a *Rooms) roomInitialSync(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	if err := a.open(ctx, r.PathValue("roomId")); err != nil {
		return nil, err
	}
	h, err := a.historyOf(ctx, r)
	if err != nil {
		return nil, err
	}
	now := feed.Token{Pos: a.Hub.Pos(), Live: a.Hub.Live()}
	return a.appendRoomInfo(ctx, nil, h, now)
}

// appendRoomInfo appends a room as it is at now: the newest messages, the
// state, and what the user keeps with it.
func (a *Rooms) appendRoomInfo(ctx context.Context, out []byte, h *history, now feed.Token) ([]byte, error) {
	s, enc := h.sight, a.encoder(ctx)
	out = append(out, `{"room_id":`...)
	out = canonjson.Quote(out, s.Room.ID)
	if m := s.Membership(); m != store.None {
		out = append(out, `,"membership":"`+m.String()+`"`...)
	}
	events, at, more, err := h.scan(ctx, min(now.Pos, s.Last), math.MinInt64, true, h.limit)
	if err != nil {
		return nil, err
	}
	slices.Reverse(events)
	out = append(out, `,"messages":{"chunk":`...)
	if out, err = enc.AppendArray(ctx, out, s.Room, s.Viewer, events); err != nil {
		return nil, err
	}
	if more {
		out = append(out, `,"start":"`+feed.PlaceToken(at)+`"`...)
	}
	out = append(out, `,"end":"`+now.String()+`"},"state":`...)
	state, err := a.Engine.State(ctx, s.Room, s.State, nil)
	if err != nil {
		return nil, err
	}
	if out, err = enc.AppendState(ctx, out, s.Room, state); err != nil {
		return nil, err
	}
	return a.appendRoomExtras(ctx, out, s.Room)
}

func (a *Rooms) appendRoomExtras(ctx context.Context, out []byte, r *room.Room) ([]byte, error) {
	out = append(out, `,"account_data":`...)
	var data []store.AccountData
	if a.Personal != nil {
		var err error
		if data, err = a.Personal.In(ctx, httpx.Who(ctx).User, r.NID); err != nil {
			return nil, err
		}
	}
	out = appendAccountData(out, data)
	listed, err := a.Directory.Listed(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if listed {
		return append(out, `,"visibility":"public"}`...), nil
	}
	return append(out, `,"visibility":"private"}`...), nil
}

func appendAccountData(out []byte, data []store.AccountData) []byte {
	out = append(out, '[')
	for i, d := range data {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"type":`...)
		out = canonjson.Quote(out, d.Type)
		out = append(out, `,"content":`...)
		out = append(out, d.Content...)
		out = append(out, '}')
	}
	return append(out, ']')
}
