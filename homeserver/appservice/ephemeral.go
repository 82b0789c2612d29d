package appservice

import (
	"context"
	"encoding/json"
	"slices"

	"hearth/base/store"
	"hearth/homeserver/receipt"
)

// maxFresh bounds what is kept for a service of each kind of news that nobody
// misses when they are lost: a service that was away for longer starts anew.
const maxFresh = 500

// ephemeral is what happened since a service was last told.
type ephemeral struct {
	receipts []store.Receipt
	typing   map[int64]bool  // rooms
	presence map[string]bool // users
}

// noteReceipt runs in the store's writer.
func (e *Engine) noteReceipt(rc store.Receipt) {
	if rc.Kind != receipt.Read {
		return
	}
	e.note(func(f *ephemeral) {
		if len(f.receipts) == maxFresh {
			f.receipts = slices.Delete(f.receipts, 0, maxFresh/10)
		}
		f.receipts = append(f.receipts, rc)
	})
}

func (e *Engine) noteTyping(nid int64) {
	e.note(func(f *ephemeral) {
		if f.typing == nil {
			f.typing = map[int64]bool{}
		}
		if len(f.typing) < maxFresh {
			f.typing[nid] = true
		}
	})
}

func (e *Engine) notePresence(user string) {
	e.note(func(f *ephemeral) {
		if f.presence == nil {
			f.presence = map[string]bool{}
		}
		if len(f.presence) < maxFresh {
			f.presence[user] = true
		}
	})
}

func (e *Engine) note(add func(*ephemeral)) {
	for _, s := range e.services {
		if !s.Ephemeral || s.URL == "" {
			continue
		}
		s.mu.Lock()
		add(&s.fresh)
		s.mu.Unlock()
		s.signal()
	}
}

// takeEphemeral returns what is new, as far as it is the service's business, as
// events (application-service-api/#pushing-ephemeral-data).
func (s *Service) takeEphemeral(ctx context.Context) (out []json.RawMessage, err error) {
	s.mu.Lock()
	f := s.fresh
	s.fresh = ephemeral{}
	s.mu.Unlock()
	type event struct {
		Type    string `json:"type"`
		RoomID  string `json:"room_id,omitempty"`
		Sender  string `json:"sender,omitempty"`
		Content any    `json:"content"`
	}
	add := func(ev any) {
		if text, err := json.Marshal(ev); err == nil {
			out = append(out, text)
		}
	}
	inRoom := func(nid int64, make func() (string, any)) error {
		r, err := s.e.Rooms.RoomByNID(ctx, nid)
		if err != nil {
			return nil // it is gone
		}
		cares, err := s.caresFor(ctx, r)
		if cares {
			typ, content := make()
			add(event{Type: typ, RoomID: r.ID, Content: content})
		}
		return err
	}
	for _, rc := range f.receipts {
		err := inRoom(rc.Room, func() (string, any) {
			data := map[string]any{"ts": rc.At}
			if rc.Thread != "" {
				data["thread_id"] = rc.Thread
			}
			return "m.receipt", map[string]any{rc.EventID: map[string]any{receipt.Read: map[string]any{rc.User: data}}}
		})
		if err != nil {
			return nil, err
		}
	}
	for nid := range f.typing {
		err := inRoom(nid, func() (string, any) {
			users, _ := s.e.Typing.Since(nid, 0)
			return "m.typing", map[string]any{"user_ids": append([]string{}, users...)}
		})
		if err != nil {
			return nil, err
		}
	}
	for user := range f.presence {
		cares, err := s.caresForUser(ctx, user)
		if err != nil {
			return nil, err
		}
		if !cares {
			continue
		}
		for _, ev := range s.e.Presence.Of([]string{user}) {
			add(ev)
		}
	}
	return out, nil
}
