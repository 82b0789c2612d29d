package presence

import (
	"context"
	"slices"
	"time"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
)

const (
	// tellEvery is the least time between two rounds of waking people.
	tellEvery = time.Second
	// wakesPerSecond bounds how many people are woken in the long run: when ten
	// thousand come back at once, each hears of the others a few times, not ten
	// thousand times.
	wakesPerSecond = 2000
	// maxPause bounds how late a change may be told.
	maxPause = 30 * time.Second
)

// Start gives the engine the goroutine that notices who is idle or gone, wakes
// those who are interested, and saves. Stop ends it.
func (e *Engine) Start(ctx context.Context) {
	if !e.Config.Enabled {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	e.stop = cancel
	contain.Work(ctx, &e.done, e.Log, "presence", e.run)
}

// Stop saves what is not yet written and returns when nothing runs any more.
func (e *Engine) Stop() {
	if e.stop == nil {
		return
	}
	e.stop()
	e.done.Wait()
	e.save(context.Background())
}

func (e *Engine) run(ctx context.Context) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	saved := time.Now()
	var pause <-chan time.Time // while it is not nil, nobody is woken
	waiting := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.telling:
			waiting = true
		case <-pause:
			pause = nil
		case <-sweep.C:
			e.sweep()
			if time.Since(saved) >= saveEvery {
				e.save(ctx)
				saved = time.Now()
			}
		}
		if waiting && pause == nil {
			pause = time.After(e.wake(ctx))
			waiting = false
		}
	}
}

// sweep notices what time alone has changed.
func (e *Engine) sweep() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.awake {
		e.updateLocked(e.users[id])
	}
}

// wake wakes the rooms of all users who changed, each room once, and returns
// how long to wait with the next round.
func (e *Engine) wake(ctx context.Context) time.Duration {
	e.mu.Lock()
	changed := e.tell
	e.tell = map[string]bool{}
	e.mu.Unlock()
	woken := map[int64]bool{}
	people := int64(0)
	for id := range changed {
		e.Hub.WakeUser(id)
		for _, f := range e.observers {
			f(id)
		}
		rooms, err := e.Rooms.JoinedRooms(ctx, id)
		if err != nil {
			if ctx.Err() == nil {
				e.Log.WarnContext(ctx, "people were not told of a presence", "err", err)
			}
			continue
		}
		for _, nid := range rooms {
			if !woken[nid] {
				woken[nid] = true
				people += e.wakeRoom(ctx, nid)
			}
		}
	}
	pause := time.Duration(people) * time.Second / wakesPerSecond
	return min(max(pause, tellEvery), maxPause)
}

// wakeRoom returns how many members the room has.
func (e *Engine) wakeRoom(ctx context.Context, nid int64) int64 {
	e.Hub.WakeRoom(nid)
	r, err := e.Rooms.RoomByNID(ctx, nid)
	if err != nil {
		return 1 // only the pause after this round depends on it
	}
	return r.Current().Joined
}

// save writes what changed, in chunks that do not hold up other writes.
func (e *Engine) save(ctx context.Context) {
	e.mu.Lock()
	rows := make([]store.Presence, 0, len(e.dirty))
	for id := range e.dirty {
		if u := e.users[id]; u != nil {
			rows = append(rows, store.Presence{User: id, State: u.want, Status: u.status, ActiveAt: u.activeAt.UnixMilli()})
		}
	}
	clear(e.dirty)
	e.mu.Unlock()
	for chunk := range slices.Chunk(rows, 200) {
		err := e.DB.Write(ctx, func(tx *db.Tx) error {
			for _, p := range chunk {
				if err := store.SetPresence(tx, p); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			e.saveLater(chunk)
			if ctx.Err() == nil {
				e.Log.WarnContext(ctx, "presence was not saved", "err", err)
			}
		}
	}
}

func (e *Engine) saveLater(rows []store.Presence) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range rows {
		e.dirty[p.User] = true
	}
}
