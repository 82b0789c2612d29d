package account

import (
	"context"
	"sync"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxid"
)

const (
	// noteEvery is how exactly the time is kept at which a device was last seen.
	noteEvery = time.Minute
	// writeEvery is how long such a time stays in memory only.
	writeEvery = 30 * time.Second
	// maxSeen bounds what waits to be written. What does not fit is noted with a
	// later request.
	maxSeen = 50_000
)

// seen collects which devices were active, so that no request waits for that
// to be written.
type seen struct {
	mu    sync.Mutex
	notes map[seenDevice]sighting
}

type seenDevice struct{ user, device string }

type sighting struct {
	at int64 // ms
	ip string
}

func newSeen() *seen { return &seen{notes: map[seenDevice]sighting{}} }

func (s *seen) note(user, device, ip string, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.notes) < maxSeen {
		s.notes[seenDevice{user, device}] = sighting{at, ip}
	}
}

func (s *seen) take() map[seenDevice]sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes := s.notes
	s.notes = map[seenDevice]sighting{}
	return notes
}

// latest is what has been noted of a device and is not yet written.
func (s *seen) latest(user, device string) (sighting, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	note, ok := s.notes[seenDevice{user, device}]
	return note, ok
}

// Saw notes that a device is in use whose requests come without a token of its own.
func (e *Engine) Saw(user mxid.UserID, device, addr string) {
	e.seen.note(string(user), device, addr, e.nowMS())
}

func (e *Engine) writeSeen(ctx context.Context) {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.flushSeen(ctx)
		case <-ctx.Done():
			e.flushSeen(context.WithoutCancel(ctx))
			return
		}
	}
}

func (e *Engine) flushSeen(ctx context.Context) {
	notes := e.seen.take()
	if len(notes) == 0 {
		return
	}
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		for d, at := range notes {
			if err := store.SeenDevice(tx, d.user, d.device, at.at, at.ip); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		e.Log.Error("the times at which devices were last seen were not stored", "devices", len(notes), "err", err)
	}
}
