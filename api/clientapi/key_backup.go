package clientapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"hearth/api/httpx"
	"hearth/homeserver/e2ee"
	"hearth/matrix/canonjson"
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
		route("GET /room_keys/keys", "getRoomKeys", http.HandlerFunc(a.getRoomKeys)),
		route("DELETE /room_keys/keys", "deleteRoomKeys", httpx.JSON(a.deleteRoomKeys)),
		route("PUT /room_keys/keys/{roomId}", "putRoomKeysByRoomId", httpx.JSON(a.putRoomKeysByRoomID)),
		route("GET /room_keys/keys/{roomId}", "getRoomKeysByRoomId", http.HandlerFunc(a.getRoomKeysByRoomID)),
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

// getRoomKeys: client-server-api/#get_matrixclientv3room_keyskeys
func (a *Encryption) getRoomKeys(w http.ResponseWriter, r *http.Request) {
	out := &keyStream{to: httpx.NewStream(w, r), start: `{"rooms":{`, end: `}}`, empty: `{"rooms":{}}`, byRoom: true}
	a.stream(out, r)
}

// getRoomKeysByRoomID: client-server-api/#get_matrixclientv3room_keyskeysroomid
func (a *Encryption) getRoomKeysByRoomID(w http.ResponseWriter, r *http.Request) {
	out := &keyStream{to: httpx.NewStream(w, r), start: `{"sessions":{`, end: `}`, empty: `{"sessions":{}}`}
	a.stream(out, r)
}

// stream answers with the keys that the path names. They may be more than memory
// should hold.
func (a *Encryption) stream(out *keyStream, r *http.Request) {
	version, err := backupVersion(r)
	if err == nil {
		err = a.Keys.EachBackedUp(r.Context(), httpx.Who(r.Context()).User, version, r.PathValue("roomId"), out.add)
	}
	out.to.Close(out.finish(), err)
}

// keyStream writes keys as JSON while they are read, which is room by room.
type keyStream struct {
	to                *httpx.Stream
	start, end, empty string
	byRoom            bool
	room              string
	buf               []byte
}

func (s *keyStream) add(room, session string, k e2ee.BackedUpKey) error {
	s.buf = s.buf[:0]
	first := s.room == ""
	switch {
	case first:
		s.buf = append(s.buf, s.start...)
	case room != s.room:
		s.buf = append(s.buf, `}},`...)
	default:
		s.buf = append(s.buf, ',')
	}
	if s.byRoom && room != s.room {
		s.buf = append(canonjson.Quote(s.buf, room), `:{"sessions":{`...)
	}
	s.room = room
	s.buf = append(canonjson.Quote(s.buf, session), ':')
	key, err := json.Marshal(k)
	if err != nil {
		return err
	}
	_, err = s.to.Write(append(s.buf, key...))
	return err
}

// finish is the end of the answer.
func (s *keyStream) finish() []byte {
	switch {
	case s.room == "":
		return []byte(s.empty)
	case s.byRoom:
		return []byte(`}}` + s.end)
	}
	return []byte(`}` + s.end)
}

// getRoomKeyBySessionID: client-server-api/#get_matrixclientv3room_keyskeysroomidsessionid
func (a *Encryption) getRoomKeyBySessionID(ctx context.Context, r *http.Request, _ httpx.None) (e2ee.BackedUpKey, error) {
	version, err := backupVersion(r)
	if err != nil {
		return e2ee.BackedUpKey{}, err
	}
	return a.Keys.BackedUp(ctx, httpx.Who(ctx).User, version, r.PathValue("roomId"), r.PathValue("sessionId"))
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
