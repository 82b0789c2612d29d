package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/room"
)

func (p *Personal) tagsRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /user/{userId}/rooms/{roomId}/tags",
		Auth:    httpx.User,
		Handler: httpx.JSON(p.getRoomTags),
		Spec:    "getRoomTags",
	}, {
		Pattern: "PUT /user/{userId}/rooms/{roomId}/tags/{tag}",
		Auth:    httpx.User,
		Limit:   "personal",
		Handler: rawBody(p.setRoomTag),
		Spec:    "setRoomTag",
	}, {
		Pattern: "DELETE /user/{userId}/rooms/{roomId}/tags/{tag}",
		Auth:    httpx.User,
		Limit:   "personal",
		Handler: httpx.JSON(p.deleteRoomTag),
		Spec:    "deleteRoomTag",
	}}
}

// tagged is the caller and the room in the path.
func (p *Personal) tagged(ctx context.Context, r *http.Request) (string, *room.Room, error) {
	user, err := self(ctx, r, "tags")
	if err != nil {
		return "", nil, err
	}
	in, err := p.roomOf(ctx, r, user)
	return user, in, err
}

type tagsRes struct {
	Tags map[string]json.RawMessage `json:"tags"`
}

// getRoomTags: client-server-api/#get_matrixclientv3useruseridroomsroomidtags
func (p *Personal) getRoomTags(ctx context.Context, r *http.Request, _ httpx.None) (tagsRes, error) {
	user, in, err := p.tagged(ctx, r)
	if err != nil {
		return tagsRes{}, err
	}
	tags, err := p.Data.Tags(ctx, user, in.NID)
	return tagsRes{tags}, err
}

// setRoomTag: client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag
func (p *Personal) setRoomTag(ctx context.Context, r *http.Request, body json.RawMessage) (httpx.Raw, error) {
	user, in, err := p.tagged(ctx, r)
	if err != nil {
		return nil, err
	}
	return httpx.Raw("{}"), p.Data.SetTag(ctx, user, in.NID, r.PathValue("tag"), body)
}

// deleteRoomTag: client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag
func (p *Personal) deleteRoomTag(ctx context.Context, r *http.Request, _ httpx.None) (empty, error) {
	user, in, err := p.tagged(ctx, r)
	if err != nil {
		return empty{}, err
	}
	return empty{}, p.Data.DeleteTag(ctx, user, in.NID, r.PathValue("tag"))
}
