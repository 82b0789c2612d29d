// Package typing knows who is writing a message right now. It keeps that in
// memory only: whoever typed before a restart will type again. It does not know
// how /sync tells it.
package typing

import (
	"context"
	"slices"
	"sync"
	"time"

	"hearth/base/notify"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

const (
	// maxTime caps what clients ask for, so that one that crashed does not type
	// for hours.
	maxTime = 2 * time.Minute
	// maxTypers bounds who is shown typing in one room; more cannot be read.
	maxTypers = 100
	// maxQuiet bounds the rooms that are kept only because somebody typed there
	// once.
	maxQuiet = 2048
)

// Engine keeps who types in which room.
type Engine struct {
	rooms *room.Engine
	hub   *notify.Hub

	observers []func(room int64)

	mu      sync.Mutex
	stopped bool
	byRoom  map[int64]*typers
	forgot  int64 // the latest change of a room that is no longer in byRoom
}

// typers are those of one room.
type typers struct {
	users   map[string]*typer
	changed int64 // number of the latest change, as the hub counts
}

type typer struct {
	expiry *time.Timer
}

// New returns an Engine. It sees members leave by observing rooms, so call New
// before the first request. Stop ends its timers.
func New(rooms *room.Engine, hub *notify.Hub) *Engine {
	e := &Engine{rooms: rooms, hub: hub, byRoom: map[int64]*typers{}}
	rooms.Observe(e.observe)
	return e
}

// Observe registers a function that is called when it changes who types in a room.
// It must be quick. Call Observe before the first request.
func (e *Engine) Observe(f func(room int64)) { e.observers = append(e.observers, f) }

func (e *Engine) tell(room int64) {
	e.hub.WakeRoom(room)
	for _, f := range e.observers {
		f(room)
	}
}

// Stop ends all typing. Nobody is told.
func (e *Engine) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	for _, t := range e.byRoom {
		for _, u := range t.users {
			u.expiry.Stop()
		}
	}
	clear(e.byRoom)
}

// Set records that user types in r for d; d of 0 or less means stopped. Users
// who are not joined get M_FORBIDDEN.
func (e *Engine) Set(ctx context.Context, r *room.Room, user string, d time.Duration) error {
	m, err := e.rooms.Membership(ctx, r.ID, user)
	if err != nil {
		return err
	}
	if m != store.Join {
		return mxerr.New(mxerr.Forbidden, "%s is not in this room", user)
	}
	if d <= 0 {
		e.end(r.NID, user, nil)
		return nil
	}
	e.begin(r.NID, user, min(d, maxTime))
	return nil
}

func (e *Engine) begin(room int64, user string, d time.Duration) {
	if e.add(room, user, d) {
		e.tell(room)
	}
}

// add reports whether the user did not type before.
func (e *Engine) add(room int64, user string, d time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return false
	}
	t := e.byRoom[room]
	if t == nil {
		e.makeSpaceLocked()
		t = &typers{users: map[string]*typer{}}
		e.byRoom[room] = t
	}
	old := t.users[user]
	if old == nil && len(t.users) >= maxTypers {
		return false
	}
	if old != nil {
		old.expiry.Stop()
	}
	// A new typer each time: a timer that fires while it is replaced finds that
	// it is not the current one.
	u := &typer{}
	u.expiry = time.AfterFunc(d, func() { e.end(room, user, u) })
	t.users[user] = u
	if old == nil {
		t.changed = e.hub.NextLive()
	}
	return old == nil
}

// end stops user from typing; with only, unless the user has typed again since.
func (e *Engine) end(room int64, user string, only *typer) {
	e.mu.Lock()
	t := e.byRoom[room]
	if t == nil || t.users[user] == nil || only != nil && t.users[user] != only {
		e.mu.Unlock()
		return
	}
	t.users[user].expiry.Stop()
	delete(t.users, user)
	t.changed = e.hub.NextLive()
	e.mu.Unlock()
	e.tell(room)
}

// makeSpaceLocked forgets rooms in which nobody types, if there are many.
func (e *Engine) makeSpaceLocked() {
	if len(e.byRoom) < maxQuiet {
		return
	}
	for room, t := range e.byRoom {
		if len(t.users) == 0 {
			e.forgot = max(e.forgot, t.changed)
			delete(e.byRoom, room)
		}
	}
}

// observe ends the typing of those who are no longer members. It runs in the
// store's writer.
func (e *Engine) observe(r *room.Room, ev *room.Event) {
	if ev.Type == "m.room.member" && ev.StateKey != nil && ev.Membership() != "join" {
		e.end(r.NID, *ev.StateKey, nil)
	}
}

// Since returns who types in a room, by user id, and whether that may have
// changed after the live number (notify.Hub.Live; read that before Since).
func (e *Engine) Since(room, live int64) (users []string, changed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.byRoom[room]
	if t == nil {
		return nil, e.forgot > live
	}
	for u := range t.users {
		users = append(users, u)
	}
	slices.Sort(users)
	return users, t.changed > live
}
