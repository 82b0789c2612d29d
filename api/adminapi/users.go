package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) userRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v2, "GET /users/{userId}", httpx.JSON(a.getUser)),
		admin(v2, "PUT /users/{userId}", http.HandlerFunc(a.putUser)),
	}
}

// user is the long form of an account. What this server does not have is there
// with the value that it has on a Synapse that does not use it.
type user struct {
	Name                    mxid.UserID `json:"name"`
	Admin                   bool        `json:"admin"`
	Deactivated             bool        `json:"deactivated"`
	Locked                  bool        `json:"locked"`
	ShadowBanned            bool        `json:"shadow_banned"`
	CreationTS              int64       `json:"creation_ts"` // seconds, unlike in the list
	AppserviceID            *string     `json:"appservice_id"`
	ConsentServerNoticeSent *string     `json:"consent_server_notice_sent"`
	ConsentVersion          *string     `json:"consent_version"`
	ConsentTS               *int64      `json:"consent_ts"`
	UserType                *string     `json:"user_type"`
	IsGuest                 bool        `json:"is_guest"`
	Suspended               bool        `json:"suspended"`
	DisplayName             *string     `json:"displayname"`
	AvatarURL               *string     `json:"avatar_url"`
	Threepids               []threepid  `json:"threepids"`
	ExternalIDs             []external  `json:"external_ids"`
	Erased                  bool        `json:"erased"`
	LastSeenTS              *int64      `json:"last_seen_ts"` // ms
}

func (a *API) getUser(ctx context.Context, r *http.Request, _ httpx.None) (user, error) {
	id, err := a.localUser(r, "Can only look up local users")
	if err != nil {
		return user{}, err
	}
	return a.user(ctx, id)
}

func (a *API) user(ctx context.Context, id mxid.UserID) (user, error) {
	u, err := a.Engine.Details(ctx, id)
	if err != nil {
		return user{}, err
	}
	res := user{
		Name: u.ID, Admin: u.Admin, Deactivated: u.Deactivated, CreationTS: u.Created.Unix(), UserType: orNull(u.Kind),
		IsGuest: u.Guest, DisplayName: orNull(u.DisplayName), AvatarURL: orNull(u.AvatarURL),
		Erased: u.Erased, LastSeenTS: lastSeen(u),
		Locked: u.Locked, Suspended: u.Suspended, ShadowBanned: u.ShadowBanned, ConsentVersion: orNull(u.Consent),
	}
	if !u.ConsentAt.IsZero() {
		ms := u.ConsentAt.UnixMilli()
		res.ConsentTS = &ms
	}
	if res.Threepids, err = a.threepids(ctx, id); err == nil {
		res.ExternalIDs, err = a.externals(ctx, id)
	}
	return res, err
}

// putUser makes an account (201) or changes one (200).
func (a *API) putUser(w http.ResponseWriter, r *http.Request) {
	id, created, err := a.createOrModifyUser(r)
	var res user
	if err == nil {
		res, err = a.user(r.Context(), id)
	}
	switch {
	case err != nil:
		httpx.Fail(w, r, err)
	case created:
		httpx.Answer(w, r, http.StatusCreated, res)
	default:
		httpx.Answer(w, r, http.StatusOK, res)
	}
}

func (a *API) createOrModifyUser(r *http.Request) (id mxid.UserID, created bool, err error) {
	if id, err = a.localUser(r, "This endpoint can only be used with local users"); err != nil {
		return "", false, err
	}
	var f fields
	body, err := httpx.Body(r)
	if err == nil {
		err = httpx.Decode(body, &f)
	}
	if err != nil {
		return "", false, err
	}
	p, err := readUser(f)
	if err != nil {
		return "", false, err
	}
	old, err := a.Engine.User(r.Context(), string(id))
	if e, ok := errors.AsType[*mxerr.Error](err); ok && e.Code == mxerr.NotFound {
		return id, true, a.create(r.Context(), id, p)
	}
	if err != nil {
		return "", false, err
	}
	return old.ID, false, a.modify(r.Context(), old, p)
}

// putUserReq is what may be set. Nil leaves a value as it is.
type putUserReq struct {
	password      *string
	logoutDevices bool
	displayName   json.RawMessage // a string, or null to remove it
	avatarURL     json.RawMessage // likewise
	admin         *bool
	deactivated   *bool
	kind          *string
	locked        *bool
	threepids     []threepid // nil to leave them
	externalIDs   []external // likewise
}

func readUser(f fields) (putUserReq, error) {
	p := putUserReq{logoutDevices: true, displayName: f["displayname"], avatarURL: f["avatar_url"]}
	if _, there := f["user_type"]; there {
		p.kind = new(string)
		if !f.read("user_type", p.kind) || f.has("user_type") && (*p.kind == "" || !validKind(*p.kind)) {
			return p, bad("Invalid user type")
		}
	}
	if !f.read("admin", &p.admin) {
		return p, mxerr.New(mxerr.BadJSON, "Param 'admin' must be a boolean, if given")
	}
	if !f.read("password", &p.password) || p.password != nil && (*p.password == "" || len([]rune(*p.password)) > 512) {
		return p, bad("Invalid password")
	}
	for name, to := range map[string]any{"logout_devices": &p.logoutDevices, "deactivated": &p.deactivated} {
		if !f.read(name, to) {
			return p, bad("'" + name + "' parameter is not of type boolean")
		}
	}
	if !f.read("locked", &p.locked) {
		return p, bad("'locked' parameter is not of type boolean")
	}
	if p.deactivated != nil && *p.deactivated && p.locked != nil && *p.locked {
		return p, bad("An user can't be deactivated and locked")
	}
	if !f.read("threepids", &p.threepids) || !f.read("external_ids", &p.externalIDs) {
		return p, bad("threepids and external_ids must be lists of objects")
	}
	for _, t := range p.threepids {
		if t.Medium == "" || t.Address == "" {
			return p, mxerr.New(mxerr.MissingParam, "Missing params: ['medium', 'address']")
		}
	}
	for _, x := range p.externalIDs {
		if x.Provider == "" || x.ID == "" {
			return p, mxerr.New(mxerr.MissingParam, "Missing params: ['auth_provider', 'external_id']")
		}
	}
	return p, nil
}

func (a *API) create(ctx context.Context, id mxid.UserID, p putUserReq) error {
	n := account.NewUser{Localpart: id.Localpart(), Admin: p.admin != nil && *p.admin}
	if p.password != nil {
		n.Password = *p.password
	}
	if p.kind != nil {
		n.Kind = *p.kind
	}
	if p.displayName != nil && json.Unmarshal(p.displayName, &n.DisplayName) != nil {
		return mxerr.New(mxerr.InvalidParam, "displayname must be a string")
	}
	if _, err := a.Engine.Create(ctx, n); err != nil {
		return err
	}
	if err := a.setField(ctx, id, "avatar_url", p.avatarURL); err != nil {
		return err
	}
	return a.setKnown(ctx, id, p)
}

// setKnown sets what others know a user by, and the lock.
func (a *API) setKnown(ctx context.Context, id mxid.UserID, p putUserReq) error {
	if p.threepids != nil {
		list := make([]account.Threepid, len(p.threepids))
		for i, t := range p.threepids {
			list[i] = account.Threepid{Medium: t.Medium, Address: t.Address}
		}
		if err := a.Engine.SetThreepids(ctx, id, list); err != nil {
			return err
		}
	}
	if p.externalIDs != nil {
		list := make([]account.ExternalID, len(p.externalIDs))
		for i, x := range p.externalIDs {
			list[i] = account.ExternalID{Provider: x.Provider, ID: x.ID}
		}
		if err := a.Engine.SetExternalIDs(ctx, id, list); err != nil {
			return err
		}
	}
	if p.locked != nil {
		return a.Engine.Change(ctx, string(id), account.Change{Locked: p.locked})
	}
	return nil
}

func (a *API) modify(ctx context.Context, old account.User, p putUserReq) error {
	id := string(old.ID)
	self := httpx.Who(ctx).User == id
	if p.admin != nil && !*p.admin && old.Admin && self {
		return bad("You may not demote yourself.")
	}
	if old.Deactivated && p.deactivated != nil && !*p.deactivated {
		password := ""
		if p.password != nil {
			password = *p.password
		}
		if err := a.Engine.Reactivate(ctx, id, password); err != nil {
			return err
		}
		p.password = nil
	}
	if err := a.setField(ctx, old.ID, "displayname", p.displayName); err != nil {
		return err
	}
	if err := a.setField(ctx, old.ID, "avatar_url", p.avatarURL); err != nil {
		return err
	}
	if err := a.setKnown(ctx, old.ID, p); err != nil {
		return err
	}
	if err := a.Engine.Change(ctx, id, account.Change{Admin: p.admin, Kind: p.kind}); err != nil {
		return err
	}
	if p.password != nil {
		if err := a.Engine.SetPassword(ctx, id, *p.password, p.logoutDevices); err != nil {
			return err
		}
	}
	if p.deactivated != nil && *p.deactivated && !old.Deactivated {
		return a.Engine.Deactivate(ctx, id, false)
	}
	return nil
}

// setField sets a part of a profile. Null and "" remove it.
func (a *API) setField(ctx context.Context, id mxid.UserID, field string, value json.RawMessage) error {
	if value == nil {
		return nil
	}
	if string(value) == "null" || string(value) == `""` {
		return a.Engine.DeleteProfileField(ctx, id, field)
	}
	return a.Engine.SetProfileField(ctx, id, field, value)
}
