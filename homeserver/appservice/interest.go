package appservice

import (
	"context"
	"slices"

	"hearth/base/store"
	"hearth/homeserver/room"
)

// maxCares bounds the rooms of which it is known whether they are a service's
// business, each of about 100 bytes.
const maxCares = 50_000

// care is whether a room is a service's business. It holds for events behind a
// position: a service that was away hears of what was said while its users were in
// the room, and of nothing else.
type care struct {
	yes     bool
	because string // the user of the service who is there; "" if it is not for a user
	from    int64
}

// interested reports whether a service is to hear of an event
// (application-service-api/#pushing-events): its users sent it, it is about one of
// them, or it is in a room that is the service's business. Events come in the order
// of the stream.
func (s *Service) interested(ctx context.Context, r *room.Room, ev *room.Event) (bool, error) {
	if ev.Type == "m.room.member" && ev.StateKey != nil && s.Owns(*ev.StateKey) {
		s.moved(r.NID, *ev.StateKey, ev.Membership() == "join", ev.NID)
		return true, nil
	}
	if s.Owns(ev.Sender) {
		return true, nil
	}
	if c, known := s.cared(r.NID); known && c.from <= ev.NID {
		return c.yes, nil
	}
	c, err := s.look(ctx, r, ev.StateAfter)
	if err != nil {
		return false, err
	}
	c.from = ev.NID
	s.remember(r.NID, c)
	return c.yes, nil
}

// moved notes that a user of the service has come into a room, or is not there any
// more. That is cheap, for bridges bring thousands into one room.
func (s *Service) moved(nid int64, user string, joined bool, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.cares[nid]
	switch {
	case !known:
	case joined && !c.yes:
		s.cares[nid] = care{yes: true, because: user, from: at}
	case !joined && c.because == user:
		delete(s.cares, nid)
	}
}

// caresFor reports whether a room is the service's business now.
func (s *Service) caresFor(ctx context.Context, r *room.Room) (bool, error) {
	if c, known := s.cared(r.NID); known {
		return c.yes, nil
	}
	c, err := s.look(ctx, r, r.Current().State)
	if err != nil {
		return false, err
	}
	c.from = s.e.DB.Position() + 1 // what came until now may be from another time
	s.remember(r.NID, c)
	return c.yes, nil
}

func (s *Service) cared(nid int64) (c care, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known = s.cares[nid]
	return c, known
}

func (s *Service) remember(nid int64, c care) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cares) >= maxCares {
		clear(s.cares)
	}
	s.cares[nid] = c
}

// look finds out whether a room whose state is at root is the service's business:
// by its id, by its aliases, or because one of its users is joined.
func (s *Service) look(ctx context.Context, r *room.Room, root int64) (care, error) {
	if within(s.Rooms, r.ID) {
		return care{yes: true}, nil
	}
	if len(s.Aliases) > 0 {
		aliases, err := s.e.Directory.Aliases(ctx, r)
		if err != nil {
			return care{}, err
		}
		if slices.ContainsFunc(aliases, func(alias string) bool { return within(s.Aliases, alias) }) {
			return care{yes: true}, nil
		}
	}
	// Those who are joined now come first, as they mostly were then.
	for _, in := range [][]store.Membership{{store.Join}, {store.Leave, store.Ban, store.Invite, store.Knock}} {
		members, err := s.e.Rooms.Members(ctx, r, in...)
		if err != nil {
			return care{}, err
		}
		for _, m := range members {
			if !s.Owns(m.User) {
				continue
			}
			ev, err := s.e.Rooms.StateEvent(ctx, r, root, "m.room.member", m.User)
			if err != nil {
				return care{}, err
			}
			if ev != nil && ev.Membership() == "join" {
				return care{yes: true, because: m.User}, nil
			}
		}
	}
	return care{}, nil
}

// caresForUser reports whether a user is the service's, or in one of the rooms
// that are its business.
func (s *Service) caresForUser(ctx context.Context, user string) (bool, error) {
	if s.Owns(user) {
		return true, nil
	}
	rooms, err := s.e.Rooms.JoinedRooms(ctx, user)
	if err != nil {
		return false, err
	}
	for _, nid := range rooms {
		r, err := s.e.Rooms.RoomByNID(ctx, nid)
		if err != nil {
			return false, err
		}
		if cares, err := s.caresFor(ctx, r); err != nil || cares {
			return cares, err
		}
	}
	return false, nil
}

// forget drops what is known of a room, whose aliases have changed.
func (e *Engine) forget(nid int64) {
	for _, s := range e.services {
		s.mu.Lock()
		delete(s.cares, nid)
		s.mu.Unlock()
	}
}
