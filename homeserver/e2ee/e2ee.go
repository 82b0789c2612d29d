// Package e2ee keeps what clients need from a server to encrypt end to end: the
// public keys of devices and users, keys that are given away once, messages from
// device to device, and backups of keys (client-server-api/#end-to-end-encryption).
// It sees public keys and ciphertext only, and does not know how /sync tells of
// them.
package e2ee

import (
	"context"
	"log/slog"
	"sync/atomic"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Config is what an Engine needs from the rest of the server.
type Config struct {
	DB     *db.DB
	Hub    *notify.Hub
	Server mxid.ServerName
	Log    *slog.Logger
	// Copy is shown the messages that a transaction puts into inboxes; may be nil.
	Copy func(tx *db.Tx, mail []store.DeviceMessage) error
	// Claimed is told that somebody has taken a key of a device; may be nil. It runs
	// in the store's writer, so it must be quick.
	Claimed func(user, device string)
}

// Engine keeps the keys of all users of a server.
type Engine struct {
	Config
	changes *changes
	counts  *counts
	inboxes *inboxes
	acks    acks
	sends   atomic.Int64 // requests to send messages

	replacements replacements
}

// New returns an Engine. Nothing runs in the background.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{Config: c, changes: newChanges(c.DB.Position()), counts: newCounts(), inboxes: newInboxes()}
}

// local reports whether a user is of this server.
func (e *Engine) local(user string) bool { return mxid.ServerOf(user) == e.Server }

// DeviceRemoved forgets all of a device, in the transaction that removes it: a
// device that comes again by the same id must not be taken for the old one.
func (e *Engine) DeviceRemoved(tx *db.Tx, user, device string) error {
	seen, err := store.DeleteKeysOfDevice(tx, user, device)
	if err != nil {
		return err
	}
	e.counts.drop(tx, user, device)
	if err := store.DeleteDehydratedDevice(tx, user, device); err != nil {
		return err
	}
	if err := e.dropInbox(tx, user, device); err != nil || !seen {
		return err
	}
	return e.changed(tx, user, "")
}

// DeviceRenamed tells others of a device's new name, which they see beside its
// keys.
func (e *Engine) DeviceRenamed(tx *db.Tx, user, device string) error {
	_, err := store.DeviceKeysOf(tx, user, device)
	if err == db.ErrNoRow {
		return nil
	}
	if err != nil {
		return err
	}
	return e.changed(tx, user, "")
}

// canonical returns JSON in canonical form, or M_BAD_JSON.
func canonical(raw []byte) ([]byte, error) {
	b, err := canonjson.Canonical(nil, raw, canonjson.Options{})
	if err != nil {
		return nil, mxerr.New(mxerr.BadJSON, "The keys are not canonical JSON: %v", err)
	}
	return b, nil
}

func badJSON(format string, args ...any) error { return mxerr.New(mxerr.BadJSON, format, args...) }

// read runs one reading transaction and returns what f found.
func read[T any](ctx context.Context, d *db.DB, f func(*db.Tx) (T, error)) (out T, err error) {
	err = d.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = f(tx)
		return err
	})
	return out, err
}
