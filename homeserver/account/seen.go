package account

import (
	"context"
	"strings"
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
	// maxAgent is how many bytes are kept of what a program calls itself.
	maxAgent = 256
)

// Client is what a request shows of where it comes from.
type Client struct {
	Addr  string // IP address
	Agent string // what the program calls itself
}

// agent is what is kept of it: databases take no text but UTF-8.
func (c Client) agent() string {
	return strings.ToValidUTF8(c.Agent[:min(len(c.Agent), maxAgent)], "")
}

// seen collects which devices were active, so that no request waits for that
// to be written.
type seen struct {
	mu    sync.Mutex
	notes map[seenDevice]sighting
}

type seenDevice struct{ user, device string }

type sighting struct {
	at        int64 // ms
	ip, agent string
}

func newSeen() *seen { return &seen{notes: map[seenDevice]sighting{}} }

func (s *seen) note(user, device string, from Client, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := seenDevice{user, device}
	if _, known := s.notes[d]; known || len(s.notes) < maxSeen {
		s.notes[d] = sighting{at, from.Addr, from.agent()}
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
func (e *Engine) Saw(user mxid.UserID, device string, from Client) {
	e.seen.note(string(user), device, from, e.nowMS())
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
			if err := store.SeenDevice(tx, d.user, d.device, at.at, at.ip, at.agent); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		e.Log.Error("the times at which devices were last seen were not stored", "devices", len(notes), "err", err)
	}
}
