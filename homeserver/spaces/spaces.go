// Package spaces tells people what rooms are like before they enter: one room
// at a time, or the tree of rooms that a space is. It asks no other server.
package spaces

import (
	"context"
	"encoding/json"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/directory"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// Engine looks into rooms.
type Engine struct {
	DB        *db.DB
	Rooms     *room.Engine
	Directory *directory.Directory
	// Blocked says who has closed a room to everybody who is not in it, "" for
	// nobody. Nil means that no room is closed.
	Blocked func(ctx context.Context, roomID string) (by string, err error)
	// MaxWalk bounds the rooms of a space that are looked at; 0 for what is usual.
	MaxWalk int
}

// Summary is a room from outside
// (client-server-api/#get_matrixclientv1room_summaryroomidoralias).
type Summary struct {
	*directory.Entry
	Allowed    []string `json:"allowed_room_ids,omitempty"`
	Encryption string   `json:"encryption,omitempty"`
	Version    string   `json:"room_version"`

	rules *room.Event
}

func (e *Engine) summary(ctx context.Context, r *room.Room) (*Summary, error) {
	entry, err := e.Directory.Describe(ctx, r)
	if err != nil {
		return nil, err
	}
	if entry.JoinRule == "" {
		entry.JoinRule = "invite" // (client-server-api/#mroomjoin_rules)
	}
	s := &Summary{Entry: entry, Version: r.Version.ID}
	root := r.Current().State
	if s.rules, err = e.Rooms.StateEvent(ctx, r, root, "m.room.join_rules", ""); err != nil {
		return nil, err
	}
	if s.restricted(r) {
		s.Allowed = room.Allowed(s.rules)
	}
	encryption, err := e.Rooms.StateEvent(ctx, r, root, "m.room.encryption", "")
	if err != nil {
		return nil, err
	}
	if encryption != nil {
		s.Encryption, _ = encryption.GetString("algorithm")
	}
	return s, nil
}

func (s *Summary) restricted(r *room.Room) bool {
	return s.rules != nil && (s.JoinRule == "restricted" && r.Version.Restricted || s.JoinRule == "knock_restricted" && r.Version.KnockRestricted)
}

// open reports whether anybody at all may know of the room.
func (s *Summary) open(r *room.Room) bool {
	switch s.JoinRule {
	case "public":
		return true
	case "knock":
		return r.Version.Knock
	case "knock_restricted":
		return r.Version.KnockRestricted
	}
	return s.WorldReadable
}

// accessible reports whether user, "" for somebody unknown, may know what a
// room is like: who is in it, may come in or may ask to, and everybody if its
// history is open (client-server-api/#get_matrixclientv1roomsroomidhierarchy).
func (e *Engine) accessible(ctx context.Context, r *room.Room, s *Summary, user string, m store.Membership) (bool, error) {
	switch {
	case s.WorldReadable, m == store.Join, m == store.Invite:
		return true, nil
	case m == store.Ban:
		return false, nil
	case s.open(r):
		return true, nil
	case user != "" && s.restricted(r):
		return e.Rooms.InAllowedRoom(ctx, s.rules, user)
	}
	return false, nil
}

// Summary returns what user, "" for somebody unknown, may know of a room, and
// the user's membership. Of others it is M_NOT_FOUND.
func (e *Engine) Summary(ctx context.Context, roomID, user string) (*Summary, store.Membership, error) {
	gone := mxerr.New(mxerr.NotFound, "There is no such room, or you may not know of it")
	s, m, ok, err := e.look(ctx, roomID, user)
	if err == nil && !ok {
		err = gone
	}
	return s, m, err
}

// look is Summary with a report instead of an error.
func (e *Engine) look(ctx context.Context, roomID, user string) (s *Summary, m store.Membership, ok bool, err error) {
	r, err := e.Rooms.Room(ctx, roomID)
	if err != nil {
		if code := mxerr.From(err).Code; code == mxerr.NotFound || code == mxerr.UnsupportedRoomVersion {
			err = nil
		}
		return nil, store.None, false, err
	}
	if s, err = e.summary(ctx, r); err != nil {
		return nil, store.None, false, err
	}
	if user != "" {
		if m, err = e.Rooms.Membership(ctx, roomID, user); err != nil {
			return nil, store.None, false, err
		}
	}
	if e.Blocked != nil && m != store.Join {
		if by, err := e.Blocked(ctx, roomID); err != nil || by != "" {
			return s, m, false, err
		}
	}
	ok, err = e.accessible(ctx, r, s, user, m)
	return s, m, ok, err
}

// Mutual returns up to limit rooms with numbers above after in which two users
// are both joined, how many there are in all, and the number after which there
// are more; 0 for none.
func (e *Engine) Mutual(ctx context.Context, a, b string, after int64, limit int) (ids []string, total, next int64, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		var rooms []store.MutualRoom
		if rooms, total, err = store.MutualRooms(tx, a, b, after, limit+1); err != nil {
			return err
		}
		if len(rooms) > limit {
			rooms = rooms[:limit]
			next = rooms[limit-1].NID
		}
		for _, r := range rooms {
			ids = append(ids, r.RoomID)
		}
		return nil
	})
	return slices.Clip(ids), total, next, err
}

// child is a room that a space names.
type child struct {
	event *room.Event
	id    string
	order string // "" for none
}

type childContent struct {
	Via       []string `json:"via"`
	Order     any      `json:"order"`
	Suggested any      `json:"suggested"`
}

// children lists the valid children of a space in their order
// (client-server-api/#ordering-of-children-within-a-space).
func (e *Engine) children(ctx context.Context, roomID string, suggestedOnly bool) ([]child, error) {
	r, err := e.Rooms.Room(ctx, roomID)
	if err != nil {
		return nil, err
	}
	events, err := e.Rooms.State(ctx, r, r.Current().State, func(k room.Key) bool { return k.Type == "m.space.child" })
	if err != nil {
		return nil, err
	}
	var out []child
	for _, ev := range events {
		var c childContent
		if err := json.Unmarshal(ev.Content, &c); err != nil || len(c.Via) == 0 {
			continue // without a way there it is no child (any more)
		}
		if suggestedOnly && c.Suggested != true {
			continue
		}
		order, _ := c.Order.(string)
		if !validOrder(order) {
			order = ""
		}
		out = append(out, child{ev, *ev.StateKey, order})
	}
	slices.SortFunc(out, compareChildren)
	return out[:min(len(out), maxChildren)], nil
}
