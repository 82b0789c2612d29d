package room

import (
	"context"
	"encoding/json"
	"maps"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
	"hearth/matrix/roomver"
)

// UpgradeRequest says what shall replace a room
// (client-server-api/#post_matrixclientv3roomsroomidupgrade).
type UpgradeRequest struct {
	Version            string
	AdditionalCreators []string // ignored by versions without them
}

// Upgrade replaces a room by a new one of another version and returns that.
// The new room, with the aliases and the place in the directory of the old one,
// is made in one transaction; then the old room gets its tombstone
// (client-server-api/#server-behaviour-19). Refusals are M_FORBIDDEN and
// M_UNSUPPORTED_ROOM_VERSION.
func (e *Engine) Upgrade(ctx context.Context, user, roomID string, req UpgradeRequest) (*Room, error) {
	v, ok := roomver.Get(req.Version)
	if !ok {
		return nil, mxerr.New(mxerr.UnsupportedRoomVersion, "This server does not know room version %q", req.Version)
	}
	if v.PrivilegedCreators {
		for _, u := range req.AdditionalCreators {
			if _, err := mxid.ParseUserID(u); err != nil {
				return nil, err
			}
		}
	}
	old, err := e.mayUpgrade(ctx, user, roomID)
	if err != nil {
		return nil, err
	}
	next, err := e.replacement(ctx, old, user, v, req)
	if err != nil {
		return nil, err
	}
	return next, e.retire(ctx, old, next, user)
}

// mayUpgrade returns the state of a room that user may put a tombstone on.
func (e *Engine) mayUpgrade(ctx context.Context, user, roomID string) (*view, error) {
	r, err := e.Room(ctx, roomID)
	if mxerr.From(err).Code == mxerr.NotFound {
		return nil, errUnknownRoom(user)
	}
	if err != nil {
		return nil, err
	}
	old := newView(ctx, e, r, r.Current().State)
	joined, levels := old.membership(user) == store.Join, e.levels(old)
	switch {
	case old.err != nil:
		return nil, old.err
	case !joined:
		return nil, errUnknownRoom(user)
	case levels.User(user) < levels.ForEvent("m.room.tombstone", true):
		return nil, mxerr.New(mxerr.Forbidden, "You may not upgrade this room")
	}
	return old, nil
}

// replacement makes the room that stands for old from now on.
func (e *Engine) replacement(ctx context.Context, old *view, user string, v *roomver.Version, req UpgradeRequest) (*Room, error) {
	drafts, err := e.upgradeDrafts(ctx, old, user, v, req)
	if err != nil {
		return nil, err
	}
	id := e.newRoomID(v, drafts)
	listed := false
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		listed, err = store.Listed(tx, old.room.NID)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := newRoom(0, id, v)
	r.set(&Current{Room: store.Room{Version: v.ID, Listed: listed}})
	lk, err := r.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer lk.release()
	b, err := e.prepare(ctx, lk, newView(ctx, e, lk.Room, lk.Current().State), drafts)
	if err != nil {
		return nil, err
	}
	b.isNew = true
	b.also = append(b.also, func(tx *db.Tx, nid int64) error {
		return firstError(store.MoveAliases(tx, old.room.NID, nid), store.SetListed(tx, old.room.NID, false))
	})
	return r, e.commit(ctx, lk, b)
}

// carriedOver lists the state that moves to the new room, besides the power
// levels.
var carriedOver = []string{
	"m.room.server_acl", "m.room.encryption", "m.room.name", "m.room.avatar", "m.room.topic", "m.room.guest_access",
	"m.room.history_visibility", "m.room.join_rules", "m.room.canonical_alias",
}

// upgradeDrafts lists the first events of the new room. The power levels come
// last: until then its creator may do everything, even one who upgrades with
// less power than some of that state asks for.
func (e *Engine) upgradeDrafts(ctx context.Context, old *view, user string, v *roomver.Version, req UpgradeRequest) ([]Draft, error) {
	d := &drafts{sender: user}
	join, err := e.memberContent(ctx, user, "join", "")
	if err != nil {
		return nil, err
	}
	d.set("m.room.create", "", successorContent(old, user, v, req))
	d.set("m.room.member", user, join)
	for _, typ := range carriedOver {
		ev := old.event(typ, "")
		if ev == nil {
			continue
		}
		content := ev.Content
		if typ == "m.room.join_rules" {
			content = joinRulesFor(v, content)
		}
		if !v.StrictJSON || isStrict(content) {
			d.set(typ, "", content)
		}
	}
	if err := e.carryChildren(ctx, old, d); err != nil {
		return nil, err
	}
	if err := e.carryBans(ctx, old, d); err != nil {
		return nil, err
	}
	levels, err := levelsFor(e, old, user, v, req)
	if err != nil {
		return nil, err
	}
	d.set("m.room.power_levels", "", levels)
	return d.list, firstError(d.err, old.err)
}

// drafts collects state events of one sender.
type drafts struct {
	sender string
	list   []Draft
	err    error
}

func (d *drafts) set(typ, key string, content any) {
	raw, err := marshal(content)
	if err != nil && d.err == nil {
		d.err = err
	}
	d.list = append(d.list, Draft{Sender: d.sender, Type: typ, StateKey: &key, Content: raw})
}

func successorContent(old *view, user string, v *roomver.Version, req UpgradeRequest) map[string]any {
	c := map[string]any{
		"room_version": v.ID,
		"predecessor":  map[string]any{"room_id": old.room.ID, "event_id": old.room.Current().HeadIDs[0]},
	}
	if !v.ImplicitCreator {
		c["creator"] = user
	}
	if extra := uniqueUsers(req.AdditionalCreators, user); v.PrivilegedCreators && len(extra) > 0 {
		c["additional_creators"] = extra
	}
	create := old.event("m.room.create", "")
	if create == nil {
		return c
	}
	if typ, ok := create.GetString("type"); ok {
		c["type"] = typ
	}
	if federate, ok := canonjson.GetBool(create.Content, "m.federate"); ok && !federate {
		c["m.federate"] = false
	}
	return c
}

// joinRulesFor replaces a join rule that the new version does not know by the
// narrower one that it knows.
func joinRulesFor(v *roomver.Version, content json.RawMessage) json.RawMessage {
	rule, _ := canonjson.GetString(content, "join_rule")
	next := rule
	if next == "knock_restricted" && !v.KnockRestricted {
		next = "restricted"
	}
	if next == "restricted" && !v.Restricted || next == "knock" && !v.Knock {
		next = "invite"
	}
	if next == rule {
		return content
	}
	return canonjson.With(nil, content, "join_rule", canonjson.Quote(nil, next))
}

// isStrict reports whether content may be sent in versions that ask for
// canonical JSON.
func isStrict(content json.RawMessage) bool {
	_, err := canonjson.Canonical(nil, content, canonjson.Options{})
	return err == nil
}

// carryChildren moves the rooms of a space: a space without them is empty.
func (e *Engine) carryChildren(ctx context.Context, old *view, d *drafts) error {
	children, err := e.State(ctx, old.room, old.root, func(k Key) bool { return k.Type == "m.space.child" })
	for _, ev := range children {
		if len(ev.Content) > len("{}") && isStrict(ev.Content) {
			d.set(ev.Type, *ev.StateKey, ev.Content)
		}
	}
	return err
}

// carryBans moves bans, lest an upgrade be a pardon.
func (e *Engine) carryBans(ctx context.Context, old *view, d *drafts) error {
	banned, err := e.Members(ctx, old.room, store.Ban)
	if err != nil {
		return err
	}
	for _, m := range banned {
		ev := old.event("m.room.member", m.User)
		if ev == nil || ev.Membership() != "ban" {
			continue
		}
		reason, _ := ev.GetString("reason")
		d.set("m.room.member", m.User, reasoned("ban", reason))
	}
	return nil
}

// retire ends the old room. The tombstone is what counts; the rest is done if
// the user's power suffices.
func (e *Engine) retire(ctx context.Context, old *view, next *Room, user string) error {
	send := func(typ string, content any) error {
		d := &drafts{sender: user}
		d.set(typ, "", content)
		if d.err != nil {
			return d.err
		}
		_, err := e.Send(ctx, old.room.ID, d.list[0])
		return err
	}
	err := send("m.room.tombstone", map[string]any{"body": "This room has been replaced", "replacement_room": next.ID})
	if err != nil {
		return err
	}
	if levels := old.event("m.room.power_levels", ""); levels != nil {
		if err := ifAllowed(send("m.room.power_levels", quietLevels(levels.Content))); err != nil {
			return err
		}
	}
	if alias := old.event("m.room.canonical_alias", ""); alias != nil && len(alias.Content) > len("{}") {
		return ifAllowed(send("m.room.canonical_alias", map[string]any{}))
	}
	return nil
}

// ifAllowed lets a refusal pass.
func ifAllowed(err error) error {
	if err != nil && mxerr.From(err).Code == mxerr.Forbidden {
		return nil
	}
	return err
}

// quietLevels are power levels under which ordinary members can neither speak
// nor invite.
func quietLevels(content json.RawMessage) json.RawMessage {
	level := func(key string) int64 {
		raw, _ := canonjson.Get(content, key)
		n, _ := levelOf(raw)
		return n
	}
	bar := max(50, level("users_default")+1)
	for _, key := range []string{"events_default", "invite"} {
		content = canonjson.With(nil, content, key, levelJSON(max(bar, level(key))))
	}
	return content
}

// levelsFor are the old room's power levels as the new version wants them.
func levelsFor(e *Engine, old *view, user string, v *roomver.Version, req UpgradeRequest) (map[string]any, error) {
	ev := old.event("m.room.power_levels", "")
	if ev == nil {
		return powerLevels(CreateRequest{}, user, nil, v)
	}
	c := copyLevels(ev.Content)
	users := c["users"].(map[string]int64)
	if v.PrivilegedCreators {
		// Creators are above levels, and must not be listed.
		delete(users, user)
		for _, u := range req.AdditionalCreators {
			delete(users, u)
		}
		raiseTombstone(c)
		return c, nil
	}
	if old.room.Version.PrivilegedCreators {
		// Those who were above levels get one that reaches everything.
		top := topLevel(c)
		for _, u := range creatorsOf(old) {
			users[u] = max(users[u], top)
		}
	}
	return c, nil
}

// raiseTombstone sets the level for m.room.tombstone above that of other state
// (client-server-api/#post_matrixclientv3createroom).
func raiseTombstone(c map[string]any) {
	events := c["events"].(map[string]int64)
	state, ok := c["state_default"].(int64)
	if !ok {
		state = 50
	}
	if n, ok := events["m.room.tombstone"]; !ok || n <= state {
		events["m.room.tombstone"] = max(150, state+1)
	}
}

// copyLevels reads the content of an m.room.power_levels event of any version
// into one that every version accepts.
func copyLevels(content json.RawMessage) map[string]any {
	c := map[string]any{}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(content, &fields) // a stored event's content is an object
	for _, key := range []string{"ban", "kick", "redact", "invite", "historical", "users_default", "events_default", "state_default"} {
		if n, ok := levelOf(fields[key]); ok {
			c[key] = n
		}
	}
	for _, key := range []string{"events", "users", "notifications"} {
		levels := map[string]int64{}
		canonjson.Each(fields[key], func(k, raw []byte) bool {
			if n, ok := levelOf(raw); ok {
				levels[canonjson.Key(k)] = n
			}
			return true
		})
		c[key] = levels
	}
	maps.DeleteFunc(c["users"].(map[string]int64), func(id string, _ int64) bool {
		_, err := mxid.ParseUserID(id)
		return err != nil
	})
	return c
}
