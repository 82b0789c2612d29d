package e2ee

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"
	"unicode/utf8"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Mail is a request to send messages to devices.
type Mail struct {
	Sender, Device string // of the sender
	Type           string
	TxnID          string // "" if the request is not repeated
	// Messages are contents by user and device; the device "*" stands for all
	// that are not named.
	Messages map[string]map[string]json.RawMessage
}

const (
	allDevices = "*"
	maxMessage = 64 << 10 // bytes of a content, as of events
	maxType    = 255      // bytes, as of events
	// What one request may write. "*" makes many messages of one.
	maxMail     = 10_000   // messages
	maxMailSize = 16 << 20 // bytes

	keepTxns   = 24 * time.Hour
	sweepEvery = 512 // requests, after which the old ones are forgotten
)

// Send puts messages into the inboxes of devices, all or none. Devices that are
// not there do not matter; users of other servers get nothing. A transaction
// that was seen before does nothing.
//
// Errors: M_BAD_JSON, M_INVALID_PARAM, M_TOO_LARGE.
func (e *Engine) Send(ctx context.Context, m Mail) error {
	parcels, err := e.pack(m)
	if err != nil {
		return err
	}
	now := time.Now()
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		if m.TxnID != "" {
			isNew, err := store.AddInboxTxn(tx, m.key(), now.UnixMilli())
			if err != nil || !isNew {
				return err
			}
			if e.sends.Add(1)%sweepEvery == 0 {
				if err := store.DeleteInboxTxns(tx, now.Add(-keepTxns).UnixMilli()); err != nil {
					return err
				}
			}
		}
		return e.deliver(tx, parcels)
	})
}

// key identifies a client's request (client-server-api/#transaction-identifiers).
func (m *Mail) key() []byte {
	h := sha256.New()
	for _, s := range []string{m.Sender, m.Device, m.Type, m.TxnID} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return h.Sum(nil)[:16]
}

// pack makes the messages for users of this server, by device or for all.
func (e *Engine) pack(m Mail) (map[string]map[string][]byte, error) {
	if m.Type == "" || len(m.Type) > maxType || !utf8.ValidString(m.Type) {
		return nil, mxerr.New(mxerr.InvalidParam, "The type of a message has 1 to %d bytes of UTF-8", maxType)
	}
	out := map[string]map[string][]byte{}
	for user, devices := range m.Messages {
		messages := make(map[string][]byte, len(devices))
		for device, content := range devices {
			if !canonjson.IsObject(content) {
				return nil, badJSON("The message to %.300q %.300q is not an object", user, device)
			}
			if len(content) > maxMessage {
				return nil, mxerr.New(mxerr.TooLarge, "The message to %.300q %.300q is more than %d bytes", user, device, maxMessage)
			}
			messages[device] = m.message(content)
		}
		if _, err := mxid.ParseUserID(user); err == nil && e.local(user) { // nobody else is here
			out[user] = messages
		}
	}
	return out, nil
}

// message is a content as its receiver gets it.
func (m *Mail) message(content json.RawMessage) []byte {
	b := bytes.NewBufferString(`{"content":`)
	if json.Compact(b, content) != nil {
		b.Write(content) // which cannot be: content was decoded
	}
	out := canonjson.Quote(append(b.Bytes(), `,"sender":`...), m.Sender)
	out = canonjson.Quote(append(out, `,"type":`...), m.Type)
	return append(out, '}')
}

// deliver stores messages for the devices that there are.
func (e *Engine) deliver(tx *db.Tx, parcels map[string]map[string][]byte) error {
	mail, err := address(tx, parcels)
	if err != nil || len(mail) == 0 {
		return err
	}
	pos := tx.NextPos()
	trimmed := make([]bool, len(mail))
	for i := range mail {
		m := &mail[i]
		m.Pos = pos
		if err := store.AddDeviceMessage(tx, *m); err != nil {
			return err
		}
		if !e.inboxes.due(deviceKey{m.User, m.Device}) {
			continue
		}
		trimmed[i] = true
		removed, err := store.TrimInbox(tx, m.User, m.Device, maxInbox, maxInboxSize)
		if err != nil {
			return err
		}
		if removed > 0 {
			e.Log.Debug("a device does not fetch its messages: the oldest were dropped", "user", m.User, "device", m.Device, "messages", removed)
		}
	}
	if e.Copy != nil {
		if err := e.Copy(tx, mail); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() {
		for i := range mail {
			e.inboxes.put(&mail[i], trimmed[i])
			e.Hub.Device(mail[i].User, mail[i].Device)
		}
	})
	return nil
}

// address finds the devices that messages are for.
func address(tx *db.Tx, parcels map[string]map[string][]byte) ([]store.DeviceMessage, error) {
	users := make([]string, 0, len(parcels))
	for user := range parcels {
		users = append(users, user)
	}
	devices, err := store.DeviceIDs(tx, users)
	if err != nil {
		return nil, err
	}
	var mail []store.DeviceMessage
	size := 0
	for user, messages := range parcels {
		for _, device := range devices[user] {
			message, ok := messages[device]
			if !ok {
				message, ok = messages[allDevices]
			}
			if !ok {
				continue
			}
			size += len(message)
			if len(mail) == maxMail || size > maxMailSize {
				return nil, mxerr.New(mxerr.TooLarge, "A request writes to at most %d devices, and at most %d bytes", maxMail, maxMailSize)
			}
			mail = append(mail, store.DeviceMessage{User: user, Device: device, Message: message})
		}
	}
	return mail, nil
}
