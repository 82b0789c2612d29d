package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Device is a client that somebody is logged in with.
type Device struct {
	ID       string
	Name     string
	Created  time.Time
	LastSeen time.Time // zero if never
	IP       string    // of the last request
	Agent    string    // what the program that made it calls itself
}

// Devices lists a user's devices, oldest first.
func (e *Engine) Devices(ctx context.Context, user mxid.UserID) ([]Device, error) {
	var rows []store.Device
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.Devices(tx, string(user))
		return err
	})
	out := make([]Device, len(rows))
	for i, row := range rows {
		out[i] = e.deviceOf(row)
	}
	return out, err
}

// Device returns one device, or M_NOT_FOUND.
func (e *Engine) Device(ctx context.Context, user mxid.UserID, id string) (Device, error) {
	if !storable(id) {
		return Device{}, errNoDevice()
	}
	var row store.Device
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		row, err = store.DeviceByID(tx, string(user), id)
		return err
	})
	if err == db.ErrNoRow {
		return Device{}, errNoDevice()
	}
	return e.deviceOf(row), err
}

func (e *Engine) deviceOf(row store.Device) Device {
	if s, ok := e.seen.latest(row.User, row.ID); ok {
		row.LastSeen, row.IP, row.Agent = s.at, s.ip, s.agent
	}
	d := Device{ID: row.ID, Name: row.Name, Created: time.UnixMilli(row.Created), IP: row.IP, Agent: row.Agent}
	if row.LastSeen != 0 {
		d.LastSeen = time.UnixMilli(row.LastSeen)
	}
	return d
}

// RenameDevice sets the name that a device has for its owner. The error is
// M_NOT_FOUND if there is no such device.
func (e *Engine) RenameDevice(ctx context.Context, user mxid.UserID, id, name string) error {
	if err := short("display_name", name); err != nil {
		return err
	}
	if !storable(id) {
		return errNoDevice()
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		found, err := store.RenameDevice(tx, string(user), id, name)
		if err == nil && !found {
			err = errNoDevice()
		}
		if err != nil {
			return err
		}
		return e.DeviceRenamed(tx, string(user), id)
	})
}

// MakeDevice adds a device without a token, for an application service (MSC4190),
// or renames the one that is there. fresh tells which.
func (e *Engine) MakeDevice(ctx context.Context, user mxid.UserID, id string, name *string) (fresh bool, err error) {
	d := store.Device{User: string(user), ID: id, Created: e.nowMS()}
	if name != nil {
		d.Name = *name
	}
	if err := checkDevice(id, d.Name); err != nil {
		return false, err
	}
	if !storable(id) || id == "" {
		return false, mxerr.New(mxerr.InvalidParam, "This cannot be the id of a device")
	}
	return fresh, e.db.Write(ctx, func(tx *db.Tx) (err error) {
		if fresh, err = store.AddDevice(tx, d); err != nil || fresh || name == nil {
			return err
		}
		if _, err := store.RenameDevice(tx, d.User, id, d.Name); err != nil {
			return err
		}
		return e.DeviceRenamed(tx, d.User, id)
	})
}

// DeleteDevices logs devices of a user out; ids that are not there do not
// matter. The user authenticates for it: the error may be *Challenge.
func (e *Engine) DeleteDevices(ctx context.Context, s *Session, ids []string, auth *Auth, addr string) error {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	what := sha256.Sum256([]byte(strings.Join(ids, "\x00")))
	err := e.confirm(ctx, s, "delete devices "+hex.EncodeToString(what[:]), auth, addr)
	if err != nil {
		return err
	}
	return e.RemoveDevices(ctx, s.User, ids)
}

// Confirm makes the owner of a session authenticate for an operation that another
// engine does. The error may be *Challenge. operation names what is done, and to
// what.
func (e *Engine) Confirm(ctx context.Context, s *Session, operation string, auth *Auth, addr string) error {
	return e.confirm(ctx, s, operation, auth, addr)
}

// confirm makes the owner of a session type their password.
func (e *Engine) confirm(ctx context.Context, s *Session, operationName string, auth *Auth, addr string) error {
	if s.Service {
		return nil
	}
	_, err := e.interact(ctx, operation{
		name: operationName + " " + string(s.User), user: s.User, addr: addr,
		flows: []Flow{{[]string{stagePassword}}},
	}, auth)
	return err
}

// Logout ends a session, and its device with it.
func (e *Engine) Logout(ctx context.Context, s *Session) error {
	return e.RemoveDevices(ctx, s.User, []string{s.Device})
}

// LogoutAll ends all sessions of a user.
func (e *Engine) LogoutAll(ctx context.Context, user mxid.UserID) error {
	return e.removeDevicesBut(ctx, user, "")
}

// RemoveDevices deletes devices of a user with their tokens.
func (e *Engine) RemoveDevices(ctx context.Context, user mxid.UserID, ids []string) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !storable(id) })
	return e.db.Write(ctx, func(tx *db.Tx) error { return e.removeTx(tx, user, ids) })
}

// removeDevicesBut deletes all devices of a user but one, or all if keep is "".
func (e *Engine) removeDevicesBut(ctx context.Context, user mxid.UserID, keep string) error {
	return e.db.Write(ctx, func(tx *db.Tx) error { return e.removeButTx(tx, user, keep) })
}

func (e *Engine) removeButTx(tx *db.Tx, user mxid.UserID, keep string) error {
	rows, err := store.Devices(tx, string(user))
	if err != nil {
		return err
	}
	var ids []string
	for _, row := range rows {
		if row.ID != keep {
			ids = append(ids, row.ID)
		}
	}
	return e.removeTx(tx, user, ids)
}

func (e *Engine) removeTx(tx *db.Tx, user mxid.UserID, ids []string) error {
	for _, id := range ids {
		found, err := store.DeleteDevice(tx, string(user), id)
		if err != nil {
			return err
		}
		e.forget(tx, string(user), id) // also of tokens without a device in the list
		if !found {
			continue
		}
		if err := e.DeviceRemoved(tx, string(user), id); err != nil {
			return err
		}
	}
	return nil
}

func errNoDevice() error { return mxerr.New(mxerr.NotFound, "You have no device with this id") }
