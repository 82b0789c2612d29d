package pusher

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"unicode/utf8"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// The kinds of pushers.
const (
	HTTP    = "http"
	WebPush = "webpush"
	Email   = "email"
)

// Pushers lists the pushers of a user, oldest first.
func (e *Engine) Pushers(ctx context.Context, user string) (all []store.Pusher, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = store.PushersOf(tx, user)
		return err
	})
	return all, err
}

// Set adds a pusher, or changes the one of the same app and key. Without
// appending, other users' pushers of that app and key end: a device belongs to
// the one who used it last.
func (e *Engine) Set(ctx context.Context, p store.Pusher, appending bool) error {
	if err := e.check(&p); err != nil {
		return err
	}
	if p.Kind == Email {
		if err := e.checkMail(ctx, &p); err != nil {
			return err
		}
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		total, err := store.CountPushers(tx)
		if err != nil {
			return err
		}
		same, err := store.PushersByKey(tx, p.App, p.Key)
		if err != nil {
			return err
		}
		isNew := true
		for _, other := range same {
			switch {
			case other.User == p.User:
				if isNew, err = e.toggle(tx, other, &p); err != nil {
					return err
				}
			case !appending:
				if err := e.deleteTx(tx, other); err != nil {
					return err
				}
			}
		}
		if isNew {
			own, err := store.PushersOf(tx, p.User)
			if err != nil {
				return err
			}
			if len(own) >= maxPushers {
				return mxerr.New(mxerr.InvalidParam, "You have %d pushers, which is as many as fit", len(own))
			}
		}
		p.ID = tx.NextPos()
		if total == 0 { // nobody has followed the stream for a while
			if err := store.SetPushCursor(tx, p.ID); err != nil {
				return err
			}
		}
		tx.AfterCommit(func() {
			if total == 0 {
				e.moved.Store(true)
			}
			if isNew {
				e.total.Add(1)
			}
			e.changed()
		})
		return store.SetPusher(tx, p)
	})
}

// toggle switches a pusher on or off, if that is what changes. Any of the user's
// devices may do so for another (MSC3881), so it stays that one's. What is on its
// way to a pusher that is switched off is forgotten; one that is switched on begins
// anew, so that it does not hear of what was said meanwhile.
func (e *Engine) toggle(tx *db.Tx, was store.Pusher, p *store.Pusher) (isNew bool, err error) {
	if was.Off == p.Off {
		return false, nil
	}
	p.Device = was.Device
	if p.Off {
		return false, store.DropPushes(tx, was.ID)
	}
	return true, e.deleteTx(tx, was)
}

// Delete removes a user's pusher. One that is not there is no error.
func (e *Engine) Delete(ctx context.Context, user, app, key string) error {
	if !storable(app, key) {
		return nil
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		same, err := store.PushersByKey(tx, app, key)
		for _, p := range same {
			if p.User == user {
				err = errors.Join(err, e.deleteTx(tx, p))
			}
		}
		return err
	})
}

// DeviceRemoved deletes the pushers that a device has set, in the transaction
// that removes it.
func (e *Engine) DeviceRemoved(tx *db.Tx, user, device string) error {
	all, err := store.PushersOfDevice(tx, user, device)
	for _, p := range all {
		err = errors.Join(err, e.deleteTx(tx, p))
	}
	return err
}

func (e *Engine) deleteTx(tx *db.Tx, p store.Pusher) error {
	tx.AfterCommit(func() {
		e.total.Add(-1)
		e.changed()
		e.forget(p.ID)
	})
	return store.DeletePusher(tx, p.ID)
}

// changed forgets who has pushers where.
func (e *Engine) changed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.inRoom)
	clear(e.users)
	e.changes++
}

// forget ends what goes on for a pusher, unless a request is under way.
func (e *Engine) forget(id int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.live[id]; d != nil && !d.running {
		if d.timer != nil {
			d.timer.Stop()
		}
		delete(e.live, id)
	}
}

func (e *Engine) check(p *store.Pusher) error {
	switch {
	case p.App == "" || p.Key == "" || p.Kind == "":
		return mxerr.New(mxerr.MissingParam, "A pusher needs an app_id, a pushkey and a kind")
	case len(p.App) > 64 || len(p.Key) > 512:
		return mxerr.New(mxerr.InvalidParam, "An app_id has up to 64 and a pushkey up to 512 bytes")
	case p.AppName == "" || p.DeviceName == "" || p.Lang == "":
		return mxerr.New(mxerr.MissingParam, "A pusher needs app_display_name, device_display_name and lang")
	case !canonjson.IsObject(p.Data):
		return mxerr.New(mxerr.MissingParam, "A pusher needs data")
	case len(p.AppName)+len(p.DeviceName)+len(p.Lang)+len(p.Profile) > 2048 || len(p.Data) > 16<<10:
		return mxerr.New(mxerr.InvalidParam, "This is too long for a pusher")
	case !storable(p.App, p.Key, p.AppName, p.DeviceName, p.Lang, p.Profile, string(p.Data)):
		return mxerr.New(mxerr.InvalidParam, "A pusher is made of UTF-8 without zero bytes")
	}
	switch p.Kind {
	case HTTP:
		return e.checkURL(p.Data, "/_matrix/push/v1/notify")
	case WebPush, unstableWebPush:
		if e.VAPID == nil {
			break
		}
		if _, err := subscriptionOf(*p); err != nil {
			return mxerr.New(mxerr.InvalidParam, "This is no subscription for Web Push: %s", err)
		}
		return e.checkURL(p.Data, "")
	case Email:
		if e.Mail != nil {
			return nil
		}
	}
	return mxerr.New(mxerr.InvalidParam, "There are no pushers of the kind %q here", p.Kind)
}

// checkURL: data.url of a gateway "MUST be an HTTPS URL with a path of
// /_matrix/push/v1/notify". Plain HTTP is for gateways in the operator's own
// network.
func (e *Engine) checkURL(data []byte, path string) error {
	s, ok := canonjson.GetString(data, "url")
	if !ok || s == "" {
		return mxerr.New(mxerr.MissingParam, "data needs a url")
	}
	u, err := url.Parse(s)
	plain := err == nil && u.Scheme == "http" && len(e.Allowed) > 0
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !plain {
		return mxerr.New(mxerr.InvalidParam, "data.url must be an HTTPS URL")
	}
	if path != "" && u.Path != path {
		return mxerr.New(mxerr.InvalidParam, "The path of data.url must be %s", path)
	}
	return nil
}

func storable(all ...string) bool {
	return !slices.ContainsFunc(all, func(s string) bool {
		return !utf8.ValidString(s) || slices.Contains([]byte(s), 0)
	})
}

// forgetMembers forgets who is in the rooms where that changes. It comes before the
// look at any of events, which begins with the newest.
func (e *Engine) forgetMembers(events []store.RawEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, raw := range events {
		if isMember(raw) {
			delete(e.inRoom, raw.Room)
		}
	}
}

func isMember(raw store.RawEvent) bool {
	typ, _ := canonjson.GetString(raw.JSON, "type")
	return typ == "m.room.member"
}

// pushersFor returns the pushers of those who may hear of an event: who is in
// the room, and who is invited by it.
func (e *Engine) pushersFor(ctx context.Context, r *room.Room, raw store.RawEvent) ([]store.Pusher, error) {
	var invited string
	if isMember(raw) {
		content, _ := canonjson.Get(raw.JSON, "content")
		if m, _ := canonjson.GetString(content, "membership"); m == "invite" {
			invited, _ = canonjson.GetString(raw.JSON, "state_key")
		}
	}
	e.mu.Lock()
	all, known := e.inRoom[r.NID]
	changes := e.changes
	e.mu.Unlock()
	if known && invited == "" {
		return all, nil
	}
	var guest []store.Pusher
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if all, err = store.PushersIn(tx, r.NID); err == nil && invited != "" {
			guest, err = store.PushersOf(tx, invited)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	if len(e.inRoom) >= maxRooms {
		clear(e.inRoom)
	}
	if e.changes == changes {
		e.inRoom[r.NID] = all
	}
	e.mu.Unlock()
	all = slices.Clip(all)
	for _, p := range guest {
		if !p.Off && !slices.ContainsFunc(all, func(q store.Pusher) bool { return q.ID == p.ID }) {
			all = append(all, p)
		}
	}
	return all, nil
}

// hasPushers reports whether a user has any.
func (e *Engine) hasPushers(ctx context.Context, user string) (bool, error) {
	e.mu.Lock()
	n, known := e.users[user]
	changes := e.changes
	e.mu.Unlock()
	if known {
		return n > 0, nil
	}
	all, err := e.Pushers(ctx, user)
	if err != nil {
		return false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.users) >= maxBadges {
		clear(e.users)
	}
	if e.changes == changes {
		e.users[user] = len(all)
	}
	return len(all) > 0, nil
}

func notThere(err error) bool { return mxerr.From(err).Code == mxerr.NotFound }

// dataFor is what a gateway gets of a pusher's data.
func dataFor(p store.Pusher) json.RawMessage {
	fields := map[string]json.RawMessage{}
	_ = json.Unmarshal(p.Data, &fields) // it was checked to be an object
	delete(fields, "url")
	b, err := json.Marshal(fields)
	if err != nil {
		return json.RawMessage("{}")
	}
	return b
}
