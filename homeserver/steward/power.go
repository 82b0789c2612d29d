package steward

import (
	"context"
	"encoding/json"
	"slices"

	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/authrules"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// MakeAdmin gives a user the highest power that somebody of this server can give
// in a room, and invites them if they are not in and cannot come by themselves.
func (s *Steward) MakeAdmin(ctx context.Context, roomID, user string) error {
	r, err := s.Rooms.Room(ctx, roomID)
	if err != nil {
		return err
	}
	giver, level, err := s.giver(ctx, r)
	if err != nil {
		return err
	}
	levels, err := s.Rooms.StateEvent(ctx, r, r.Current().State, "m.room.power_levels", "")
	if err != nil {
		return err
	}
	content := map[string]json.RawMessage{}
	if levels != nil {
		if err := json.Unmarshal(levels.Content, &content); err != nil {
			return mxerr.New(mxerr.BadState, "The power levels of the room make no sense")
		}
	}
	users := map[string]int64{}
	if raw, ok := content["users"]; ok {
		canonjson.Each(raw, func(key, val []byte) bool {
			users[canonjson.Key(key)], _ = canonjson.Int(val)
			return true
		})
	} else if !r.Version.PrivilegedCreators {
		users[giver] = level
	}
	users[user] = level
	if content["users"], err = json.Marshal(users); err != nil {
		return err
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return err
	}
	if _, err := s.Rooms.Send(ctx, roomID, room.Draft{Sender: giver, Type: "m.room.power_levels", StateKey: new(string), Content: raw}); err != nil {
		return err
	}
	return s.letIn(ctx, r, giver, user)
}

// letIn invites a user into a room that they are not in and that is not public.
func (s *Steward) letIn(ctx context.Context, r *room.Room, by, user string) error {
	m, err := s.Rooms.Membership(ctx, r.ID, user)
	if err != nil || m == store.Join || m == store.Invite {
		return err
	}
	rules, err := s.Rooms.StateEvent(ctx, r, r.Current().State, "m.room.join_rules", "")
	if err != nil {
		return err
	}
	if rules != nil {
		if rule, _ := rules.GetString("join_rule"); rule == "public" {
			return nil
		}
	}
	return s.Rooms.Invite(ctx, by, r.ID, user, "")
}

// giver is the member of this server with the greatest power, who must be able
// to change the power levels, and the level that they can give.
func (s *Steward) giver(ctx context.Context, r *room.Room) (user string, level int64, err error) {
	levels, err := s.Rooms.Levels(ctx, r, r.Current().State)
	if err != nil {
		return "", 0, err
	}
	members, err := s.Rooms.Members(ctx, r, store.Join)
	if err != nil {
		return "", 0, err
	}
	members = slices.DeleteFunc(members, func(m store.Member) bool {
		return mxid.ServerOf(m.User) != s.Rooms.Server || !levels.MaySet(m.User, "m.room.power_levels")
	})
	if len(members) == 0 {
		return "", 0, mxerr.New(mxerr.Unknown, "No local admin user in room with power to update power levels.").WithStatus(400)
	}
	best := slices.MaxFunc(members, func(a, b store.Member) int {
		return int(min(max(levels.User(a.User)-levels.User(b.User), -1), 1))
	})
	// Creators of version 12 stand above all levels; 100 is what others have at
	// most, as a rule.
	if level = levels.User(best.User); level >= authrules.CreatorLevel {
		level = 100
	}
	return best.User, level, nil
}

// JoinUser puts a user of this server into a room: admin must be able to invite
// them, unless everybody may come.
func (s *Steward) JoinUser(ctx context.Context, admin, roomID, user string) error {
	r, err := s.Rooms.Room(ctx, roomID)
	if err != nil {
		return err
	}
	if err := s.letIn(ctx, r, admin, user); err != nil {
		return err
	}
	return s.Rooms.Join(ctx, user, roomID, room.JoinRequest{})
}
