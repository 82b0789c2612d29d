package room

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/authrules"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// JoinRequest is how a user wants to enter a room.
type JoinRequest struct {
	Reason           string
	ThirdPartySigned json.RawMessage // answers an m.room.third_party_invite
	Guest            bool
	Content          map[string]any // further fields of the member event
}

// Join makes user a member. It does nothing if user is one already.
func (e *Engine) Join(ctx context.Context, user, roomID string, req JoinRequest) error {
	content, err := e.memberContent(ctx, user, "join", req.Reason)
	if err != nil {
		return err
	}
	maps.Copy(content, req.Content)
	if len(req.ThirdPartySigned) > 0 {
		content["third_party_invite"] = map[string]any{"signed": req.ThirdPartySigned}
	}
	return e.setMembership(ctx, user, roomID, user, content, func(lk locked, v *view) error {
		if v.membership(user) == store.Join {
			return errNothingToDo
		}
		if req.Guest && !guestsMayJoin(v) {
			return mxerr.New(mxerr.GuestAccessForbidden, "Guests may not join this room")
		}
		return e.vouch(lk, v, user, content)
	})
}

func guestsMayJoin(v *view) bool {
	ev := v.event("m.room.guest_access", "")
	if ev == nil {
		return false
	}
	access, _ := ev.GetString("guest_access")
	return access == "can_join"
}

// vouch finds a member who may invite to stand behind a restricted join
// (server-server-api/#restricted-rooms).
func (e *Engine) vouch(lk locked, v *view, user string, content map[string]any) error {
	rules := v.event("m.room.join_rules", "")
	if rules == nil || v.membership(user) == store.Invite {
		return nil
	}
	rule, _ := rules.GetString("join_rule")
	if rule != "restricted" && rule != "knock_restricted" || !lk.Version.Restricted {
		return nil
	}
	ok, err := e.InAllowedRoom(v.ctx, rules, user)
	if err != nil {
		return err
	}
	if !ok {
		return mxerr.New(mxerr.Forbidden, "You are in none of the rooms whose members may join this one")
	}
	by, err := e.inviter(v)
	if err != nil {
		return err
	}
	if by == "" {
		return mxerr.New(mxerr.UnableToGrantJoin, "Nobody on this server may let you in")
	}
	content["join_authorised_via_users_server"] = by
	return nil
}

// Allowed lists the rooms whose members a restricted join rule lets in.
func Allowed(rules *Event) []string {
	var c struct {
		Allow []struct {
			Type string `json:"type"`
			Room string `json:"room_id"`
		} `json:"allow"`
	}
	if err := json.Unmarshal(rules.Content, &c); err != nil {
		return nil // a list of the wrong shape allows nobody
	}
	var out []string
	for _, a := range c.Allow {
		if a.Type == "m.room_membership" {
			out = append(out, a.Room)
		}
	}
	return out
}

// InAllowedRoom reports whether user is in one of the rooms that a restricted
// join rule names.
func (e *Engine) InAllowedRoom(ctx context.Context, rules *Event, user string) (bool, error) {
	for _, id := range Allowed(rules) {
		m, err := e.Membership(ctx, id, user)
		if err != nil {
			return false, err
		}
		if m == store.Join {
			return true, nil
		}
	}
	return false, nil
}

// inviter finds a local member whose power suffices to invite.
func (e *Engine) inviter(v *view) (string, error) {
	levels := e.levels(v)
	members, err := e.Members(v.ctx, v.room, store.Join)
	if err != nil {
		return "", err
	}
	for _, m := range members {
		if e.localUser(m.User) && levels.User(m.User) >= levels.Invite {
			return m.User, nil
		}
	}
	return "", nil
}

func (e *Engine) levels(v *view) authrules.PowerLevels {
	return authrules.ParsePowerLevels(v.room.Version, v.auth("m.room.power_levels", ""), v.auth("m.room.create", ""))
}

// Leave makes user leave, reject an invite or take back a knock. Leaving twice
// is no error.
func (e *Engine) Leave(ctx context.Context, user, roomID, reason string) error {
	return e.setMembership(ctx, user, roomID, user, reasoned("leave", reason), func(_ locked, v *view) error {
		switch v.membership(user) {
		case store.Leave:
			return errNothingToDo
		case store.None:
			return errUnknownRoom(user)
		}
		return nil
	})
}

// Invite invites target.
func (e *Engine) Invite(ctx context.Context, sender, roomID, target, reason string) error {
	if err := e.reachable(target); err != nil {
		return err
	}
	content, err := e.inviteContent(ctx, target, reason, false)
	if err != nil {
		return err
	}
	return e.setMembership(ctx, sender, roomID, target, content, func(_ locked, v *view) error {
		if v.membership(target) == store.Join {
			return mxerr.New(mxerr.Forbidden, "%s is already in the room", target)
		}
		return nil
	})
}

// Kick removes target from a room, or takes back an invite.
func (e *Engine) Kick(ctx context.Context, sender, roomID, target, reason string) error {
	return e.setMembership(ctx, sender, roomID, target, reasoned("leave", reason), func(_ locked, v *view) error {
		switch v.membership(target) {
		case store.Join, store.Invite, store.Knock:
			return nil
		}
		return mxerr.New(mxerr.Forbidden, "%s is not in the room", target)
	})
}

// Ban bans target.
func (e *Engine) Ban(ctx context.Context, sender, roomID, target, reason string) error {
	return e.setMembership(ctx, sender, roomID, target, reasoned("ban", reason), nil)
}

// Unban lifts a ban.
func (e *Engine) Unban(ctx context.Context, sender, roomID, target, reason string) error {
	return e.setMembership(ctx, sender, roomID, target, reasoned("leave", reason), func(_ locked, v *view) error {
		if v.membership(target) != store.Ban {
			return mxerr.New(mxerr.BadState, "%s is not banned", target).WithStatus(403)
		}
		return nil
	})
}

// Knock asks to be let in.
func (e *Engine) Knock(ctx context.Context, user, roomID, reason string) error {
	content, err := e.memberContent(ctx, user, "knock", reason)
	if err != nil {
		return err
	}
	return e.setMembership(ctx, user, roomID, user, content, func(_ locked, v *view) error {
		if v.membership(user) == store.Knock {
			return errNothingToDo
		}
		return nil
	})
}

// Forget takes a room that user has left out of the user's sight.
func (e *Engine) Forget(ctx context.Context, user, roomID string) error {
	r, err := e.Room(ctx, roomID)
	if mxerr.From(err).Code == mxerr.NotFound {
		return errUnknownRoom(user)
	}
	if err != nil {
		return err
	}
	m, err := e.Membership(ctx, roomID, user)
	if err != nil {
		return err
	}
	if m == store.Join || m == store.Invite || m == store.Knock {
		return mxerr.New(mxerr.Unknown, "Leave the room before you forget it").WithStatus(400)
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		tx.AfterCommit(func() { e.forgotten(user, r) })
		return store.SetForgotten(tx, user, r.NID)
	})
}

// errNothingToDo ends a membership change that is already so.
var errNothingToDo = errors.New("nothing to do")

// setMembership sends the member event of target after check has agreed.
func (e *Engine) setMembership(ctx context.Context, sender, roomID, target string, content map[string]any, check func(locked, *view) error) error {
	if _, err := mxid.ParseUserID(target); err != nil {
		return err
	}
	_, err := e.sendAll(ctx, roomID, func(lk locked, v *view) ([]Draft, error) {
		if check != nil {
			if err := firstError(check(lk, v), v.err); err != nil {
				return nil, err
			}
		}
		raw, err := marshal(content)
		return []Draft{{Sender: sender, Type: "m.room.member", StateKey: &target, Content: raw}}, err
	})
	if errors.Is(err, errNothingToDo) {
		return nil
	}
	return err
}

// reachable refuses users of servers that this one cannot talk to.
func (e *Engine) reachable(user string) error {
	if !e.localUser(user) {
		return mxerr.New(mxerr.Forbidden, "This server does not talk to other servers, so %s cannot be reached", user)
	}
	return nil
}

// UpdateProfile sends new member events for a user whose display name or
// avatar changed, in all rooms that the user is in.
func (e *Engine) UpdateProfile(ctx context.Context, user string) error {
	rooms, err := e.RoomsOf(ctx, user)
	if err != nil {
		return err
	}
	var failed error
	for _, m := range rooms {
		if m.Membership != store.Join {
			continue
		}
		if err := e.updateMember(ctx, user, m.Room); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func (e *Engine) updateMember(ctx context.Context, user string, nid int64) error {
	r, err := e.RoomByNID(ctx, nid)
	if err != nil {
		return err
	}
	content, err := e.memberContent(ctx, user, "join", "")
	if err != nil {
		return err
	}
	return e.setMembership(ctx, user, r.ID, user, content, func(_ locked, v *view) error {
		old := v.event("m.room.member", user)
		if old == nil || old.Membership() != "join" {
			return errNothingToDo
		}
		if raw, err := marshal(content); err == nil && slices.Equal(raw, json.RawMessage(canonjson.Without(nil, old.Content, "join_authorised_via_users_server"))) {
			return errNothingToDo
		}
		return nil
	})
}

// memberContent is the content of a user's own member event.
func (e *Engine) memberContent(ctx context.Context, user, membership, reason string) (map[string]any, error) {
	c := reasoned(membership, reason)
	name, avatar, err := e.Profiles.Profile(ctx, user)
	if name != "" {
		c["displayname"] = name
	}
	if avatar != "" {
		c["avatar_url"] = avatar
	}
	return c, err
}

// inviteContent is the content of an invite, with the profile of the invited
// so that clients can name them before they join.
func (e *Engine) inviteContent(ctx context.Context, target, reason string, direct bool) (map[string]any, error) {
	if !e.localUser(target) {
		return nil, e.reachable(target)
	}
	c, err := e.memberContent(ctx, target, "invite", reason)
	if direct {
		c["is_direct"] = true
	}
	return c, err
}

func reasoned(membership, reason string) map[string]any {
	c := map[string]any{"membership": membership}
	if reason != "" {
		c["reason"] = reason
	}
	return c
}

// Membership is a user's membership of a room, None if the room is unknown.
func (e *Engine) Membership(ctx context.Context, roomID, user string) (store.Membership, error) {
	r, err := e.Room(ctx, roomID)
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			return store.None, nil
		}
		return store.None, err
	}
	m, err := e.memberOf(ctx, r, user)
	return m.Membership, err
}

func (e *Engine) memberOf(ctx context.Context, r *Room, user string) (m store.Member, err error) {
	state := r.Current().State
	if m, ok := e.joined.get(r.NID, state, user); ok {
		return m, nil
	}
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		m, err = store.MemberOf(tx, r.NID, user)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		return store.Member{User: user, Room: r.NID}, nil
	}
	if err == nil {
		e.joined.put(state, m)
	}
	return m, err
}

// Members lists the members of a room that have one of the memberships.
func (e *Engine) Members(ctx context.Context, r *Room, in ...store.Membership) (out []store.Member, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = store.MembersOf(tx, r.NID, in...)
		return err
	})
	return out, err
}

// RoomsOf lists the memberships of a user.
func (e *Engine) RoomsOf(ctx context.Context, user string) (out []store.Member, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = store.RoomsOf(tx, user)
		return err
	})
	return out, err
}
