package appservice

import (
	"context"
	"encoding/json"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/receipt"
	"hearth/matrix/mxerr"
)

// maxFresh bounds what is kept for a service of each kind of news that nobody
// misses when they are lost: a service that was away for longer starts anew.
const maxFresh = 500

const (
	// maxMail bounds the messages to devices that are kept for a service that does
	// not take them, the newest. They are counted once in a while.
	maxMail   = 20_000
	countMail = 500
)

type deviceKey struct{ user, device string }

// ephemeral is what happened since a service was last told.
type ephemeral struct {
	receipts []store.Receipt
	typing   map[int64]bool     // rooms
	presence map[string]bool    // users
	keys     map[deviceKey]bool // devices of which somebody has taken a key
}

// noteReceipt runs in the store's writer.
func (e *Engine) noteReceipt(rc store.Receipt) {
	e.note(func(s *Service) bool {
		if !s.Ephemeral || rc.Kind != receipt.Read && !s.Owns(rc.User) {
			return false
		}
		if len(s.fresh.receipts) == maxFresh {
			s.fresh.receipts = slices.Delete(s.fresh.receipts, 0, maxFresh/10)
		}
		s.fresh.receipts = append(s.fresh.receipts, rc)
		return true
	})
}

func (e *Engine) noteTyping(nid int64) {
	e.note(func(s *Service) bool { return s.Ephemeral && keep(&s.fresh.typing, nid) })
}

func (e *Engine) notePresence(user string) {
	e.note(func(s *Service) bool { return s.Ephemeral && keep(&s.fresh.presence, user) })
}

// Claimed notes that somebody has taken a key of a device, so that its service
// brings new ones.
func (e *Engine) Claimed(user, device string) {
	e.note(func(s *Service) bool {
		return s.Encryption && s.Owns(user) && keep(&s.fresh.keys, deviceKey{user, device})
	})
}

func keep[K comparable](set *map[K]bool, k K) bool {
	if *set == nil {
		*set = map[K]bool{}
	}
	if len(*set) < maxFresh {
		(*set)[k] = true
	}
	return true
}

// note adds news to those services for which add says so.
func (e *Engine) note(add func(*Service) bool) {
	for _, s := range e.services {
		if s.URL == "" {
			continue
		}
		s.mu.Lock()
		news := add(s)
		s.mu.Unlock()
		if news {
			s.signal()
		}
	}
}

// Copy keeps messages to devices of a service's users for it. It runs in the
// transaction that delivers them.
func (e *Engine) Copy(tx *db.Tx, mail []store.DeviceMessage) error {
	for _, s := range e.services {
		if !s.Ephemeral || s.URL == "" {
			continue
		}
		some := false
		for _, m := range mail {
			if !s.Owns(m.User) {
				continue
			}
			some = true
			if err := store.AddAppserviceMail(tx, s.ID, m); err != nil {
				return err
			}
			if s.mail.Add(1)%countMail != 1 {
				continue
			}
			if err := store.TrimAppserviceMail(tx, s.ID, maxMail); err != nil {
				return err
			}
		}
		if some {
			tx.AfterCommit(s.signal)
		}
	}
	return nil
}

// take returns what is new of that which passes, and gives it up.
func (s *Service) take() ephemeral {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fresh
	s.fresh = ephemeral{}
	return f
}

// giveBack undoes take. What has come since is kept first.
func (s *Service) giveBack(f ephemeral) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh.receipts = append(f.receipts, s.fresh.receipts...)
	if over := len(s.fresh.receipts) - maxFresh; over > 0 {
		s.fresh.receipts = slices.Delete(s.fresh.receipts, 0, over)
	}
	for nid := range f.typing {
		keep(&s.fresh.typing, nid)
	}
	for user := range f.presence {
		keep(&s.fresh.presence, user)
	}
	for d := range f.keys {
		keep(&s.fresh.keys, d)
	}
}

// passing adds what is new of that which passes, as far as it is the service's
// business, as events (application-service-api/#pushing-ephemeral-data).
func (s *Service) passing(ctx context.Context, f ephemeral, p *parcel) error {
	for d := range f.keys {
		if err := s.keysLeft(ctx, d, p); err != nil {
			return err
		}
	}
	for _, rc := range f.receipts {
		data := map[string]any{"ts": rc.At}
		if rc.Thread != "" {
			data["thread_id"] = rc.Thread
		}
		content := map[string]any{rc.EventID: map[string]any{rc.Kind: map[string]any{rc.User: data}}}
		if err := s.passingIn(ctx, rc.Room, "m.receipt", func() any { return content }, p); err != nil {
			return err
		}
	}
	for nid := range f.typing {
		content := func() any {
			users, _ := s.e.Typing.Since(nid, 0)
			return map[string]any{"user_ids": append([]string{}, users...)}
		}
		if err := s.passingIn(ctx, nid, "m.typing", content, p); err != nil {
			return err
		}
	}
	for user := range f.presence {
		cares, err := s.caresForUser(ctx, user)
		if err != nil {
			return err
		}
		if !cares {
			continue
		}
		for _, ev := range s.e.Presence.Of([]string{user}) {
			if err := p.pass(ev); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) passingIn(ctx context.Context, nid int64, typ string, content func() any, p *parcel) error {
	r, err := s.e.Rooms.RoomByNID(ctx, nid)
	if err != nil {
		if mxerr.From(err).Code == mxerr.NotFound {
			err = nil // it is gone
		}
		return err
	}
	cares, err := s.caresFor(ctx, r)
	if err != nil || !cares {
		return err
	}
	return p.pass(map[string]any{"type": typ, "room_id": r.ID, "content": content()})
}

func (p *parcel) pass(ev any) error {
	text, err := json.Marshal(ev)
	if err == nil {
		p.Ephemeral = append(p.Ephemeral, text)
	}
	return err
}
