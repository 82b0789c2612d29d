// Package personal keeps what users store on the server for themselves: account
// data of no room and of rooms (tags, the fully-read marker and ignored people
// among it), push rules, and filters. It knows what some types of account data
// mean to the server, and nothing of how /sync tells them.
package personal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"unicode/utf8"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// The types of account data that the server has a part in.
const (
	TypePushRules = "m.push_rules"
	TypeFullyRead = "m.fully_read"
	TypeTag       = "m.tag"
	TypeIgnored   = "m.ignored_user_list"
)

const (
	maxType    = 255       // bytes, as of event types
	maxContent = 512 << 10 // bytes; m.direct of people with very many chats
	maxEntries = 20_000    // of one user, in all rooms
	maxCached  = 4096      // users whose state of something is kept in memory
)

// Engine keeps personal data.
type Engine struct {
	db        *db.DB
	hub       *notify.Hub
	observers []func(user string, room int64, typ string)

	mu      sync.RWMutex
	latest  map[string]int64 // newest position by user
	floor   int64            // a position up to which users without an entry may have data
	ignored map[string]map[string]bool
	filters map[filterKey]*Filter
	changes int64 // counts what made something in ignored old
}

// New returns an Engine on an open database. Nothing runs in the background.
func New(d *db.DB, hub *notify.Hub) *Engine {
	return &Engine{
		db: d, hub: hub, latest: map[string]int64{}, floor: d.Position(),
		ignored: map[string]map[string]bool{}, filters: map[filterKey]*Filter{},
	}
}

// Observe registers a function that is told which entry of whom changed, after
// the commit and before anybody is woken for it. It runs in the store's writer,
// so it must be quick. Call Observe before the first request.
func (e *Engine) Observe(f func(user string, room int64, typ string)) {
	e.observers = append(e.observers, f)
}

// Put stores an entry; room is a room's number, or 0. What content says must be
// a JSON object. An empty one deletes the entry (MSC3391).
//
// Errors: M_BAD_JSON with status 405 for types that the server keeps itself,
// M_BAD_JSON, M_INVALID_PARAM for a bad type, M_TOO_LARGE.
func (e *Engine) Put(ctx context.Context, user string, room int64, typ string, content json.RawMessage) error {
	if err := settable(typ); err != nil {
		return err
	}
	packed, err := pack(content)
	if err != nil {
		return err
	}
	if string(packed) == "{}" {
		packed = nil
	}
	return e.write(ctx, user, room, typ, func(*db.Tx, *store.AccountData) ([]byte, error) { return packed, nil })
}

// DeviceRemoved deletes what is kept for a device alone, in the transaction that
// removes it (MSC3890).
func (e *Engine) DeviceRemoved(tx *db.Tx, user, device string) error {
	for _, prefix := range []string{"m.local_notification_settings.", "org.matrix.msc3890.local_notification_settings."} {
		row, err := store.AccountDataOf(tx, user, 0, prefix+device)
		if errors.Is(err, db.ErrNoRow) || err == nil && row.Deleted {
			continue
		}
		if err != nil {
			return err
		}
		row.Pos, row.Content, row.Deleted = tx.NextPos(), []byte("{}"), true
		tx.AfterCommit(func() { e.publish(row) })
		if err := store.SetAccountData(tx, row); err != nil {
			return err
		}
	}
	return nil
}

// Erase deletes everything of a user whose account is closed: no client is left to
// be told.
func (e *Engine) Erase(tx *db.Tx, user string) error {
	tx.AfterCommit(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.ignored, user)
		e.changes++
	})
	return store.DeleteAccountData(tx, user)
}

// Delete removes an entry; clients see it as an empty object in /sync once
// (MSC3391). Deleting what is not there is no error.
func (e *Engine) Delete(ctx context.Context, user string, room int64, typ string) error {
	if err := settable(typ); err != nil {
		return err
	}
	return e.write(ctx, user, room, typ, func(_ *db.Tx, old *store.AccountData) ([]byte, error) {
		if old == nil || old.Deleted {
			return nil, errUnchanged
		}
		return nil, nil
	})
}

// errUnchanged ends a write that has nothing to do.
var errUnchanged = errors.New("nothing to change")

// write stores what next makes of an entry. old is nil without one; next
// returns nil to delete it, and errUnchanged to leave it. Since writes may run
// more than once, next may too.
func (e *Engine) write(ctx context.Context, user string, room int64, typ string, next func(tx *db.Tx, old *store.AccountData) ([]byte, error)) error {
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		row, err := store.AccountDataOf(tx, user, room, typ)
		old := &row
		if errors.Is(err, db.ErrNoRow) {
			old, err = nil, roomForMore(tx, user)
		}
		if err != nil {
			return err
		}
		content, err := next(tx, old)
		if err != nil {
			return err
		}
		entry := store.AccountData{User: user, Room: room, Type: typ, Pos: tx.NextPos(), Content: content}
		if content == nil {
			entry.Content, entry.Deleted = []byte("{}"), true
		}
		tx.AfterCommit(func() { e.publish(entry) })
		return store.SetAccountData(tx, entry)
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

func roomForMore(tx *db.Tx, user string) error {
	n, err := store.CountAccountData(tx, user)
	if err == nil && n >= maxEntries {
		return mxerr.New(mxerr.TooLarge, "You have %d entries of account data, which is as many as fit", n)
	}
	return err
}

// publish lets readers and waiters know of a stored entry. It runs in the
// store's writer.
func (e *Engine) publish(a store.AccountData) {
	e.mu.Lock()
	if _, ok := e.latest[a.User]; !ok && len(e.latest) >= maxCached {
		clear(e.latest)
		e.floor = a.Pos - 1 // positions are handed out in this order
	}
	e.latest[a.User] = a.Pos
	if a.Type == TypeIgnored {
		delete(e.ignored, a.User)
		e.changes++
	}
	e.mu.Unlock()
	for _, f := range e.observers {
		f(a.User, a.Room, a.Type)
	}
	e.hub.User(a.User)
}

// settable refuses types that clients may not store themselves, and those that
// nobody can.
func settable(typ string) error {
	switch {
	case typ == TypeFullyRead || typ == TypePushRules:
		return mxerr.New(mxerr.BadJSON, "Cannot set %s through this API", typ).WithStatus(405)
	case typ == "" || len(typ) > maxType || !utf8.ValidString(typ):
		return mxerr.New(mxerr.InvalidParam, "A type of account data has 1 to %d bytes of UTF-8", maxType)
	}
	return nil
}

func pack(content json.RawMessage) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, content); err != nil {
		return nil, mxerr.New(mxerr.NotJSON, "Account data must be JSON")
	}
	if b.Len() == 0 || b.Bytes()[0] != '{' {
		return nil, mxerr.New(mxerr.BadJSON, "Account data must be a JSON object")
	}
	if b.Len() > maxContent {
		return nil, mxerr.New(mxerr.TooLarge, "Account data must not be larger than %d bytes", maxContent)
	}
	return b.Bytes(), nil
}
