package clientapi

import (
	"context"
	"encoding/json"
	"net/http"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
)

func (p *Personal) accountDataRoutes() []httpx.Route {
	const own = "/user/{userId}/account_data/{type}"
	const ofRoom = "/user/{userId}/rooms/{roomId}/account_data/{type}"
	// MSC3391, accepted and not yet in the specification.
	const unstable = "DELETE /_matrix/client/unstable/org.matrix.msc3391"
	return []httpx.Route{{
		Pattern: "PUT " + own,
		Auth:    httpx.User,
		Limit:   "personal",
		Handler: rawBody(p.setAccountData),
		Spec:    "setAccountData",
	}, {
		Pattern: "GET " + own,
		Auth:    httpx.User,
		Handler: httpx.JSON(p.getAccountData),
		Spec:    "getAccountData",
	}, {
		Pattern: "DELETE " + own,
		Also:    []string{unstable + own},
		Auth:    httpx.User,
		Limit:   "personal",
		Handler: httpx.JSON(p.deleteAccountData),
	}, {
		Pattern: "PUT " + ofRoom,
		Auth:    httpx.User,
		Limit:   "personal",
		Handler: rawBody(p.setAccountData),
		Spec:    "setAccountDataPerRoom",
	}, {
		Pattern: "GET " + ofRoom,
		Auth:    httpx.User,
		Handler: httpx.JSON(p.getAccountData),
		Spec:    "getAccountDataPerRoom",
	}, {
		Pattern: "DELETE " + ofRoom,
		Also:    []string{unstable + ofRoom},
		Auth:    httpx.User,
		Limit:   "personal",
		Handler: httpx.JSON(p.deleteAccountData),
	}}
}

// entry is the caller, the number of the room in the path, 0 without one, and
// the type.
func (p *Personal) entry(ctx context.Context, r *http.Request) (user string, room int64, typ string, err error) {
	if user, err = self(ctx, r, "account data"); err != nil {
		return "", 0, "", err
	}
	if r.PathValue("roomId") != "" {
		in, err := p.roomOf(ctx, r, user)
		if err != nil {
			return "", 0, "", err
		}
		room = in.NID
	}
	return user, room, r.PathValue("type"), nil
}

// setAccountData: client-server-api/#put_matrixclientv3useruseridaccount_datatype
// and the same of a room.
func (p *Personal) setAccountData(ctx context.Context, r *http.Request, body json.RawMessage) (httpx.Raw, error) {
	user, room, typ, err := p.entry(ctx, r)
	if err != nil {
		return nil, err
	}
	return httpx.Raw("{}"), p.Data.Put(ctx, user, room, typ, body)
}

// getAccountData: client-server-api/#get_matrixclientv3useruseridaccount_datatype
// and the same of a room.
func (p *Personal) getAccountData(ctx context.Context, r *http.Request, _ httpx.None) (httpx.Raw, error) {
	user, room, typ, err := p.entry(ctx, r)
	if mxerr.From(err).Code == mxerr.Forbidden && r.PathValue("userId") == httpx.Who(ctx).User {
		return nil, mxerr.New(mxerr.NotFound, "Room account data not found") // nobody keeps data of a foreign room
	}
	if err != nil {
		return nil, err
	}
	content, err := p.Data.Get(ctx, user, room, typ)
	return httpx.Raw(content), err
}

func (p *Personal) deleteAccountData(ctx context.Context, r *http.Request, _ httpx.None) (empty, error) {
	user, room, typ, err := p.entry(ctx, r)
	if err != nil {
		return empty{}, err
	}
	return empty{}, p.Data.Delete(ctx, user, room, typ)
}
