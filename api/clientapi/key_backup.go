package clientapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"hearth/api/httpx"
	"hearth/homeserver/e2ee"
	"hearth/matrix/mxerr"
)

func (a *Encryption) keyBackupRoutes() []httpx.Route {
	route := func(pattern, spec string, h http.Handler) httpx.Route {
		r := httpx.Route{Pattern: pattern, Auth: httpx.User, Handler: h, Spec: spec, MaxBody: bigBody}
		method, path, _ := strings.Cut(pattern, " ")
		r.Also = []string{method + " /_matrix/client/unstable" + path}
		if method != http.MethodGet {
			r.Limit = "keys"
		}
		return r
	}
	return []httpx.Route{
		route("POST /room_keys/version", "postRoomKeysVersion", httpx.JSON(a.postRoomKeysVersion)),
		route("GET /room_keys/version", "getRoomKeysVersionCurrent", httpx.JSON(a.getRoomKeysVersion)),
		route("GET /room_keys/version/{version}", "getRoomKeysVersion", httpx.JSON(a.getRoomKeysVersion)),
		route("PUT /room_keys/version/{version}", "putRoomKeysVersion", httpx.JSON(a.putRoomKeysVersion)),
		route("DELETE /room_keys/version/{version}", "deleteRoomKeysVersion", httpx.JSON(a.deleteRoomKeysVersion)),
		route("PUT /room_keys/keys", "putRoomKeys", httpx.JSON(a.putRoomKeys)),
		route("GET /room_keys/keys", "getRoomKeys", httpx.JSON(a.getRoomKeys)),
		route("DELETE /room_keys/keys", "deleteRoomKeys", httpx.JSON(a.deleteRoomKeys)),
		route("PUT /room_keys/keys/{roomId}", "putRoomKeysByRoomId", httpx.JSON(a.putRoomKeysByRoomID)),
		route("GET /room_keys/keys/{roomId}", "getRoomKeysByRoomId", httpx.JSON(a.getRoomKeysByRoomID)),
		route("DELETE /room_keys/keys/{roomId}", "deleteRoomKeysByRoomId", httpx.JSON(a.deleteRoomKeys)),
		route("PUT /room_keys/keys/{roomId}/{sessionId}", "putRoomKeyBySessionId", httpx.JSON(a.putRoomKeyBySessionID)),
		route("GET /room_keys/keys/{roomId}/{sessionId}", "getRoomKeyBySessionId", httpx.JSON(a.getRoomKeyBySessionID)),
		route("DELETE /room_keys/keys/{roomId}/{sessionId}", "deleteRoomKeyBySessionId", httpx.JSON(a.deleteRoomKeys)),
	}
}

type backupReq struct {
	Algorithm string          `json:"algorithm"`
	AuthData  json.RawMessage `json:"auth_data"`
	Version   string          `json:"version"`
}

type versionRes struct {
	Version string `json:"version"`
}

// postRoomKeysVersion: client-server-api/#post_matrixclientv3room_keysversion
func (a *Encryption) postRoomKeysVersion(ctx context.Context, _ *http.Request, req backupReq) (versionRes, error) {
	version, err := a.Keys.CreateBackup(ctx, httpx.Who(ctx).User, req.Algorithm, req.AuthData)
	return versionRes{version}, err
}

// getRoomKeysVersion: client-server-api/#get_matrixclientv3room_keysversionversion,
// and the current version without a number.
func (a *Encryption) getRoomKeysVersion(ctx context.Context, r *http.Request, _ httpx.None) (e2ee.Backup, error) {
	return a.Keys.Backup(ctx, httpx.Who(ctx).User, r.PathValue("version"))
}

// putRoomKeysVersion: client-server-api/#put_matrixclientv3room_keysversionversion
func (a *Encryption) putRoomKeysVersion(ctx context.Context, r *http.Request, req backupReq) (empty, error) {
	return empty{}, a.Keys.SetAuthData(ctx, httpx.Who(ctx).User, r.PathValue("version"), req.Version, req.Algorithm, req.AuthData)
}

// deleteRoomKeysVersion: client-server-api/#delete_matrixclientv3room_keysversionversion
func (a *Encryption) deleteRoomKeysVersion(ctx context.Context, r *http.Request, _ httpx.None) (empty, error) {
	return empty{}, a.Keys.DeleteBackup(ctx, httpx.Who(ctx).User, r.PathValue("version"))
}

// backupVersion is the query parameter that says which version is meant.
func backupVersion(r *http.Request) (string, error) {
	v := r.URL.Query().Get("version")
	if v == "" {
		return "", missing("version")
	}
	return v, nil
}

type sessionsOfRoom struct {
	Sessions map[string]e2ee.BackedUpKey `json:"sessions"`
}

type sessionsOfRooms struct {
	Rooms map[string]sessionsOfRoom `json:"rooms"`
}

// putRoomKeys: client-server-api/#put_matrixclientv3room_keyskeys
func (a *Encryption) putRoomKeys(ctx context.Context, r *http.Request, req sessionsOfRooms) (e2ee.Change, error) {
	if req.Rooms == nil {
		return e2ee.Change{}, missing("rooms")
	}
	keys := e2ee.BackedUpKeys{}
	for room, s := range req.Rooms {
		keys[room] = s.Sessions
	}
	return a.backUp(ctx, r, keys)
}

// putRoomKeysByRoomID: client-server-api/#put_matrixclientv3room_keyskeysroomid
func (a *Encryption) putRoomKeysByRoomID(ctx context.Context, r *http.Request, req sessionsOfRoom) (e2ee.Change, error) {
	if req.Sessions == nil {
		return e2ee.Change{}, missing("sessions")
	}
	return a.backUp(ctx, r, e2ee.BackedUpKeys{r.PathValue("roomId"): req.Sessions})
}

// putRoomKeyBySessionID: client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid
func (a *Encryption) putRoomKeyBySessionID(ctx context.Context, r *http.Request, req e2ee.BackedUpKey) (e2ee.Change, error) {
	return a.backUp(ctx, r, e2ee.BackedUpKeys{r.PathValue("roomId"): {r.PathValue("sessionId"): req}})
}

func (a *Encryption) backUp(ctx context.Context, r *http.Request, keys e2ee.BackedUpKeys) (e2ee.Change, error) {
	version, err := backupVersion(r)
	if err != nil {
		return e2ee.Change{}, err
	}
	return a.Keys.BackUp(ctx, httpx.Who(ctx).User, version, keys)
}

// backedUp reads what the path names.
func (a *Encryption) backedUp(ctx context.Context, r *http.Request) (e2ee.BackedUpKeys, error) {
	version, err := backupVersion(r)
	if err != nil {
		return nil, err
	}
	return a.Keys.BackedUp(ctx, httpx.Who(ctx).User, version, r.PathValue("roomId"), r.PathValue("sessionId"))
}

// getRoomKeys: client-server-api/#get_matrixclientv3room_keyskeys
func (a *Encryption) getRoomKeys(ctx context.Context, r *http.Request, _ httpx.None) (sessionsOfRooms, error) {
	keys, err := a.backedUp(ctx, r)
	res := sessionsOfRooms{map[string]sessionsOfRoom{}}
	for room, sessions := range keys {
		res.Rooms[room] = sessionsOfRoom{sessions}
	}
	return res, err
}

// getRoomKeysByRoomID: client-server-api/#get_matrixclientv3room_keyskeysroomid
func (a *Encryption) getRoomKeysByRoomID(ctx context.Context, r *http.Request, _ httpx.None) (sessionsOfRoom, error) {
	keys, err := a.backedUp(ctx, r)
	res := sessionsOfRoom{keys[r.PathValue("roomId")]}
	if res.Sessions == nil {
		res.Sessions = map[string]e2ee.BackedUpKey{}
	}
	return res, err
}

// getRoomKeyBySessionID: client-server-api/#get_matrixclientv3room_keyskeysroomidsessionid
func (a *Encryption) getRoomKeyBySessionID(ctx context.Context, r *http.Request, _ httpx.None) (e2ee.BackedUpKey, error) {
	keys, err := a.backedUp(ctx, r)
	if err != nil {
		return e2ee.BackedUpKey{}, err
	}
	key, ok := keys[r.PathValue("roomId")][r.PathValue("sessionId")]
	if !ok {
		return e2ee.BackedUpKey{}, mxerr.New(mxerr.NotFound, "The backup has no key for this session")
	}
	return key, nil
}

// deleteRoomKeys: client-server-api/#delete_matrixclientv3room_keyskeys, and of a
// room or a session.
func (a *Encryption) deleteRoomKeys(ctx context.Context, r *http.Request, _ httpx.None) (e2ee.Change, error) {
	version, err := backupVersion(r)
	if err != nil {
		return e2ee.Change{}, err
	}
	return a.Keys.DeleteKeys(ctx, httpx.Who(ctx).User, version, r.PathValue("roomId"), r.PathValue("sessionId"))
}
