package room

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/trie"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
	"hearth/matrix/roomver"
)

// CreateRequest says what a new room shall be
// (client-server-api/#post_matrixclientv3createroom).
type CreateRequest struct {
	Visibility      string                     `json:"visibility"`
	AliasName       string                     `json:"room_alias_name"`
	Name            string                     `json:"name"`
	Topic           string                     `json:"topic"`
	Invite          []string                   `json:"invite"`
	Invite3PID      []json.RawMessage          `json:"invite_3pid"`
	RoomVersion     string                     `json:"room_version"`
	CreationContent map[string]json.RawMessage `json:"creation_content"`
	InitialState    []InitialState             `json:"initial_state"`
	Preset          string                     `json:"preset"`
	IsDirect        bool                       `json:"is_direct"`
	PowerLevels     map[string]json.RawMessage `json:"power_level_content_override"`
}

// InitialState is one state event of a new room.
type InitialState struct {
	Type     string          `json:"type"`
	StateKey string          `json:"state_key"`
	Content  json.RawMessage `json:"content"`
}

// preset is what the presets of createRoom stand for.
type preset struct {
	joinRule, historyVisibility, guestAccess string
	equals                                   bool // invitees get the creator's power
}

var presets = map[string]preset{
	"private_chat":         {"invite", "shared", "can_join", false},
	"trusted_private_chat": {"invite", "shared", "can_join", true},
	"public_chat":          {"public", "shared", "forbidden", false},
}

// Bounds of one createRoom request.
const (
	maxInvites      = 100
	maxInitialState = 200
)

// Create makes a room and returns it. The creator's client sees it in /sync at
// once.
func (e *Engine) Create(ctx context.Context, creator string, req CreateRequest) (*Room, error) {
	version := cmp.Or(req.RoomVersion, e.DefaultVersion)
	v, ok := roomver.Get(version)
	if !ok {
		return nil, mxerr.New(mxerr.UnsupportedRoomVersion, "This server does not know room version %q", version)
	}
	p, err := req.check(e.Server)
	if err != nil {
		return nil, err
	}
	drafts, err := e.createDrafts(ctx, creator, req, p, v)
	if err != nil {
		return nil, err
	}
	id := e.newRoomID(v, drafts)
	return e.createFrom(ctx, v, id, drafts, createOptions{listed: req.Visibility == "public", alias: req.alias(e.Server), creator: creator})
}

// newRoomID makes the id of a room that begins with drafts. In version 12 it
// returns "": the create event will name the room, and gets a time of its own.
func (e *Engine) newRoomID(v *roomver.Version, drafts []Draft) string {
	if v.RoomIDIsCreate {
		drafts[0].Timestamp = e.createTime()
		return ""
	}
	return "!" + mxid.RandomString(18) + ":" + string(e.Server)
}

// createTime is the time of a new room, in milliseconds, different from that of
// all other rooms: in version 12 two create events that are equal but for their
// time would be the same room.
func (e *Engine) createTime() int64 {
	for {
		last := e.lastCreate.Load()
		t := max(now(), last+1)
		if e.lastCreate.CompareAndSwap(last, t) {
			return t
		}
	}
}

type createOptions struct {
	listed         bool
	alias, creator string
}

// createFrom makes a room of its first events.
func (e *Engine) createFrom(ctx context.Context, v *roomver.Version, id string, drafts []Draft, o createOptions) (*Room, error) {
	r := newRoom(0, id, v)
	r.set(&Current{Room: store.Room{Version: v.ID, Listed: o.listed}})
	lk, err := r.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer lk.release()
	b, err := e.prepare(ctx, lk, newView(ctx, e, r, trie.Empty), drafts)
	if err != nil {
		return nil, err
	}
	b.isNew = true
	if o.alias != "" {
		b.also = append(b.also, func(tx *db.Tx, room int64) error {
			ok, err := store.InsertAlias(tx, store.Alias{Alias: o.alias, Room: room, Creator: o.creator, At: now()})
			if err == nil && !ok {
				err = mxerr.New(mxerr.RoomInUse, "The alias %s is taken", o.alias)
			}
			return err
		})
	}
	if err := e.commit(ctx, lk, b); err != nil {
		return nil, err
	}
	return r, nil
}

func (req *CreateRequest) check(server mxid.ServerName) (preset, error) {
	name := req.Preset
	if name == "" {
		name = "private_chat"
		if req.Visibility == "public" {
			name = "public_chat"
		}
	}
	p, ok := presets[name]
	switch {
	case !ok:
		return p, mxerr.New(mxerr.InvalidParam, "There is no preset %q", req.Preset)
	case req.Visibility != "" && req.Visibility != "public" && req.Visibility != "private":
		return p, mxerr.New(mxerr.InvalidParam, "visibility must be public or private")
	case len(req.Invite) > maxInvites:
		return p, mxerr.New(mxerr.InvalidParam, "At most %d users can be invited at once", maxInvites)
	case len(req.InitialState) > maxInitialState:
		return p, mxerr.New(mxerr.InvalidParam, "initial_state has more than %d events", maxInitialState)
	case len(req.Invite3PID) > 0:
		return p, mxerr.New(mxerr.ThreepidNotFound, "This server cannot invite by e-mail or phone")
	}
	for _, u := range req.Invite {
		if _, err := mxid.ParseUserID(u); err != nil {
			return p, err
		}
	}
	if req.AliasName != "" {
		if _, err := mxid.ParseRoomAlias(req.alias(server)); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (req *CreateRequest) alias(server mxid.ServerName) string {
	if req.AliasName == "" {
		return ""
	}
	return "#" + req.AliasName + ":" + string(server)
}

// createDrafts lists the first events in the order that the specification
// gives, so that each is allowed by those before it.
func (e *Engine) createDrafts(ctx context.Context, creator string, req CreateRequest, p preset, v *roomver.Version) ([]Draft, error) {
	var out []Draft
	set := func(typ, key string, content any) error {
		raw, err := marshal(content)
		out = append(out, Draft{Sender: creator, Type: typ, StateKey: &key, Content: raw})
		return err
	}
	equals := []string{}
	if p.equals {
		equals = req.Invite
	}
	join, err := e.memberContent(ctx, creator, "join", "")
	if err != nil {
		return nil, err
	}
	create, err := createContent(req, creator, equals, v)
	if err != nil {
		return nil, err
	}
	levels, err := powerLevels(req, creator, equals, v)
	if err != nil {
		return nil, err
	}
	initial := map[Key]bool{}
	for _, s := range req.InitialState {
		initial[Key{s.Type, s.StateKey}] = true
	}
	err = firstError(
		set("m.room.create", "", create),
		set("m.room.member", creator, join),
	)
	if err != nil {
		return nil, err
	}
	if !initial[Key{"m.room.power_levels", ""}] || len(req.PowerLevels) > 0 {
		if err := set("m.room.power_levels", "", levels); err != nil {
			return nil, err
		}
	}
	if alias := req.alias(e.Server); alias != "" {
		if err := set("m.room.canonical_alias", "", map[string]any{"alias": alias}); err != nil {
			return nil, err
		}
	}
	for _, d := range []struct{ typ, field, value string }{
		{"m.room.join_rules", "join_rule", p.joinRule},
		{"m.room.history_visibility", "history_visibility", p.historyVisibility},
		{"m.room.guest_access", "guest_access", p.guestAccess},
	} {
		if !initial[Key{d.typ, ""}] {
			if err := set(d.typ, "", map[string]any{d.field: d.value}); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range req.InitialState {
		if s.Type == "m.room.create" || s.Type == "m.room.member" {
			return nil, mxerr.New(mxerr.InvalidRoomState, "initial_state may not hold %s", s.Type)
		}
		if len(s.Content) == 0 {
			return nil, mxerr.New(mxerr.BadJSON, "initial_state has a %s without content", s.Type)
		}
		if err := set(s.Type, s.StateKey, s.Content); err != nil {
			return nil, err
		}
	}
	if req.Name != "" {
		if err := set("m.room.name", "", map[string]any{"name": req.Name}); err != nil {
			return nil, err
		}
	}
	if req.Topic != "" {
		if err := set("m.room.topic", "", topicContent(req.Topic)); err != nil {
			return nil, err
		}
	}
	for _, u := range uniqueUsers(req.Invite, creator) {
		content, err := e.inviteContent(ctx, u, "", req.IsDirect)
		if err == nil {
			err = set("m.room.member", u, content)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func topicContent(topic string) map[string]any {
	return map[string]any{
		"topic":   topic,
		"m.topic": map[string]any{"m.text": []any{map[string]any{"body": topic}}},
	}
}

// uniqueUsers drops doubles, and the creator, who is there already.
func uniqueUsers(users []string, creator string) []string {
	var out []string
	for _, u := range users {
		if u != creator && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

func createContent(req CreateRequest, creator string, equals []string, v *roomver.Version) (map[string]any, error) {
	c := map[string]any{}
	for k, raw := range req.CreationContent {
		c[k] = raw
	}
	delete(c, "creator")
	if !v.ImplicitCreator {
		c["creator"] = creator
	}
	c["room_version"] = v.ID
	if v.PrivilegedCreators && len(equals) > 0 {
		var given []string
		if raw, ok := req.CreationContent["additional_creators"]; ok {
			if err := json.Unmarshal(raw, &given); err != nil {
				return nil, mxerr.New(mxerr.BadJSON, "creation_content.additional_creators must be a list of user ids")
			}
		}
		c["additional_creators"] = uniqueUsers(append(given, equals...), creator)
	}
	return c, nil
}

// powerLevels are those of a new room, with what the client overrides
// (client-server-api/#mroompower_levels; the creators of version 12 rooms are
// above levels and must not be listed).
func powerLevels(req CreateRequest, creator string, equals []string, v *roomver.Version) (map[string]any, error) {
	tombstone := 100
	users := map[string]int{creator: 100}
	for _, u := range equals {
		users[u] = 100
	}
	if v.PrivilegedCreators {
		tombstone, users = 150, map[string]int{}
	}
	c := map[string]any{
		"users": users, "users_default": 0, "events_default": 0, "state_default": 50,
		"ban": 50, "kick": 50, "redact": 50, "invite": 0, "historical": 100,
		"events": map[string]int{
			"m.room.name": 50, "m.room.power_levels": 100, "m.room.history_visibility": 100, "m.room.canonical_alias": 50,
			"m.room.avatar": 50, "m.room.tombstone": tombstone, "m.room.server_acl": 100, "m.room.encryption": 100,
		},
	}
	for k, raw := range req.PowerLevels {
		c[k] = raw
	}
	return c, nil
}

// marshal makes canonical JSON of a content.
// marshal encodes the content of an event. What it cannot encode came from the
// client, who may send numbers that no event may hold.
func marshal(content any) (json.RawMessage, error) {
	if raw, ok := content.(json.RawMessage); ok {
		return raw, nil
	}
	out, err := canonjson.Marshal(content)
	if err != nil {
		return nil, &mxerr.Error{Code: mxerr.BadJSON, Text: "An event would hold what none may: " + err.Error(), Cause: err}
	}
	return out, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
