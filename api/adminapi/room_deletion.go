package adminapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/steward"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) roomDeletionRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "DELETE /rooms/{roomId}", httpx.JSON(a.deleteRoomNow)),
		admin(v2, "DELETE /rooms/{roomId}", httpx.JSON(a.deleteRoom)),
		// rooms/{roomId}/delete_status and rooms/delete_status/{deleteId}
		admin(v2, "GET /rooms/{roomId}/{deleteId}", http.HandlerFunc(a.deleteStatusOf)),
		admin(v1, "POST /purge_history/{roomId}", httpx.JSON(a.purgeHistory)),
		admin(v1, "POST /purge_history/{roomId}/{eventId}", httpx.JSON(a.purgeHistory)),
		admin(v1, "GET /purge_history_status/{purgeId}", httpx.JSON(a.purgeStatus)),
	}
}

// deleteRequest reads a body. Rooms are removed unless it says otherwise.
func (a *API) deleteRequest(ctx context.Context, r *http.Request, f fields) (id string, req steward.DeleteRequest, err error) {
	req = steward.DeleteRequest{Admin: httpx.Who(ctx).User, Purge: true}
	for _, p := range []struct {
		name string
		to   any
		kind string
	}{
		{"block", &req.Block, "boolean"},
		{"purge", &req.Purge, "boolean"},
		{"force_purge", &req.Force, "boolean"},
		{"new_room_user_id", &req.NewUser, "string"},
		{"room_name", &req.Name, "string"},
		{"message", &req.Message, "string"},
	} {
		if !f.read(p.name, p.to) {
			return "", req, mxerr.New(mxerr.BadJSON, "Param '%s' must be a %s, if given", p.name, p.kind)
		}
	}
	if req.NewUser != "" {
		user, err := mxid.ParseUserID(req.NewUser)
		if err != nil || user.Server() != a.Engine.ServerName {
			return "", req, bad("User must be our own: " + req.NewUser)
		}
		if _, err := a.Engine.User(ctx, req.NewUser); err != nil {
			return "", req, err
		}
	}
	id = r.PathValue("roomId")
	if _, err := mxid.ParseRoomID(id); err != nil {
		return "", req, bad(id + " is not a legal room ID")
	}
	return id, req, nil
}

func (a *API) deleteRoomNow(ctx context.Context, r *http.Request, f fields) (*steward.Deleted, error) {
	id, req, err := a.deleteRequest(ctx, r, f)
	if err != nil {
		return nil, err
	}
	return a.Steward.DeleteNow(ctx, id, req)
}

type deleteIDRes struct {
	DeleteID string `json:"delete_id"`
}

func (a *API) deleteRoom(ctx context.Context, r *http.Request, f fields) (deleteIDRes, error) {
	id, req, err := a.deleteRequest(ctx, r, f)
	if err != nil {
		return deleteIDRes{}, err
	}
	job, err := a.Steward.Delete(ctx, id, req)
	return deleteIDRes{job}, err
}

type deleteStatusRes struct {
	DeleteID string          `json:"delete_id"`
	RoomID   string          `json:"room_id"`
	Status   string          `json:"status"`
	Error    *string         `json:"error,omitempty"`
	Shutdown json.RawMessage `json:"shutdown_room"`
}

func deleteStatusOf(j steward.Job) deleteStatusRes {
	res := deleteStatusRes{DeleteID: j.ID, RoomID: j.Target, Status: j.Status, Error: failure(j), Shutdown: j.Result}
	if j.Status != "complete" {
		res.Shutdown = json.RawMessage(`{"kicked_users":[],"failed_to_kick_users":[],"local_aliases":[],"new_room_id":null}`)
	}
	return res
}

// failure is why a job failed, nil if it has not.
func failure(j steward.Job) *string {
	if j.Status != "failed" {
		return nil
	}
	var why struct{ Error string }
	_ = json.Unmarshal(j.Result, &why) // what we wrote
	return &why.Error
}

// deleteStatusOf tells two paths apart that overlap.
func (a *API) deleteStatusOf(w http.ResponseWriter, r *http.Request) {
	switch "delete_status" {
	case r.PathValue("roomId"):
		httpx.JSON(a.deleteStatus).ServeHTTP(w, r)
	case r.PathValue("deleteId"):
		httpx.JSON(a.deleteStatusOfRoom).ServeHTTP(w, r)
	default:
		httpx.Fail(w, r, mxerr.New(mxerr.Unrecognized, "There is no such endpoint"))
	}
}

func (a *API) deleteStatus(ctx context.Context, r *http.Request, _ httpx.None) (deleteStatusRes, error) {
	j, err := a.Steward.Job(ctx, r.PathValue("deleteId"))
	return deleteStatusOf(j), err
}

type deleteStatusesRes struct {
	Results []deleteStatusRes `json:"results"`
}

func (a *API) deleteStatusOfRoom(ctx context.Context, r *http.Request, _ httpx.None) (res deleteStatusesRes, err error) {
	jobs, err := a.Steward.Jobs(ctx, r.PathValue("roomId"))
	if err == nil && len(jobs) == 0 {
		err = mxerr.New(mxerr.NotFound, "No delete task for room_id '%s' found", r.PathValue("roomId"))
	}
	for _, j := range jobs {
		res.Results = append(res.Results, deleteStatusOf(j))
	}
	return res, err
}

type purgeIDRes struct {
	PurgeID string `json:"purge_id"`
}

// purgeHistory removes messages before an event or a time.
func (a *API) purgeHistory(ctx context.Context, r *http.Request, f fields) (purgeIDRes, error) {
	var eventID string
	var ts int64
	if !f.read("purge_up_to_event_id", &eventID) || !f.read("purge_up_to_ts", &ts) {
		return purgeIDRes{}, mxerr.New(mxerr.BadJSON, "purge_up_to_event_id must be a string, and purge_up_to_ts a time in milliseconds")
	}
	if id := r.PathValue("eventId"); id != "" {
		eventID = id
	}
	rm, err := a.room(ctx, r)
	if err != nil {
		return purgeIDRes{}, err
	}
	upto := steward.Place{TS: ts}
	switch {
	case eventID != "":
		ev, err := a.Rooms.EventByID(ctx, eventID)
		if err != nil || ev.Room != rm.NID || ev.Ord == 0 {
			return purgeIDRes{}, mxerr.New(mxerr.NotFound, "Event is not in this room")
		}
		upto = steward.Place{Ord: ev.Ord}
	case ts == 0:
		return purgeIDRes{}, bad("must specify purge_up_to_event_id or purge_up_to_ts")
	}
	id, err := a.Steward.PurgeHistory(ctx, rm, upto)
	return purgeIDRes{id}, err
}

type purgeStatusRes struct {
	Status string  `json:"status"`
	Error  *string `json:"error,omitempty"`
}

func (a *API) purgeStatus(ctx context.Context, r *http.Request, _ httpx.None) (purgeStatusRes, error) {
	j, err := a.Steward.Job(ctx, r.PathValue("purgeId"))
	return purgeStatusRes{j.Status, failure(j)}, err
}
