package clientapi

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *Rooms) mutualRoomsRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /mutual_rooms",
		In:      httpx.ClientV1,
		Also:    []string{"GET /_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"},
		Auth:    httpx.User,
		Limit:   "search",
		Handler: httpx.JSON(a.getMutualRooms),
		Spec:    "getMutualRooms",
	}}
}

// maxMutual bounds the rooms of one answer.
const maxMutual = 100

type mutualRoomsAnswer struct {
	Joined []string `json:"joined"`
	Count  int64    `json:"count"`
	Next   string   `json:"next_batch,omitempty"`
	// The name of Next before it was specified (MSC2666).
	OldNext string `json:"next_batch_token,omitempty"`
}

// getMutualRooms: client-server-api/#get_matrixclientv1mutual_rooms
func (a *Rooms) getMutualRooms(ctx context.Context, r *http.Request, _ httpx.None) (mutualRoomsAnswer, error) {
	q := r.URL.Query()
	other, me := q.Get("user_id"), httpx.Who(ctx).User
	if other == "" {
		return mutualRoomsAnswer{}, mxerr.New(mxerr.MissingParam, "user_id is missing")
	}
	if _, err := mxid.ParseUserID(other); err != nil || other == me {
		return mutualRoomsAnswer{}, mxerr.New(mxerr.InvalidParam, "user_id must be the id of somebody else")
	}
	after := int64(0)
	if from := cmp.Or(q.Get("from"), q.Get("batch_token")); from != "" {
		digits, ok := strings.CutPrefix(from, "m")
		n, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil || n < 0 {
			return mutualRoomsAnswer{}, mxerr.New(mxerr.InvalidParam, "%q is not a token of this list", from)
		}
		after = n
	}
	ids, total, next, err := a.Spaces.Mutual(ctx, me, other, after, maxMutual)
	if err != nil {
		return mutualRoomsAnswer{}, err
	}
	out := mutualRoomsAnswer{Joined: append([]string{}, ids...), Count: total}
	if next != 0 {
		out.Next = "m" + strconv.FormatInt(next, 10)
		out.OldNext = out.Next
	}
	return out, nil
}
