package server

import (
	"context"
	"encoding/json"
	"errors"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/account"
	"hearth/homeserver/notice"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// profiles shows accounts to the room engine.
type profiles struct{ accounts *account.Engine }

// Profile returns a user's display name and avatar. A user without an account
// has neither.
func (p profiles) Profile(ctx context.Context, user string) (name, avatar string, err error) {
	fields, err := p.accounts.Profile(ctx, mxid.UserID(user))
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			return "", "", nil
		}
		return "", "", err
	}
	return text(fields["displayname"]), text(fields["avatar_url"]), nil
}

func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return "" // a value of another type names nobody
	}
	return s
}

// onProfile tells a user's rooms of a new display name or avatar.
func (s *Server) onProfile(ctx context.Context, user mxid.UserID, field string, _ json.RawMessage) {
	if field != "displayname" && field != "avatar_url" {
		return
	}
	s.people.Changed()
	if err := s.rooms.UpdateProfile(ctx, string(user)); err != nil {
		s.log.WarnContext(ctx, "a changed profile did not reach all rooms", "err", err)
	}
}

// onDeactivate deletes what a user kept of keys, takes the user out of all rooms,
// and declines what is open.
func (s *Server) onDeactivate(ctx context.Context, user mxid.UserID) error {
	members, err := s.rooms.RoomsOf(ctx, string(user))
	if err != nil {
		return err
	}
	failed := s.keys.DeleteBackups(ctx, string(user))
	for _, m := range members {
		switch m.Membership {
		case store.Join, store.Invite, store.Knock:
			failed = errors.Join(failed, s.leave(ctx, string(user), m.Room))
		}
	}
	return failed
}

// deviceRemoved forgets all that is kept for a device.
func (s *Server) deviceRemoved(tx *db.Tx, user, device string) error {
	if err := s.personal.DeviceRemoved(tx, user, device); err != nil {
		return err
	}
	if err := s.pusher.DeviceRemoved(tx, user, device); err != nil {
		return err
	}
	return s.keys.DeviceRemoved(tx, user, device)
}

func (s *Server) leave(ctx context.Context, user string, nid int64) error {
	r, err := s.rooms.RoomByNID(ctx, nid)
	if err != nil {
		return err
	}
	return s.rooms.Leave(ctx, user, r.ID, "")
}

var _ room.Profiles = profiles{}

// reserved reports whether people cannot have a user name: the server itself
// speaks under it, or an application service has it for its users.
func (s *Server) reserved(localpart string) bool {
	return localpart == notice.Localpart || s.services.ReservedUser(string(mxid.NewUserID(localpart, mxid.ServerName(s.cfg.ServerName))))
}
