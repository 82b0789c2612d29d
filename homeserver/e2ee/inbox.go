package e2ee

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

const (
	// maxInbox bounds the messages that wait for a device. The oldest go first:
	// a device that was away for so long has lost more than that.
	maxInbox = 10_000
	// trimEvery says after how many messages, on average, an inbox is trimmed.
	trimEvery = 64
	// maxMessage bounds one message, in bytes.
	maxMessage = 64 << 10
	// maxBatch bounds the messages of one answer.
	maxBatch = 100
	// maxInboxes bounds the inboxes of which something is kept in memory.
	maxInboxes = 20_000
)

// inboxes remembers which devices have messages: nearly all have none nearly
// always, and every /sync asks.
type inboxes struct {
	mu  sync.Mutex
	of  map[deviceKey]inboxEnds
	gen int64 // counts what may have made an entry old
}

// inboxEnds are the positions of the oldest and the newest message, 0 for none.
type inboxEnds struct{ first, last int64 }

func newInboxes() *inboxes { return &inboxes{of: map[deviceKey]inboxEnds{}} }

// put notes a new message.
func (i *inboxes) put(key deviceKey, pos int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.gen++
	ends, ok := i.of[key]
	if !ok {
		return
	}
	if ends.first == 0 {
		ends.first = pos
	}
	ends.last = max(ends.last, pos)
	i.of[key] = ends
}

// drop forgets what is known of a device's messages.
func (i *inboxes) drop(key deviceKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.gen++
	delete(i.of, key)
}

func (e *Engine) inboxEnds(ctx context.Context, key deviceKey) (inboxEnds, error) {
	i := e.inboxes
	i.mu.Lock()
	ends, ok := i.of[key]
	gen := i.gen
	i.mu.Unlock()
	if ok {
		return ends, nil
	}
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		ends.first, ends.last, err = store.InboxEnds(tx, key.user, key.device)
		return err
	})
	if err != nil {
		return ends, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gen == gen {
		if len(i.of) >= maxInboxes {
			clear(i.of)
		}
		i.of[key] = ends
	}
	return ends, nil
}

// Mail is a request to send messages to devices.
type Mail struct {
	Sender, Device string // of the sender
	Type           string
	TxnID          string
	// Messages are contents by user and device; the device "*" stands for all.
	Messages map[string]map[string]json.RawMessage
}

// Send puts messages into the inboxes of devices. Those that are not there do
// not matter. A transaction that was seen before does nothing.
func (e *Engine) Send(ctx context.Context, m Mail) error {
	mail, err := e.sort(m)
	if err != nil {
		return err
	}
	var users []string
	for _, l := range mail {
		users = append(users, l.user)
	}
	slices.Sort(users)
	users = slices.Compact(users)
	sum := sha256.Sum256([]byte(strings.Join([]string{"to_device", m.Sender, m.Device, m.TxnID}, "\x00")))
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := store.Txn(tx, sum[:]); err == nil || !errors.Is(err, db.ErrNoRow) {
			return err
		}
		if err := store.SetTxn(tx, sum[:], 0, time.Now().UnixMilli()); err != nil {
			return err
		}
		devices, err := store.DeviceIDs(tx, users)
		if err != nil {
			return err
		}
		for _, l := range mail {
			for _, id := range devices[l.user] {
				if l.device != id && l.device != "*" {
					continue
				}
				if err := e.deliver(tx, store.DeviceMessage{User: l.user, Device: id, Message: l.message}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// letter is a message for one or all devices of a user.
type letter struct {
	user, device string
	message      []byte
}

// sort makes the messages for users of this server.
func (e *Engine) sort(m Mail) (all []letter, err error) {
	if len(m.Type) > 255 {
		return nil, mxerr.New(mxerr.InvalidParam, "The type is longer than 255 bytes")
	}
	for user, devices := range m.Messages {
		for device, content := range devices {
			if !canonjson.IsObject(content) {
				return nil, badJSON("The message to %s %s is not an object", user, device)
			}
			if len(content) > maxMessage {
				return nil, mxerr.New(mxerr.TooLarge, "The message to %s %s is more than %d bytes", user, device, maxMessage)
			}
			if !e.local(user) || !utf8.ValidString(user) || strings.Contains(user, "\x00") {
				continue // nobody is called that
			}
			b := append([]byte(`{"content":`), content...)
			b = canonjson.Quote(append(b, `,"sender":`...), m.Sender)
			b = canonjson.Quote(append(b, `,"type":`...), m.Type)
			all = append(all, letter{user, device, append(b, '}')})
			if len(all) > maxAsked {
				return nil, mxerr.New(mxerr.InvalidParam, "More than %d messages at once", maxAsked)
			}
		}
	}
	return all, nil
}

// deliver puts one message into one inbox.
func (e *Engine) deliver(tx *db.Tx, m store.DeviceMessage) error {
	m.Pos = tx.NextPos()
	if err := store.AddDeviceMessage(tx, m); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		e.inboxes.put(deviceKey{m.User, m.Device}, m.Pos)
		e.Hub.User(m.User)
	})
	if m.Pos%trimEvery != 0 {
		return nil
	}
	tx.AfterCommit(func() { e.inboxes.drop(deviceKey{m.User, m.Device}) })
	return store.TrimInbox(tx, m.User, m.Device, maxInbox)
}

// Fetch returns the messages of a device with positions in (after, upto], the
// oldest first and at most a batch (at most limit, if that is not 0), and the
// position up to which that is all. What was fetched before, up to after, is
// removed: the client has it, or it would not ask for what comes behind.
func (e *Engine) Fetch(ctx context.Context, user, device string, after, upto int64, limit int) (messages [][]byte, done int64, err error) {
	key := deviceKey{user, device}
	ends, err := e.inboxEnds(ctx, key)
	if err != nil || ends.last == 0 || device == "" {
		return nil, upto, err
	}
	if ends.first <= after {
		if err := e.acknowledge(ctx, key, after); err != nil {
			return nil, 0, err
		}
	}
	if ends.last <= after {
		return nil, upto, nil
	}
	n := maxBatch
	if limit > 0 {
		n = min(limit, maxBatch)
	}
	rows, err := read(ctx, e.DB, func(tx *db.Tx) ([]store.DeviceMessage, error) {
		return store.DeviceMessages(tx, user, device, after, n)
	})
	if err != nil {
		return nil, 0, err
	}
	full := len(rows) == n
	rows = slices.DeleteFunc(rows, func(m store.DeviceMessage) bool { return m.Pos > upto })
	done = upto
	if full && len(rows) > 0 {
		done = rows[len(rows)-1].Pos
	}
	for _, m := range rows {
		messages = append(messages, m.Message)
	}
	return messages, done, nil
}

// acknowledge removes what a device has.
func (e *Engine) acknowledge(ctx context.Context, key deviceKey, upto int64) error {
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		tx.AfterCommit(func() { e.inboxes.drop(key) })
		return store.DeleteDeviceMessages(tx, key.user, key.device, upto)
	})
}

func (e *Engine) dropInbox(tx *db.Tx, user, device string) error {
	tx.AfterCommit(func() { e.inboxes.drop(deviceKey{user, device}) })
	return store.DeleteDeviceMessages(tx, user, device, 1<<62)
}
