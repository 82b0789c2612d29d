package adminapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"hearth/api/httpx"
	"hearth/homeserver/media"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) mediaRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /media/{serverName}/{mediaId}", httpx.JSON(a.mediaInfo)),
		admin(v1, "DELETE /media/{serverName}/{mediaId}", httpx.JSON(a.deleteMedia)),
		admin(v1, "POST /media/delete", httpx.JSON(a.deleteOldMedia)),
		admin(v1, "POST /purge_media_cache", httpx.JSON(a.purgeMediaCache)),
		// media/protect/{mediaId}, media/unprotect/{mediaId}, media/{serverName}/delete
		admin(v1, "POST /media/{serverName}/{mediaId}", httpx.JSON(a.postMedia)),
		admin(v1, "POST /media/quarantine/{serverName}/{mediaId}", httpx.JSON(a.quarantineMedia)),
		admin(v1, "POST /media/unquarantine/{serverName}/{mediaId}", httpx.JSON(a.unquarantineMedia)),
		admin(v1, "GET /media/quarantine_changes", httpx.JSON(a.quarantineChanges)),
		admin(v1, "GET /room/{roomId}/media", httpx.JSON(a.mediaInRoom)),
		admin(v1, "POST /room/{roomId}/media/quarantine", httpx.JSON(a.quarantineRoom)),
		admin(v1, "POST /quarantine_media/{roomId}", httpx.JSON(a.quarantineRoom)),
		admin(v1, "POST /user/{userId}/media/quarantine", httpx.JSON(a.quarantineUser)),
	}
}

// mediaInfo is what an operator sees of a file.
type mediaInfo struct {
	Origin        *string `json:"media_origin"` // null for this server
	UserID        *string `json:"user_id"`
	MediaID       string  `json:"media_id"`
	Type          string  `json:"media_type"`
	Length        *int64  `json:"media_length"` // bytes; null before the upload
	UploadName    *string `json:"upload_name"`
	CreatedTS     int64   `json:"created_ts"`    // ms
	FilesystemID  *string `json:"filesystem_id"` // of copies of other servers' files
	URLCache      *string `json:"url_cache"`     // never: previews keep no pages
	LastAccessTS  *int64  `json:"last_access_ts"`
	QuarantinedBy *string `json:"quarantined_by"`
	Authenticated bool    `json:"authenticated"` // whether it cannot be had without a token
	Safe          *bool   `json:"safe_from_quarantine"`
	SHA256        *string `json:"sha256"`
}

type mediaInfoRes struct {
	Info mediaInfo `json:"media_info"`
}

func (a *API) mediaInfo(ctx context.Context, r *http.Request, _ httpx.None) (mediaInfoRes, error) {
	m, err := a.file(ctx, r)
	if err != nil {
		return mediaInfoRes{}, err
	}
	out := mediaInfo{
		MediaID: m.ID, Type: m.Type, UploadName: orNull(m.Name), CreatedTS: m.Created,
		QuarantinedBy: orNull(m.QuarantinedBy), Authenticated: !a.MediaOpen, SHA256: orNull(m.Hash),
	}
	if m.Hash != "" {
		out.Length, out.LastAccessTS = &m.Size, &m.Used
	}
	if m.Origin == string(a.Engine.ServerName) {
		out.UserID, out.Safe = &m.User, &m.Protected
	} else {
		out.Origin, out.FilesystemID = &m.Origin, orNull(m.Hash)
	}
	return mediaInfoRes{out}, nil
}

// file is the file that a path names.
func (a *API) file(ctx context.Context, r *http.Request) (media.Info, error) {
	m, err := a.Media.Info(ctx, r.PathValue("serverName"), r.PathValue("mediaId"))
	if mxerr.From(err).Code == mxerr.NotFound && err != nil {
		err = mxerr.New(mxerr.NotFound, "Unknown media")
	}
	return m, err
}

type deletedMediaRes struct {
	Deleted []string `json:"deleted_media"`
	Total   int      `json:"total"`
}

func deletedMedia(ids []string) deletedMediaRes {
	return deletedMediaRes{append([]string{}, ids...), len(ids)}
}

// deleteMedia removes a file, or the copy of another server's, which Synapse keeps
// until it purges all of them.
func (a *API) deleteMedia(ctx context.Context, r *http.Request, _ httpx.None) (deletedMediaRes, error) {
	m, err := a.file(ctx, r)
	if err != nil {
		return deletedMediaRes{}, err
	}
	ids, err := a.Media.Delete(ctx, []media.Info{m})
	return deletedMedia(ids), err
}

func (a *API) ownMedia(r *http.Request) error {
	if r.PathValue("serverName") != string(a.Engine.ServerName) {
		return bad("Can only delete local media")
	}
	return nil
}

// beforeTS reads a time in milliseconds that is no time in seconds.
func beforeTS(r *http.Request) (int64, error) {
	if r.URL.Query().Get("before_ts") == "" {
		return 0, mxerr.New(mxerr.MissingParam, "Missing integer query parameter 'before_ts'")
	}
	ts, err := httpx.IntQuery(r, "before_ts", 0, 1<<53)
	if err == nil && ts < 30_000_000_000 {
		err = mxerr.New(mxerr.InvalidParam, "Query parameter before_ts you provided is from the year 1970. Double check that you are providing a timestamp in milliseconds.")
	}
	return int64(ts), err
}

func (a *API) deleteOldMedia(ctx context.Context, r *http.Request, _ httpx.None) (deletedMediaRes, error) {
	before, err := beforeTS(r)
	if err != nil {
		return deletedMediaRes{}, err
	}
	larger, err := httpx.IntQuery(r, "size_gt", 0, 1<<53)
	if err != nil {
		return deletedMediaRes{}, err
	}
	keep, err := httpx.BoolQuery(r, "keep_profiles", true)
	if err != nil {
		return deletedMediaRes{}, err
	}
	ids, err := a.Media.DeleteBefore(ctx, before, int64(larger), false, keep)
	return deletedMedia(ids), err
}

// purgeMediaCache removes copies of other servers' files.
func (a *API) purgeMediaCache(ctx context.Context, r *http.Request, _ httpx.None) (map[string]int, error) {
	before, err := beforeTS(r)
	if err != nil {
		return nil, err
	}
	ids, err := a.Media.DeleteBefore(ctx, before, 0, true, false)
	return map[string]int{"deleted": len(ids)}, err
}

// postMedia tells paths apart that overlap.
func (a *API) postMedia(ctx context.Context, r *http.Request, req httpx.None) (any, error) {
	first, id := r.PathValue("serverName"), r.PathValue("mediaId")
	switch {
	case first == "protect", first == "unprotect":
		return httpx.None{}, a.Media.Protect(ctx, id, first == "protect")
	case id == "delete":
		if err := a.ownMedia(r); err != nil {
			return nil, err
		}
		return a.deleteOldMedia(ctx, r, req)
	}
	return nil, mxerr.New(mxerr.Unrecognized, "There is no such endpoint")
}

func (a *API) quarantineMedia(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, a.setQuarantine(ctx, r, httpx.Who(ctx).User)
}

func (a *API) unquarantineMedia(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	return httpx.None{}, a.setQuarantine(ctx, r, "")
}

func (a *API) setQuarantine(ctx context.Context, r *http.Request, by string) error {
	_, err := a.Media.QuarantineOne(ctx, r.PathValue("serverName"), r.PathValue("mediaId"), by)
	if err != nil && mxerr.From(err).Code == mxerr.NotFound {
		err = mxerr.New(mxerr.NotFound, "Unknown media")
	}
	return err
}

type quarantineChange struct {
	Origin      string `json:"origin"`
	MediaID     string `json:"media_id"`
	Quarantined bool   `json:"quarantined"`
}

type quarantineChangesRes struct {
	Next    int64              `json:"next_batch"`
	Changes []quarantineChange `json:"changes"`
}

func (a *API) quarantineChanges(ctx context.Context, r *http.Request, _ httpx.None) (quarantineChangesRes, error) {
	from, err := httpx.IntQuery(r, "from", 0, 1<<62)
	if err != nil {
		return quarantineChangesRes{}, err
	}
	changes, next, err := a.Media.QuarantineChanges(ctx, int64(from), 100)
	res := quarantineChangesRes{next, []quarantineChange{}}
	for _, c := range changes {
		res.Changes = append(res.Changes, quarantineChange{c.Origin, c.ID, c.Quarantined})
	}
	return res, err
}

type roomMediaRes struct {
	Local  []string `json:"local"`
	Remote []string `json:"remote"`
}

// mediaInRoom lists the files that a room names in the open.
func (a *API) mediaInRoom(ctx context.Context, r *http.Request, _ httpx.None) (roomMediaRes, error) {
	res := roomMediaRes{[]string{}, []string{}}
	rm, err := a.room(ctx, r)
	if err != nil {
		return res, err
	}
	uris, err := a.Steward.MediaIn(ctx, rm)
	for _, uri := range uris {
		switch origin, _, ok := splitMXC(uri); {
		case !ok:
		case origin == string(a.Engine.ServerName):
			res.Local = append(res.Local, uri)
		default:
			res.Remote = append(res.Remote, uri)
		}
	}
	return res, err
}

// splitMXC takes a file's address apart.
func splitMXC(uri string) (origin, id string, ok bool) {
	rest, ok := strings.CutPrefix(uri, "mxc://")
	if !ok {
		return "", "", false
	}
	origin, id, ok = strings.Cut(rest, "/")
	return origin, id, ok && origin != "" && id != ""
}

type quarantinedRes struct {
	Number int `json:"num_quarantined"`
}

func (a *API) quarantineRoom(ctx context.Context, r *http.Request, _ httpx.None) (quarantinedRes, error) {
	rm, err := a.room(ctx, r)
	if err != nil {
		return quarantinedRes{}, err
	}
	uris, err := a.Steward.MediaIn(ctx, rm)
	if err != nil {
		return quarantinedRes{}, err
	}
	return a.quarantine(ctx, slices.Values(uris))
}

// quarantine hides the files of some addresses.
func (a *API) quarantine(ctx context.Context, uris func(yield func(string) bool)) (res quarantinedRes, err error) {
	for uri := range uris {
		origin, id, ok := splitMXC(uri)
		if !ok {
			continue
		}
		n, err := a.Media.QuarantineOne(ctx, origin, id, httpx.Who(ctx).User)
		if err != nil && mxerr.From(err).Code != mxerr.NotFound { // it is gone, or never came
			return res, err
		}
		res.Number += n
	}
	return res, nil
}

// maxQuarantine is how many files of a user are hidden at a time.
const maxQuarantine = 1000

func (a *API) quarantineUser(ctx context.Context, r *http.Request, _ httpx.None) (res quarantinedRes, err error) {
	user, err := mxid.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return res, err
	}
	page := mediaPageOf(string(user), maxQuarantine)
	for {
		files, _, err := a.Media.OfUser(ctx, page)
		if err != nil || len(files) == 0 {
			return res, err
		}
		n, err := a.Media.Quarantine(ctx, files, httpx.Who(ctx).User)
		if err != nil {
			return res, err
		}
		res.Number += n
		page.From += len(files)
	}
}
