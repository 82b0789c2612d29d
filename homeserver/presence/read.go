package presence

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// Get returns a user's presence as viewer may see it: their own, and that of
// people who share a room with them. Those who were never there are offline, and
// with presence off everybody is. Errors: M_FORBIDDEN for others.
func (e *Engine) Get(ctx context.Context, viewer, id string) (Event, error) {
	if !e.Config.Enabled {
		return Event{User: id, State: Offline, LastActiveAgo: -1}, nil
	}
	shares, err := e.Shares(ctx, viewer, id)
	if err != nil {
		return Event{}, err
	}
	if !shares {
		return Event{}, mxerr.New(mxerr.Forbidden, "You are not allowed to see their presence")
	}
	e.mu.Lock()
	u := e.users[id]
	if u != nil && (u.changed != 0 || !u.activeAt.IsZero()) {
		defer e.mu.Unlock()
		return u.event(time.Now()), nil
	}
	e.mu.Unlock()
	row, err := e.load(ctx, id)
	if err != nil {
		return Event{}, err
	}
	if row == nil {
		return Event{User: id, State: Offline, LastActiveAgo: -1}, nil
	}
	return Event{User: id, State: Offline, Status: row.Status, LastActiveAgo: time.Since(time.UnixMilli(row.ActiveAt))}, nil
}

// load returns what the store has of a user, nil if it has nothing.
func (e *Engine) load(ctx context.Context, id string) (*store.Presence, error) {
	var row store.Presence
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		row, err = store.PresenceOf(tx, id)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		return nil, nil
	}
	return &row, err
}

// Since returns the presence of those of users that changed after the live
// number (notify.Hub.Live; read that before Since), the earliest change first.
// After 0 come those who are there. It does not ask who may see whom: users says
// that, most likely by Shares.
func (e *Engine) Since(live int64, users func(id string) bool) []Event {
	var changed []*user
	e.mu.Lock()
	for el := e.recent.Back(); el != nil; el = el.Prev() {
		u := el.Value.(*user)
		if u.changed <= live {
			break
		}
		changed = append(changed, u)
	}
	now := time.Now()
	events := make([]Event, 0, len(changed))
	for i := len(changed) - 1; i >= 0; i-- {
		if u := changed[i]; live > 0 || u.shown.state != Offline {
			events = append(events, u.event(now))
		}
	}
	e.mu.Unlock()
	// users may ask the store, so it is not called under the lock.
	out := events[:0]
	for _, ev := range events {
		if users(ev.User) {
			out = append(out, ev)
		}
	}
	return out
}

// Of returns the presence of those of users who are there or were lately. It does
// not ask who may see whom.
func (e *Engine) Of(users []string) (events []Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for _, id := range users {
		if u := e.users[id]; u != nil && u.changed != 0 {
			events = append(events, u.event(now))
		}
	}
	return events
}

// LastChange is the live number of the newest change of anybody's presence, 0
// if there was none: a /sync that is past it need not ask Since.
func (e *Engine) LastChange() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if el := e.recent.Back(); el != nil {
		return el.Value.(*user).changed
	}
	return 0
}

func (u *user) event(now time.Time) Event {
	ev := Event{User: u.id, State: u.shown.state, Status: u.status, CurrentlyActive: u.shown.active, LastActiveAgo: -1}
	if !u.activeAt.IsZero() {
		ev.LastActiveAgo = now.Sub(u.activeAt)
	}
	return ev
}

// Content is what an m.presence event says, and what GET
// /presence/{userId}/status answers (client-server-api/#mpresence).
type Content struct {
	Presence        string  `json:"presence"`
	StatusMsg       *string `json:"status_msg,omitempty"`
	LastActiveAgo   *int64  `json:"last_active_ago,omitempty"` // ms
	CurrentlyActive *bool   `json:"currently_active,omitempty"`
}

// Content is ev without saying whose it is.
func (ev Event) Content() Content {
	c := Content{Presence: ev.State, StatusMsg: ev.Status}
	if ev.LastActiveAgo >= 0 {
		ago := ev.LastActiveAgo.Milliseconds()
		c.LastActiveAgo = &ago
	}
	if ev.State == Online {
		c.CurrentlyActive = &ev.CurrentlyActive
	}
	return c
}

// MarshalJSON is ev as it is in /sync.
func (ev Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Content Content `json:"content"`
		Sender  string  `json:"sender"`
		Type    string  `json:"type"`
	}{ev.Content(), ev.User, "m.presence"})
}
