package adminapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/spaces"
	"hearth/homeserver/steward"
	"hearth/matrix/mxerr"
)

// How operators find their way: in time, through spaces, and through what goes on
// in the background.
func (a *API) lookRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /rooms/{roomId}/timestamp_to_event", httpx.JSON(a.timestampToEvent)),
		admin(v1, "GET /rooms/{roomId}/hierarchy", httpx.JSON(a.hierarchy)),
		admin(v1, "GET /scheduled_tasks", httpx.JSON(a.scheduledTasks)),
	}
}

type eventAtRes struct {
	EventID string `json:"event_id"`
	TS      int64  `json:"origin_server_ts"` // ms
}

func (a *API) timestampToEvent(ctx context.Context, r *http.Request, _ httpx.None) (eventAtRes, error) {
	rm, err := a.room(ctx, r)
	if err != nil {
		return eventAtRes{}, err
	}
	text := r.URL.Query().Get("ts")
	if text == "" {
		return eventAtRes{}, mxerr.New(mxerr.MissingParam, "Missing integer query parameter 'ts'")
	}
	at, err := timeParam("ts", text)
	if err != nil {
		return eventAtRes{}, err
	}
	backward := false
	if err := direction(r, &backward); err != nil {
		return eventAtRes{}, err
	}
	if err := a.Search.CatchUp(ctx); err != nil {
		return eventAtRes{}, err
	}
	nids, err := a.Search.Near(ctx, rm.NID, at, backward, 0)
	if err != nil {
		return eventAtRes{}, err
	}
	events, err := a.Rooms.Events(ctx, rm.Version, nids)
	if err == nil && len(events) == 0 {
		err = mxerr.New(mxerr.NotFound, "Unable to find event from that time in this direction")
	}
	if err != nil {
		return eventAtRes{}, err
	}
	return eventAtRes{events[0].ID, events[0].OriginServerTS}, nil
}

type hierarchyRes struct {
	Rooms []*spaces.Node `json:"rooms"`
	Next  string         `json:"next_batch,omitempty"`
}

// hierarchyToken is where a page starts, and of which walk it is.
type hierarchyToken struct {
	Skip  int    `json:"n"`
	Depth int    `json:"d"`
	Room  string `json:"r"`
}

// Bounds of a page of a space.
const (
	defaultHierarchy = 50
	maxHierarchy     = 1000
)

// hierarchy is a space with all rooms that are here, whoever may know of them.
func (a *API) hierarchy(ctx context.Context, r *http.Request, _ httpx.None) (hierarchyRes, error) {
	rm, err := a.room(ctx, r)
	if err != nil {
		return hierarchyRes{}, err
	}
	t := hierarchyToken{Depth: spaces.MaxDepth, Room: rm.ID}
	if from := r.URL.Query().Get("from"); from != "" {
		raw, err := base64.RawURLEncoding.DecodeString(from)
		if err != nil || json.Unmarshal(raw, &t) != nil || t.Room != rm.ID || t.Skip < 0 {
			return hierarchyRes{}, mxerr.New(mxerr.InvalidParam, "from is not a token of this space")
		}
	}
	if t.Depth, err = httpx.IntQuery(r, "max_depth", min(max(t.Depth, 0), spaces.MaxDepth), spaces.MaxDepth); err != nil {
		return hierarchyRes{}, err
	}
	limit, err := httpx.IntQuery(r, "limit", defaultHierarchy, maxHierarchy)
	if err != nil {
		return hierarchyRes{}, err
	}
	rooms, more, err := a.Spaces.Hierarchy(ctx, spaces.Walk{Root: rm.ID, All: true, MaxDepth: t.Depth, Skip: t.Skip, Limit: limit})
	if err != nil {
		return hierarchyRes{}, err
	}
	res := hierarchyRes{Rooms: append([]*spaces.Node{}, rooms...)}
	if more && limit > 0 {
		t.Skip += len(rooms)
		raw, err := json.Marshal(t)
		if err != nil {
			return hierarchyRes{}, err
		}
		res.Next = base64.RawURLEncoding.EncodeToString(raw)
	}
	return res, nil
}

// actions are the names that Synapse has for jobs.
var actions = map[string]string{
	steward.KindDelete: "shutdown_and_purge_room", steward.KindPurge: "purge_history", steward.KindRedact: "redact_all_events",
}

type task struct {
	ID         string          `json:"id"`
	Action     string          `json:"action"`
	Status     string          `json:"status"`
	TS         int64           `json:"timestamp_ms"` // when it was asked for
	ResourceID string          `json:"resource_id"`
	Result     json.RawMessage `json:"result"`
	Error      *string         `json:"error"`
}

type tasksRes struct {
	Tasks []task `json:"scheduled_tasks"`
}

func (a *API) scheduledTasks(ctx context.Context, r *http.Request, _ httpx.None) (tasksRes, error) {
	q := r.URL.Query()
	res := tasksRes{Tasks: []task{}}
	status := q.Get("status")
	if status == "" {
		status = q.Get("job_status") // the older name
	}
	switch status {
	case "", "scheduled", "active", "complete", "cancelled", "failed":
	default:
		return res, mxerr.New(mxerr.InvalidParam, "%q is not a valid status", status)
	}
	before, err := httpx.IntQuery(r, "max_timestamp", 0, 1<<53)
	if err != nil {
		return res, err
	}
	kind := ""
	if name := q.Get("action_name"); name != "" {
		for k, action := range actions {
			if action == name {
				kind = k
			}
		}
		if kind == "" {
			return res, nil // nothing is called so
		}
	}
	target := q.Get("resource_id")
	if !storable(target) {
		return res, nil
	}
	tasks, err := a.Steward.Tasks(ctx, kind, target, status, int64(before))
	for _, t := range tasks {
		res.Tasks = append(res.Tasks, taskOf(t))
	}
	return res, err
}

func taskOf(t steward.Task) task {
	out := task{ID: t.ID, Action: actions[t.Kind], Status: t.Status, TS: t.At, ResourceID: t.Target, Result: json.RawMessage("null")}
	out.Error = failure(t.Job)
	if t.Status == "complete" {
		out.Result = t.Result
	}
	return out
}
