package appservice

import (
	"context"

	"hearth/base/store"
	"hearth/homeserver/room"
)

// maxCares bounds the rooms of which it is known whether they are a service's
// business.
const maxCares = 10_000

// interested reports whether a service is to hear of an event
// (application-service-api/#pushing-events): its users sent it, it is about one of
// them, or it is in a room that is the service's business.
func (s *Service) interested(ctx context.Context, r *room.Room, ev *room.Event) (bool, error) {
	if ev.Type == "m.room.member" && ev.StateKey != nil && s.Owns(*ev.StateKey) {
		s.forget(r.NID)
		return true, nil
	}
	if s.Owns(ev.Sender) {
		return true, nil
	}
	return s.caresFor(ctx, r)
}

// caresFor reports whether a room is the service's business: by its id, by its
// aliases, or because its users are there.
func (s *Service) caresFor(ctx context.Context, r *room.Room) (bool, error) {
	s.mu.Lock()
	cares, known := s.cares[r.NID]
	s.mu.Unlock()
	if known {
		return cares, nil
	}
	cares, err := s.look(ctx, r)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cares) >= maxCares {
		clear(s.cares)
	}
	s.cares[r.NID] = cares
	return cares, nil
}

func (s *Service) look(ctx context.Context, r *room.Room) (bool, error) {
	if within(s.Rooms, r.ID) {
		return true, nil
	}
	if len(s.Aliases) > 0 {
		aliases, err := s.e.Directory.Aliases(ctx, r)
		if err != nil {
			return false, err
		}
		for _, alias := range aliases {
			if within(s.Aliases, alias) {
				return true, nil
			}
		}
	}
	members, err := s.e.Rooms.Members(ctx, r, store.Join, store.Invite)
	if err != nil {
		return false, err
	}
	for _, m := range members {
		if s.Owns(m.User) {
			return true, nil
		}
	}
	return false, nil
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

// forget drops what is known of a room.
func (s *Service) forget(nid int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cares, nid)
}

func (e *Engine) forget(nid int64) {
	for _, s := range e.services {
		s.forget(nid)
	}
}
