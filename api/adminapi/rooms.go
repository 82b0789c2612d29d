package adminapi

import (
	"context"
	"net/http"
	"strings"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
	"hearth/homeserver/steward"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) roomRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /rooms", httpx.JSON(a.listRooms)),
		admin(v1, "GET /rooms/{roomId}", httpx.JSON(a.getRoom)),
		admin(v1, "GET /rooms/{roomId}/members", httpx.JSON(a.getMembers)),
		admin(v1, "GET /rooms/{roomId}/state", httpx.JSON(a.getState)),
		admin(v1, "GET /rooms/{roomId}/block", httpx.JSON(a.getBlock)),
		admin(v1, "PUT /rooms/{roomId}/block", httpx.JSON(a.putBlock)),
		admin(v1, "GET /rooms/{roomId}/forward_extremities", httpx.JSON(a.getExtremities)),
		admin(v1, "DELETE /rooms/{roomId}/forward_extremities", httpx.JSON(a.deleteExtremities)),
		admin(v1, "POST /rooms/{roomId}/make_room_admin", httpx.JSON(a.makeRoomAdmin)),
		admin(v1, "POST /join/{roomId}", httpx.JSON(a.joinUser)),
		admin(v1, "GET /statistics/database/rooms", httpx.JSON(a.largestRooms)),
	}
}

type roomsRes struct {
	Rooms     []*steward.Room `json:"rooms"`
	Offset    int             `json:"offset"`
	Total     int             `json:"total_rooms"`
	NextBatch *int            `json:"next_batch,omitempty"`
	PrevBatch *int            `json:"prev_batch,omitempty"`
}

func (a *API) listRooms(ctx context.Context, r *http.Request, _ httpx.None) (res roomsRes, err error) {
	q := r.URL.Query()
	query := steward.Query{Search: q.Get("search_term"), Order: q.Get("order_by")}
	if _, given := q["search_term"]; given && query.Search == "" {
		return res, mxerr.New(mxerr.InvalidParam, "search_term cannot be an empty string")
	}
	if query.Order != "" && !steward.Orders(query.Order) {
		return res, mxerr.New(mxerr.InvalidParam, "Unknown value for order_by: %s", query.Order)
	}
	if err := direction(r, &query.Backward); err != nil {
		return res, err
	}
	if query.From, err = httpx.IntQuery(r, "from", 0, 1<<30); err != nil {
		return res, err
	}
	if query.Limit, err = httpx.IntQuery(r, "limit", 100, 1<<20); err != nil {
		return res, err
	}
	for name, to := range map[string]**bool{"public_rooms": &query.Public, "empty_rooms": &query.Empty} {
		if q.Get(name) == "" {
			continue
		}
		v, err := httpx.BoolQuery(r, name, false)
		if err != nil {
			return res, err
		}
		*to = &v
	}
	page, total, err := a.Steward.List(ctx, query)
	res = roomsRes{Rooms: page, Offset: query.From, Total: total}
	if res.Rooms == nil {
		res.Rooms = []*steward.Room{}
	}
	if next := query.From + query.Limit; next < total && query.Limit > 0 {
		res.NextBatch = &next
	}
	if query.From > 0 {
		prev := max(query.From-query.Limit, 0)
		res.PrevBatch = &prev
	}
	return res, err
}

// roomID reads a room id from the path, or the alias of a room that is here.
func (a *API) roomID(ctx context.Context, r *http.Request) (string, error) {
	id := r.PathValue("roomId")
	if strings.HasPrefix(id, "#") {
		return a.Directory.Resolve(ctx, id)
	}
	if _, err := mxid.ParseRoomID(id); err != nil {
		return "", bad(id + " was not legal room ID or room alias")
	}
	return id, nil
}

func (a *API) room(ctx context.Context, r *http.Request) (*room.Room, error) {
	id, err := a.roomID(ctx, r)
	if err != nil {
		return nil, err
	}
	return a.Rooms.Room(ctx, id)
}

type roomDetails struct {
	*steward.Room
	Avatar       *string `json:"avatar"`
	Topic        *string `json:"topic"`
	LocalDevices int     `json:"joined_local_devices"`
	Forgotten    bool    `json:"forgotten"`
	Tombstoned   bool    `json:"tombstoned"`
	Replacement  *string `json:"replacement_room"`
}

func (a *API) getRoom(ctx context.Context, r *http.Request, _ httpx.None) (roomDetails, error) {
	rm, err := a.room(ctx, r)
	if err != nil {
		return roomDetails{}, err
	}
	d, err := a.Steward.Details(ctx, rm.ID)
	if err != nil {
		return roomDetails{}, err
	}
	members, err := a.Rooms.Members(ctx, rm, store.Join)
	if err != nil {
		return roomDetails{}, err
	}
	res := roomDetails{Room: d, Avatar: d.Avatar, Topic: d.Topic, Forgotten: len(members) == 0, Tombstoned: d.Tombstoned, Replacement: d.Replacement}
	for _, m := range members[:min(len(members), maxCounted)] {
		devices, err := a.Engine.Devices(ctx, mxid.UserID(m.User))
		if err != nil {
			return roomDetails{}, err
		}
		res.LocalDevices += len(devices)
	}
	return res, nil
}

// maxCounted bounds the members whose devices are counted.
const maxCounted = 1000

type membersRes struct {
	Members []string `json:"members"`
	Total   int      `json:"total"`
}

func (a *API) getMembers(ctx context.Context, r *http.Request, _ httpx.None) (membersRes, error) {
	rm, err := a.room(ctx, r)
	if err != nil {
		return membersRes{}, err
	}
	members, err := a.Rooms.Members(ctx, rm, store.Join)
	res := membersRes{Members: make([]string, len(members)), Total: len(members)}
	for i, m := range members {
		res.Members[i] = m.User
	}
	return res, err
}

// encoder writes events for somebody who is in no room and sees all.
func (a *API) encoder() *feed.Encoder { return feed.NewEncoder(a.Rooms, "", "") }

func (a *API) getState(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	rm, err := a.room(ctx, r)
	if err != nil {
		return nil, err
	}
	typ := r.URL.Query().Get("type")
	events, err := a.Rooms.State(ctx, rm, rm.Current().State, func(k room.Key) bool { return typ == "" || k.Type == typ })
	if err != nil {
		return nil, err
	}
	out, err := a.encoder().AppendState(ctx, []byte(`{"state":`), rm, events)
	return append(out, '}'), err
}

type blockRes struct {
	Block bool   `json:"block"`
	User  string `json:"user_id,omitempty"`
}

func (a *API) getBlock(ctx context.Context, r *http.Request, _ httpx.None) (blockRes, error) {
	by, err := a.Steward.BlockedBy(ctx, r.PathValue("roomId"))
	return blockRes{by != "", by}, err
}

func (a *API) putBlock(ctx context.Context, r *http.Request, f fields) (blockRes, error) {
	var block bool
	if !f.has("block") || !f.read("block", &block) {
		return blockRes{}, mxerr.New(mxerr.BadJSON, "Param 'block' must be a boolean.")
	}
	id := r.PathValue("roomId")
	if _, err := mxid.ParseRoomID(id); err != nil {
		return blockRes{}, bad(id + " is not a legal room ID")
	}
	return blockRes{Block: block}, a.Steward.Block(ctx, httpx.Who(ctx).User, id, block)
}

type extremity struct {
	EventID  string `json:"event_id"`
	Group    int64  `json:"state_group"`
	Depth    int64  `json:"depth"`
	Received int64  `json:"received_ts"`
}

type extremitiesRes struct {
	Count   int         `json:"count"`
	Results []extremity `json:"results"`
}

// getExtremities lists the events that no other follows.
func (a *API) getExtremities(ctx context.Context, r *http.Request, _ httpx.None) (extremitiesRes, error) {
	rm, err := a.room(ctx, r)
	if err != nil {
		return extremitiesRes{}, err
	}
	cur := rm.Current()
	events, err := a.Rooms.Events(ctx, rm.Version, cur.Heads)
	res := extremitiesRes{Count: len(events), Results: []extremity{}}
	for _, ev := range events {
		res.Results = append(res.Results, extremity{ev.ID, ev.StateAfter, cur.Depth, ev.OriginServerTS})
	}
	return res, err
}

// deleteExtremities has nothing to do: the next event follows all of them.
func (a *API) deleteExtremities(ctx context.Context, r *http.Request, _ httpx.None) (map[string]int, error) {
	_, err := a.room(ctx, r)
	return map[string]int{"deleted": 0}, err
}

type userReq struct {
	User string `json:"user_id"`
}

func (a *API) makeRoomAdmin(ctx context.Context, r *http.Request, req userReq) (httpx.None, error) {
	id, err := a.roomID(ctx, r)
	if err != nil {
		return httpx.None{}, err
	}
	user := req.User
	if user == "" {
		user = httpx.Who(ctx).User
	}
	if _, err := mxid.ParseUserID(user); err != nil {
		return httpx.None{}, err
	}
	return httpx.None{}, a.Steward.MakeAdmin(ctx, id, user)
}

type roomIDRes struct {
	RoomID string `json:"room_id"`
}

func (a *API) joinUser(ctx context.Context, r *http.Request, req userReq) (roomIDRes, error) {
	if req.User == "" {
		return roomIDRes{}, mxerr.New(mxerr.MissingParam, "Missing params: ['user_id']")
	}
	user, err := mxid.ParseUserID(req.User)
	if err != nil {
		return roomIDRes{}, err
	}
	if user.Server() != a.Engine.ServerName {
		return roomIDRes{}, bad("This endpoint can only be used with local users")
	}
	if _, err := a.Engine.User(ctx, string(user)); err != nil {
		return roomIDRes{}, err
	}
	id, err := a.roomID(ctx, r)
	if err != nil {
		return roomIDRes{}, err
	}
	return roomIDRes{id}, a.Steward.JoinUser(ctx, httpx.Who(ctx).User, id, string(user))
}

type roomSize struct {
	RoomID string `json:"room_id"`
	Size   int64  `json:"estimated_size"` // bytes
}

type roomSizesRes struct {
	Rooms []roomSize `json:"rooms"`
}

// largestRooms lists the rooms with most bytes of events.
func (a *API) largestRooms(ctx context.Context, _ *http.Request, _ httpx.None) (roomSizesRes, error) {
	sizes, err := a.Steward.Largest(ctx)
	res := roomSizesRes{Rooms: []roomSize{}}
	for _, s := range sizes {
		res.Rooms = append(res.Rooms, roomSize{s.RoomID, s.Bytes})
	}
	return res, err
}
