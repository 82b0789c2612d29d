package clientapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/spaces"
	"hearth/matrix/mxerr"
)

func (a *Rooms) spaceHierarchyRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /rooms/{roomId}/hierarchy",
		In:      httpx.ClientV1,
		Also:    []string{"GET /_matrix/client/unstable/org.matrix.msc2946/rooms/{roomId}/hierarchy"},
		Auth:    httpx.User,
		Limit:   "search",
		Handler: httpx.JSON(a.getSpaceHierarchy),
		Spec:    "getSpaceHierarchy",
	}}
}

// Bounds of a page of a space.
const (
	defaultHierarchy = 50
	maxHierarchy     = 100
)

// hierarchyToken is where a page starts, and of which walk it is.
type hierarchyToken struct {
	Skip      int    `json:"n"`
	Depth     int    `json:"d"`
	Suggested bool   `json:"s,omitempty"`
	Room      string `json:"r"`
}

type hierarchyAnswer struct {
	Rooms []*spaces.Node `json:"rooms"`
	Next  string         `json:"next_batch,omitempty"`
}

// getSpaceHierarchy: client-server-api/#get_matrixclientv1roomsroomidhierarchy
func (a *Rooms) getSpaceHierarchy(ctx context.Context, r *http.Request, _ httpx.None) (hierarchyAnswer, error) {
	t, err := hierarchyStart(r)
	if err != nil {
		return hierarchyAnswer{}, err
	}
	limit, err := httpx.IntQuery(r, "limit", defaultHierarchy, maxHierarchy)
	if err == nil && limit == 0 {
		err = mxerr.New(mxerr.InvalidParam, "limit must be greater than 0")
	}
	if err != nil {
		return hierarchyAnswer{}, err
	}
	rooms, more, err := a.Spaces.Hierarchy(ctx, spaces.Walk{
		Root: t.Room, User: httpx.Who(ctx).User, SuggestedOnly: t.Suggested, MaxDepth: t.Depth, Skip: t.Skip, Limit: limit,
	})
	if err != nil {
		return hierarchyAnswer{}, err
	}
	out := hierarchyAnswer{Rooms: rooms}
	if rooms == nil {
		out.Rooms = []*spaces.Node{}
	}
	if more {
		t.Skip += len(rooms)
		raw, err := json.Marshal(t)
		if err != nil {
			return hierarchyAnswer{}, err
		}
		out.Next = base64.RawURLEncoding.EncodeToString(raw)
	}
	return out, nil
}

// hierarchyStart is where the page starts that a request asks for.
func hierarchyStart(r *http.Request) (hierarchyToken, error) {
	t := hierarchyToken{Depth: spaces.MaxDepth, Room: r.PathValue("roomId")}
	from := r.URL.Query().Get("from")
	if from != "" {
		raw, err := base64.RawURLEncoding.DecodeString(from)
		if err == nil {
			err = json.Unmarshal(raw, &t)
		}
		if err != nil || t.Room != r.PathValue("roomId") || t.Skip < 0 || t.Depth < 0 || t.Depth > spaces.MaxDepth {
			return t, mxerr.New(mxerr.InvalidParam, "from is not a token of this space")
		}
	}
	depth, err := httpx.IntQuery(r, "max_depth", t.Depth, spaces.MaxDepth)
	if err != nil {
		return t, err
	}
	suggested, err := httpx.BoolQuery(r, "suggested_only", t.Suggested)
	if err != nil {
		return t, err
	}
	if from != "" && (depth != t.Depth || suggested != t.Suggested) {
		return t, mxerr.New(mxerr.InvalidParam, "suggested_only and max_depth cannot change from page to page")
	}
	t.Depth, t.Suggested = depth, suggested
	return t, nil
}
