package e2ee

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// maxDehydrated bounds the data of a dehydrated device, in bytes.
const maxDehydrated = 64 << 10

// Dehydrated is a device that collects messages for a user who has no other
// (MSC3814).
type Dehydrated struct {
	Device string          `json:"device_id"`
	Data   json.RawMessage `json:"device_data"`
}

// Dehydrate stores a user's dehydrated device with its keys, in place of the one
// before. Its id must not be that of another device.
func (e *Engine) Dehydrate(ctx context.Context, user string, d Dehydrated, name string, u Upload) error {
	switch {
	case d.Device == "" || len(d.Device) > 255 || len(name) > 255:
		return mxerr.New(mxerr.InvalidParam, "device_id must have 1 to 255 bytes, and a name at most that")
	case !canonjson.IsObject(d.Data):
		return badJSON("device_data must be an object")
	case len(d.Data) > maxDehydrated:
		return mxerr.New(mxerr.TooLarge, "device_data is more than %d bytes", maxDehydrated)
	}
	keys, err := checkDeviceKeys(u.DeviceKeys, user, d.Device)
	if err != nil {
		return err
	}
	if keys == nil {
		return mxerr.New(mxerr.MissingParam, "device_keys are missing")
	}
	once, err := parseKeys(user, d.Device, u.OneTimeKeys, maxOneTimeKeys)
	if err != nil {
		return err
	}
	fallback, err := parseKeys(user, d.Device, u.FallbackKeys, maxAlgorithms)
	if err != nil {
		return err
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := e.removeDehydrated(tx, user); err != nil {
			return err
		}
		isNew, err := store.AddDevice(tx, store.Device{User: user, ID: d.Device, Name: name, Created: time.Now().UnixMilli()})
		if err != nil {
			return err
		}
		if !isNew {
			return mxerr.New(mxerr.InvalidParam, "You have another device with this id")
		}
		if err := store.SetDehydratedDevice(tx, store.DehydratedDevice{User: user, Device: d.Device, Data: d.Data}); err != nil {
			return err
		}
		if err := e.setDeviceKeys(tx, store.DeviceKeys{User: user, Device: d.Device, Keys: keys}); err != nil {
			return err
		}
		if err := addOneTimeKeys(tx, user, d.Device, once); err != nil {
			return err
		}
		for _, k := range fallback {
			if err := store.SetFallbackKey(tx, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeDehydrated deletes a user's dehydrated device and returns its id, "" if
// there is none.
func (e *Engine) removeDehydrated(tx *db.Tx, user string) (string, error) {
	d, err := store.DehydratedDeviceOf(tx, user)
	if err == db.ErrNoRow {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if _, err := store.DeleteDevice(tx, user, d.Device); err != nil {
		return "", err
	}
	return d.Device, e.DeviceRemoved(tx, user, d.Device)
}

// DehydratedDevice returns a user's dehydrated device, or M_NOT_FOUND.
func (e *Engine) DehydratedDevice(ctx context.Context, user string) (Dehydrated, error) {
	d, err := read(ctx, e.DB, func(tx *db.Tx) (store.DehydratedDevice, error) { return store.DehydratedDeviceOf(tx, user) })
	if err == db.ErrNoRow {
		err = errNoDehydrated()
	}
	return Dehydrated{d.Device, d.Data}, err
}

func errNoDehydrated() error { return mxerr.New(mxerr.NotFound, "You have no dehydrated device") }

// Rehydrated deletes a user's dehydrated device and returns its id.
func (e *Engine) Rehydrated(ctx context.Context, user string) (device string, err error) {
	err = e.DB.Write(ctx, func(tx *db.Tx) (err error) {
		device, err = e.removeDehydrated(tx, user)
		if err == nil && device == "" {
			err = errNoDehydrated()
		}
		return err
	})
	return device, err
}

// DehydratedMail returns messages to a user's dehydrated device, behind the place
// that next names ("" for the first), and the place to go on from. They stay:
// the client that reads them may not live to use them.
func (e *Engine) DehydratedMail(ctx context.Context, user, device, next string) (messages [][]byte, then string, err error) {
	after := int64(0)
	if next != "" {
		if after, err = strconv.ParseInt(next, 10, 64); err != nil {
			return nil, "", mxerr.New(mxerr.InvalidParam, "%.100q is not a token of this server", next)
		}
	}
	d, err := e.DehydratedDevice(ctx, user)
	if err != nil {
		return nil, "", err
	}
	if d.Device != device {
		return nil, "", mxerr.New(mxerr.Forbidden, "This is not your dehydrated device")
	}
	rows, err := read(ctx, e.DB, func(tx *db.Tx) ([]store.DeviceMessage, error) {
		list, _, err := store.DeviceMessages(tx, user, device, after, e.Hub.Pos(), maxBatch, maxBatchSize)
		return list, err
	})
	for _, m := range rows {
		messages, after = append(messages, m.Message), m.Pos
	}
	return messages, strconv.FormatInt(after, 10), err
}
